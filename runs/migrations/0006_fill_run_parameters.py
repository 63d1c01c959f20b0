"""Writes the searchable parameters of the runs that were there before, 500 runs at a time.

Not one transaction: a long one would stop writers. Interrupted, it begins again and leaves what is there.
"""

from typing import Any

from django.db import migrations

from runs.parameters import effective

STEP = 500  # runs


def fill(apps: Any, schema_editor: Any) -> None:  # noqa: ARG001 - signature of Django
    Run = apps.get_model("runs", "Run")
    RunParameter = apps.get_model("runs", "RunParameter")
    columns = ("pk", "recipe_snapshot", "model_parameters", "hyperparameters")
    last = 0
    while runs := list(Run.objects.filter(pk__gt=last).order_by("pk").values_list(*columns)[:STEP]):
        rows = [
            RunParameter(run_id=key, group=group, name=name, number=number, text=text)
            for key, snapshot, model, hyper in runs
            for group, (name, number, text) in effective(
                snapshot, {"model_parameters": model, "hyperparameters": hyper}
            )
        ]
        RunParameter.objects.bulk_create(rows, ignore_conflicts=True, batch_size=2000)
        last = runs[-1][0]


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("runs", "0005_run_lists")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
