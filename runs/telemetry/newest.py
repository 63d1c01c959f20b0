"""The newest value of each metric of a run, brought up to date from batches of the inbox.

Merging a batch twice changes nothing, so only speed depends on knowing which batches are in already.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from runs.models import MetricBatch, RunMetric, TelemetryCounter
from runs.telemetry.packing import KeySummary, Payload, summarize_batch
from runs.telemetry.points import rank
from runs.telemetry.prepared import PreparedInsert

REFRESH_INTERVAL = timedelta(seconds=1)  # for one run; nobody looks oftener, and each time is a write
_MERGED_AT_ONCE = 500  # batches; what a folding step deletes is less
_MOST_STEPS = 20  # of catching up; more batches than these never wait, as folding deletes them
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
        make_counter(run_id)
        counter = locked.get(run_id=run_id)
    return counter


def make_counter(run_id: int) -> None:
    """Make the run's counter when there is none. Raises: IntegrityError when there is no such run."""
    TelemetryCounter.objects.bulk_create([TelemetryCounter(run_id=run_id)], ignore_conflicts=True)


def runs_to_refresh(*, limit: int, now: datetime | None = None) -> list[int]:
    """Return ids of runs whose newest values lag behind their inbox, at most `limit`, the longest waiting first.

    Those brought up to date within the last second are left out. A clock that was set back does not stop it.
    """
    moment = now or timezone.now()
    is_due = Q(newest_at__isnull=True) | Q(newest_at__lte=moment - REFRESH_INTERVAL) | Q(newest_at__gt=moment)
    lagging = TelemetryCounter.objects.filter(is_due, metric_points__gt=F("newest_points"))
    return list(lagging.order_by(F("newest_at").asc(nulls_first=True)).values_list("run_id", flat=True)[:limit])


def catch_up(*, run_ids: Sequence[int]) -> None:
    """Bring the newest values of some runs wholly up to date, in as many steps of `refresh_newest` as that takes."""
    for _ in range(_MOST_STEPS):
        if refresh_newest(run_ids=run_ids):
            return


def refresh_newest(*, run_ids: Sequence[int], now: datetime | None = None) -> bool:
    """Bring the newest values of some runs up to date with their inboxes, in one transaction of a few statements.

    At most 500 batches are taken; tells whether no more wait.
    """
    with transaction.atomic():
        # In an order that two callers share, so that none waits for the other in a ring.
        locked = TelemetryCounter.objects.select_for_update().filter(run_id__in=run_ids).order_by("run_id")
        return merge_batches(list(locked), now=now or timezone.now())


def merge_batches(counters: Sequence[TelemetryCounter], *, now: datetime, upto: int | None = None) -> bool:
    """Take the batches that came since the last time, with ids up to `upto`, into RunMetric; at most 500.

    The caller holds the lock on `counters`; their columns `newest_…` are written. Tells whether no more wait.
    """
    by_run = {counter.run_id: counter for counter in counters}
    pending = [_Pending(*row) for row in _pending(counters, upto) if row[1] > by_run[row[0]].newest_batch]
    pending = pending[:_MERGED_AT_ONCE]
    merge_newest(_summaries(pending))
    for batch in pending:
        by_run[batch.run_id].newest_batch = batch.id
        by_run[batch.run_id].newest_points += batch.points
    are_all = len(pending) < _MERGED_AT_ONCE
    if upto is None and are_all:
        for counter in counters:  # nothing waits any more, whatever the counts said
            counter.newest_points = counter.metric_points
    for counter in counters:
        counter.newest_at = now
    TelemetryCounter.objects.bulk_update(counters, ["newest_at", "newest_batch", "newest_points"])
    return are_all


class _Pending(NamedTuple):
    """A batch that is not in RunMetric yet."""

    run_id: int
    id: int
    attempt: int
    points: int


def _pending(counters: Sequence[TelemetryCounter], upto: int | None) -> QuerySet[Any, Any]:
    """Return run, id, attempt and points of batches behind the oldest mark of the runs, without what is in them."""
    mark = min((counter.newest_batch for counter in counters), default=0)
    rows = MetricBatch.objects.filter(run_id__in=[counter.run_id for counter in counters], id__gt=mark)
    rows = rows if upto is None else rows.filter(id__lte=upto)
    return rows.order_by("id").values_list("run_id", "id", "attempt_number", "points")


def _summaries(pending: Sequence[_Pending]) -> dict[int, list[KeySummary]]:
    """Return the summaries of some batches by run, in the order the batches came."""
    payloads: dict[int, Payload] = {}
    for some in in_slices([batch.id for batch in pending]):
        payloads.update(MetricBatch.objects.filter(id__in=some).values_list("id", "payload"))
    found: dict[int, list[KeySummary]] = {}
    for batch in pending:
        found.setdefault(batch.run_id, []).extend(summarize_batch(payloads[batch.id], batch.attempt))
    return found


def merge_newest(summaries: Mapping[int, Iterable[KeySummary]]) -> None:
    """Write the newest of what is given by run and of what RunMetric holds. The caller holds the counters' locks."""
    merged: dict[int, dict[str, KeySummary]] = {}
    for run_id, some in summaries.items():
        for summary in some:
            _merge_into(merged.setdefault(run_id, {}), summary)
    before = dict(_known(merged))
    for (run_id, key), summary in before.items():
        if key in merged[run_id]:
            _merge_into(merged[run_id], summary)
    changed = [
        _row_of(run_id, summary)
        for run_id, newest in merged.items()
        for key, summary in newest.items()
        if before.get((run_id, key)) != summary
    ]
    _WRITE.execute(*changed)


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


_WRITE = PreparedInsert(RunMetric, unique=("run", "key"))


def _known(merged: Mapping[int, Mapping[str, KeySummary]]) -> Iterator[tuple[tuple[int, str], KeySummary]]:
    """Yield what RunMetric holds of the runs and keys, by run and key."""
    keys = sorted({key for newest in merged.values() for key in newest})
    columns = ("run_id", "key", "attempt_number", "step", "time", "value", "special", "minimum", "maximum")
    for some in in_slices(keys):
        rows = RunMetric.objects.filter(run_id__in=list(merged), key__in=some)
        for run_id, key, number, step, time, value, special, low, high in rows.values_list(*columns):
            newest = float(special) if value is None else value
            yield (run_id, key), KeySummary(key, number, step, time, newest, low, high)


def in_slices(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Cut `items` into lists that fit the parameters of one query."""
    for start in range(0, len(items), _SLICE):
        yield items[start : start + _SLICE]


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
