"""Tags, parameters and points that tracking clients write: all of a batch or nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping

from django.db import transaction
from django.db.models import F

from projects.models import Project
from runs.conditions import MAX_NAME as MAX_TEXT
from runs.models import Run, RunParameter, RunTag, RunTracking
from runs.parameters import LOGGED
from runs.telemetry.append import check_columns, store_points
from runs.telemetry.packing import pack_batch
from runs.telemetry.points import Columns, Points
from runs.telemetry.removed import has_metrics
from trainhub.errors import InvalidInput, NotFound
from trainhub.retrying import retry_undone

NAME_TAG = "mlflow.runName"
PARENT_TAG = "mlflow.parentRunId"
NOTE_TAG = "mlflow.note.content"
MAX_NAME = 200  # characters of a run's name


class ParameterChanged(InvalidInput):
    """A parameter that is written already was sent with another value."""

    def __init__(self, key: str, old: str, new: str) -> None:
        text = f"Changing param values is not allowed. Param with key {key!r} was already logged with value {old!r}; "
        super().__init__({"params": [f"{text}the new value is {new!r}."]})


class HistoryRemoved(InvalidInput):
    """Points were sent to a run whose metric history was removed."""

    def __init__(self) -> None:
        super().__init__({"metrics": ["The metric history of this run was removed; log to a new run."]})


@retry_undone
def log_batch(
    *,
    run: Run,
    points: Mapping[str, Columns],
    parameters: Mapping[str, str],
    tags: Mapping[str, str],
    attempt_number: int = 1,
) -> None:
    """Write points, parameters and tags of a run in one transaction.

    Args:
        run: any run, whatever its status.
        points: as `runs.telemetry.append.append_metrics` takes them. The same point again is stored once.
        parameters: written once; the same value again changes nothing.
        tags: replace those of the same key.
        attempt_number: of the managed run's attempt that sends.

    Raises:
        ParameterChanged: a parameter has another value already; nothing of the batch is kept.
        HistoryRemoved: there are points, and the run's history was removed; nothing of the batch is kept.
        ValueError: as `append_metrics`.
    """
    checked = check_columns(points)
    with transaction.atomic():
        if parameters:
            _write_parameters(run, parameters)
        if tags:
            set_tags(run=run, tags=tags)
        _store(run.pk, checked, attempt_number)


@retry_undone
def log_points(*, run_id: int, points: Mapping[str, Columns], attempt_number: int = 1) -> None:
    """Write points alone, to a run of which no more than the key need be known; else as `log_batch`."""
    checked = check_columns(points)
    with transaction.atomic():
        _store(run_id, checked, attempt_number)


def _store(run_id: int, points: Mapping[str, Points], attempt_number: int) -> None:
    if points:
        payload, count = pack_batch(points), sum(map(len, points.values()))
        store_points(run_id=run_id, attempt_number=attempt_number, payload=payload, count=count, may_repeat=True)
        # Removal marks the run while it holds the counter, which the points hold now: what is stored is before the
        # mark or finds it here. Points after it would be deleted with the rest.
        if not has_metrics(run_id):
            raise HistoryRemoved


def _write_parameters(run: Run, parameters: Mapping[str, str]) -> None:
    # In one order, so that two who write the same ones wait for each other and not in a circle.
    ordered = sorted(parameters.items())
    rows = [RunParameter(run=run, group=LOGGED, name=key, **_stored(value)) for key, value in ordered]
    RunParameter.objects.bulk_create(rows, ignore_conflicts=True)
    kept = RunParameter.objects.filter(run=run, group=LOGGED, name__in=list(parameters))
    for key, old in kept.values_list("name", "value"):
        if old != parameters[key]:
            raise ParameterChanged(key, old or "", parameters[key])


def _stored(value: str) -> dict[str, str | float | None]:
    """Return the columns of a value: to the letter, and as what lists compare."""
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if math.isfinite(number) and "_" not in value:  # Python reads 1_000 as a number, nobody else does
        return {"value": value, "number": number, "text": None}
    return {"value": value, "number": None, "text": value[:MAX_TEXT]}


def set_tags(*, run: Run, tags: Mapping[str, str]) -> None:
    """Write tags over those of the same key. Call in a transaction.

    The client's name, note and parent become the run's own. A managed run keeps the name and the description that it
    was launched with: trainers name runs after their output folder. A parent that is not there leaves the run below
    its job. Raises: InvalidInput when the parent is below the run.
    """
    if parent := tags.get(PARENT_TAG):
        _set_parent(run, parent)  # before tags and run, as update_tracked has it
    kept = {key: value for key, value in tags.items() if not (run.is_managed and key == NAME_TAG)}
    rows = [RunTag(run=run, key=key, value=kept[key]) for key in sorted(kept)]
    RunTag.objects.bulk_create(rows, update_conflicts=True, unique_fields=["run", "key"], update_fields=["value"])
    changes = {}
    if name := kept.get(NAME_TAG):
        changes["name"] = name[:MAX_NAME]
    if NOTE_TAG in kept and not run.is_managed:
        changes["description"] = kept[NOTE_TAG]
    if changes:
        Run.objects.filter(pk=run.pk).update(**changes)
        for field, value in changes.items():
            setattr(run, field, value)


def _set_parent(run: Run, uid: str) -> None:
    # One at a time in a project: two runs that are nested below each other at the same moment would make a circle.
    Project.objects.select_for_update(no_key=True).get(pk=run.project_id)
    parent = Run.objects.not_deleted().filter(project=run.project_id, uid=uid).values_list("pk", flat=True).first()
    if parent is not None and run.pk in _lineage(parent):
        raise InvalidInput({"tags": [f"{PARENT_TAG} {uid!r} is the run itself, or nested below it."]})
    RunTracking.objects.filter(run=run).update(parent=F("job") if parent is None else parent)


def _lineage(key: int) -> set[int]:
    """Return the keys of a run and of all above it."""
    above: set[int] = set()
    current: int | None = key
    while current is not None and current not in above:
        above.add(current)
        current = RunTracking.objects.filter(run=current).values_list("parent", flat=True).first()
    return above


@transaction.atomic
def delete_tag(*, run: Run, key: str) -> None:
    """Take a tag off, and with a note or a parent what the run has of it. Raises: NotFound when it is not there."""
    if key == PARENT_TAG:
        RunTracking.objects.filter(run=run).update(parent=F("job"))
    deleted, _ = RunTag.objects.filter(run=run, key=key).delete()
    if not deleted:
        raise NotFound(f"The run has no tag {key!r}.")
    if key == NOTE_TAG and not run.is_managed:
        Run.objects.filter(pk=run.pk).update(description="")
