"""Runs that ended, with checkpoints and a metric at their steps."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from artifacts.models import Artifact
from projects.models import Project
from runs.attempts import finish_attempt
from runs.models import Run
from runs.telemetry.append import append_metrics
from tests.factories import exit_body, fresh, new_artifact, new_attempt, new_run


def keep(project: Project, last: int | None, best: int = 0, metric: str = "", goal: str = "min") -> Project:
    """Set the rule of a project."""
    Project.objects.filter(pk=project.pk).update(
        keep_last_checkpoints=last, keep_best_checkpoints=best, best_metric=metric, best_metric_goal=goal
    )
    return fresh(project)


def trained_run(project: Project, *losses: float | None, hours: float = 2, **values: Any) -> Run:
    """A run that ended so many hours ago; its n-th checkpoint is at step 100·n, where eval_loss is the n-th loss."""
    attempt = new_attempt(new_run(project, **values))
    told = {100 * number: loss for number, loss in enumerate(losses, start=1) if loss is not None}
    if told:
        column = {"step": list(told), "time": list(told), "value": list(told.values())}
        append_metrics(attempt=attempt, sequence=1, columns={"eval_loss": column})
    for number in range(1, len(losses) + 1):
        new_artifact(attempt.run, name=f"checkpoint-{100 * number}", step=100 * number)
    finish_attempt(attempt=attempt, report=exit_body())
    Run.objects.filter(pk=attempt.run_id).update(completed_at=timezone.now() - timedelta(hours=hours))
    return fresh(attempt.run)


def checkpoints(run: Run) -> list[Artifact]:
    """Return the checkpoints of a run, oldest first."""
    return list(run.artifacts.filter(type="checkpoint").order_by("pk"))


def steps_left(run: Run) -> list[int | None]:
    """Return the steps of the checkpoints that were not removed."""
    return [one.step for one in checkpoints(run) if one.state != "removed"]
