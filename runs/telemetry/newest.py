"""The newest value of each metric of a run, brought up to date from batches of the inbox.

Merging a batch twice changes nothing, so only speed depends on knowing which batches are in already.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from runs.models import MetricBatch, RunMetric, TelemetryCounter
from runs.telemetry.packing import KeySummary, summarize_batch
from runs.telemetry.points import rank

REFRESH_INTERVAL = timedelta(seconds=1)  # for one run; oftener costs up to half of the ingest rate
_SLICE = 500  # values of one IN list, well under SQLite's limit of parameters

_Item = TypeVar("_Item")


def lock_counter(run_id: int) -> TelemetryCounter:
    """Return the run's counter, locked until the end of the transaction; make it when there is none.

    Raises:
        IntegrityError: there is no such run.
    """
    locked = TelemetryCounter.objects.select_for_update()
    counter = locked.filter(run_id=run_id).first()
    if counter is None:
        TelemetryCounter.objects.bulk_create([TelemetryCounter(run_id=run_id)], ignore_conflicts=True)
        counter = locked.get(run_id=run_id)
    return counter


def is_due(counter: TelemetryCounter, now: datetime) -> bool:
    """Tell whether the newest values may be brought up to date again; the clock may have been set back."""
    return counter.newest_at is None or not timedelta() <= now - counter.newest_at < REFRESH_INTERVAL


def runs_to_refresh(*, limit: int, now: datetime | None = None) -> list[int]:
    """Return ids of runs whose newest values have lagged behind their inbox for a second, at most `limit`."""
    pending = MetricBatch.objects.filter(run_id=OuterRef("run_id"), id__gt=OuterRef("newest_batch"))
    lagging = TelemetryCounter.objects.filter(
        run_id__in=MetricBatch.objects.values("run_id"),
        run__metrics_removed_at=None,
        newest_at__lte=(now or timezone.now()) - REFRESH_INTERVAL,
    )
    return list(lagging.filter(Exists(pending)).order_by("newest_at").values_list("run_id", flat=True)[:limit])


def refresh_newest(*, run_id: int, now: datetime | None = None) -> None:
    """Bring the newest values of a run up to date with its inbox, in a transaction of its own."""
    with transaction.atomic():
        counter = lock_counter(run_id)
        merge_batches(counter, now=now or timezone.now())


def merge_batches(counter: TelemetryCounter, *, now: datetime, upto: int | None = None) -> None:
    """Take the batches that came since the last time, with ids up to `upto`, into RunMetric.

    The caller holds the lock on `counter`; its columns `newest_at` and `newest_batch` are written.
    """
    pending = MetricBatch.objects.filter(run_id=counter.run_id, id__gt=counter.newest_batch).order_by("id")
    if upto is not None:
        pending = pending.filter(id__lte=upto)
    batches = list(pending.values_list("id", "attempt_number", "payload"))
    if not batches:
        return
    merge_newest(
        counter.run_id, (summary for _, number, payload in batches for summary in summarize_batch(payload, number))
    )
    TelemetryCounter.objects.filter(run_id=counter.run_id).update(newest_at=now, newest_batch=batches[-1][0])


def merge_newest(run_id: int, summaries: Iterable[KeySummary]) -> None:
    """Write the newest of `summaries` and of what RunMetric holds. The caller holds the lock on the counter."""
    merged: dict[str, KeySummary] = {}
    for summary in summaries:
        _merge_into(merged, summary)
    before = {row.key: row for row in _rows(run_id, list(merged))}
    for row in before.values():
        _merge_into(merged, _summary_of(row))
    changed = [
        _row_of(run_id, summary)
        for key, summary in merged.items()
        if key not in before or _summary_of(before[key]) != summary
    ]
    RunMetric.objects.bulk_create(
        changed,
        update_conflicts=True,
        unique_fields=["run", "key"],
        update_fields=["attempt_number", "step", "time", "value", "special", "minimum", "maximum"],
    )


def _merge_into(merged: dict[str, KeySummary], summary: KeySummary) -> None:
    known = merged.get(summary.key)
    if known is None:
        merged[summary.key] = summary
        return
    newer = max(known, summary, key=lambda one: (one.attempt_number, one.step, one.time, rank(one.value)))
    merged[summary.key] = KeySummary(
        summary.key,
        newer.attempt_number,
        newer.step,
        newer.time,
        newer.value,
        minimum=min((v for v in (known.minimum, summary.minimum) if v is not None), default=None),
        maximum=max((v for v in (known.maximum, summary.maximum) if v is not None), default=None),
    )


def _rows(run_id: int, keys: list[str]) -> Iterator[RunMetric]:
    for some in in_slices(keys):
        yield from RunMetric.objects.filter(run_id=run_id, key__in=some)


def in_slices(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Cut `items` into lists that fit the parameters of one query."""
    for start in range(0, len(items), _SLICE):
        yield items[start : start + _SLICE]


def _summary_of(row: RunMetric) -> KeySummary:
    value = float(row.special) if row.value is None else row.value
    return KeySummary(row.key, row.attempt_number, row.step, row.time, value, row.minimum, row.maximum)


def _row_of(run_id: int, summary: KeySummary) -> RunMetric:
    is_finite = math.isfinite(summary.value)
    return RunMetric(
        run_id=run_id,
        key=summary.key,
        attempt_number=summary.attempt_number,
        step=summary.step,
        time=summary.time,
        value=summary.value if is_finite else None,
        special="" if is_finite else special_name(summary.value),
        minimum=summary.minimum,
        maximum=summary.maximum,
    )


def special_name(value: float) -> str:
    """Return "NaN", "Infinity" or "-Infinity", as the API and RunMetric write what JSON has no number for."""
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
