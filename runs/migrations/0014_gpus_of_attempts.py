"""How many GPUs each attempt holds, also where an engine gives them and no index is known."""

from django.db import migrations, models


def count_given(apps, schema_editor):
    """Count the GPUs of the attempts that hold some now; those that have ended hold none."""
    attempts = apps.get_model("runs", "Attempt").objects.filter(ended_at__isnull=True)
    for attempt in attempts.exclude(gpu_indexes=[]).only("gpu_indexes"):
        attempts.filter(pk=attempt.pk).update(gpu_count=len(attempt.gpu_indexes))


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0013_engine_time"),
    ]

    operations = [
        migrations.AddField(
            model_name="attempt",
            name="gpu_count",
            field=models.PositiveIntegerField(default=0, help_text="GPUs that it holds, on all nodes together."),
        ),
        migrations.RunPython(count_given, migrations.RunPython.noop, elidable=True),
    ]
