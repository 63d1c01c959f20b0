"""A run with known metrics for the tests of charts: `manage.py shell` runs this and prints the run's uid."""

from datetime import timedelta

from django.utils import timezone

from tests.runs.telemetry.builders import end, new_attempt, new_run, show_metrics

STEPS = range(1, 1001)


def make_charted_run() -> str:
    """Return the uid of an ended run: loss 1000 down to 1, with a gap at 500, its validation, and a GPU's use."""
    began = timezone.now() - timedelta(seconds=len(STEPS))
    run = new_run(
        status="completed", reason="finished", started_at=began, completed_at=timezone.now(), is_managed=False
    )
    attempt = new_attempt(run, started_at=began)
    first = int(began.timestamp() * 1000)
    loss = [float("nan") if step == 500 else 1001.0 - step for step in STEPS]
    curves = {
        "loss": (STEPS, loss),
        "val_loss": (STEPS[99::100], [1100.0 - step for step in STEPS[99::100]]),
        "rewards/chosen": (STEPS, [step / 1000 for step in STEPS]),
        "rewards/rejected": (STEPS, [-step / 1000 for step in STEPS]),
        "system/gpu.0.utilization": (STEPS, [0.5] * len(STEPS)),
        "system/gpu.1.utilization": (STEPS, [0.75] * len(STEPS)),
    }
    columns = {
        key: {"step": list(steps), "time": [first + step * 1000 for step in steps], "value": values}
        for key, (steps, values) in curves.items()
    }
    show_metrics(attempt=attempt, sequence=1, columns=columns)
    end(attempt)
    return run.uid
