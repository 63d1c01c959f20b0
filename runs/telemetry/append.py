"""Storing what attempts send: each batch once, in order, in one transaction with its sequence number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from django.db import transaction
from django.db.models import F, QuerySet

from runner.protocol import MAX_METRIC_KEY_CHARACTERS
from runs.models import Attempt, MetricBatch, TelemetryCounter
from runs.telemetry.log_chunks import Lines, columns_of, is_unicode, pack_for, store_lines
from runs.telemetry.newest import make_counter
from runs.telemetry.packing import pack_batch
from runs.telemetry.points import Columns, Points
from runs.telemetry.prepared import PreparedInsert, PreparedUpdate
from trainhub.errors import Fenced, SequenceGap
from trainhub.retrying import retry_undone


class Sender(Protocol):
    """Who sends: an `Attempt`, or the ids of one as ingest calls remember them. Its state is read anew."""

    @property
    def pk(self) -> int:
        """Key of the attempt."""

    @property
    def run_id(self) -> int:
        """Key of its run."""

    @property
    def number(self) -> int:
        """Its number within the run."""


@dataclass(frozen=True, slots=True)
class KnownSender:
    """The ids of an attempt; they never change."""

    pk: int
    run_id: int
    number: int


@retry_undone
def append_lines(*, attempt: Sender, sequence: int, lines: Lines) -> int:
    """Store a batch of log lines unless it is stored already, in a transaction of its own.

    Args:
        attempt: who sends.
        sequence: of the batch, from 1 without gaps.
        lines: may be empty. Times are moved into 1970 to 9999; what is not valid Unicode becomes "?".

    Returns:
        The highest sequence stored.

    Raises:
        Fenced: the attempt has ended.
        SequenceGap: an earlier batch is missing.
        ValueError: a level or stream does not exist.
    """
    columns = columns_of(attempt.number, lines)
    packed = pack_for(attempt.run_id, columns) if len(columns) else None
    with transaction.atomic():
        stored = _claim_sequence(attempt, "log_sequence", sequence)
        if stored is None and packed is not None:
            store_lines(attempt.run_id, columns, packed)
    return sequence if stored is None else stored


@retry_undone
def append_metrics(*, attempt: Sender, sequence: int, columns: Mapping[str, Columns]) -> int:
    """Store a batch of metric points unless it is stored already, in a transaction of its own.

    Args:
        attempt: who sends.
        sequence: of the batch, from 1 without gaps.
        columns: for each key `step` (int64), `time` (ms since 1970 UTC, int64) and `value` (floats, NaN and the
            infinities among them), of equal length. May be empty.

    Returns:
        The highest sequence stored.

    Raises:
        Fenced: the attempt has ended.
        SequenceGap: an earlier batch is missing.
        ValueError: a key is empty, too long or not storable, a number does not fit, or lengths differ.
    """
    points = check_columns(columns)
    payload = pack_batch(points)
    with transaction.atomic():
        stored = _claim_sequence(attempt, "metric_sequence", sequence)
        if stored is None and points:
            store_points(
                run_id=attempt.run_id,
                attempt_number=attempt.number,
                payload=payload,
                count=sum(map(len, points.values())),
            )
    return sequence if stored is None else stored


def check_columns(columns: Mapping[str, Columns]) -> dict[str, Points]:
    """Return the points of each key, without keys that have none.

    Raises:
        ValueError: as `append_metrics`.
    """
    for key in columns:
        if not 0 < len(key) <= MAX_METRIC_KEY_CHARACTERS or "\0" in key or not is_unicode(key):
            raise ValueError(f"a metric key has 1 to {MAX_METRIC_KEY_CHARACTERS} characters, none of them NUL")
    checked = {key: Points.checked(values) for key, values in columns.items()}
    return {key: points for key, points in checked.items() if len(points)}


def store_points(*, run_id: int, attempt_number: int, payload: bytes, count: int, may_repeat: bool = False) -> None:
    """Put one packed batch of `count` points into the inbox; runs inside the caller's transaction.

    The newest values follow about a second later: the scheduler takes them from the inbox. A tracking client has
    no sequence, and may send a batch again: then `may_repeat`, and points that are there already are dropped when the
    batch is folded.
    """
    # The counter's row comes first: its lock makes the order of ids within a run that of commits.
    if not _COUNT_POINTS.execute(run_id=run_id, count=count):
        make_counter(run_id)
        _COUNT_POINTS.execute(run_id=run_id, count=count)
    _INSERT_BATCH.execute(
        MetricBatch(run_id=run_id, attempt_number=attempt_number, points=count, may_repeat=may_repeat, payload=payload)
    )


def _live(attempt: int) -> QuerySet[Attempt]:
    return Attempt.objects.filter(pk=attempt, ended_at__isnull=True)


_CLAIMS = {
    "log_sequence": PreparedUpdate(
        "attempt",
        "before",
        "sequence",
        build=lambda attempt, before, sequence: (
            _live(attempt).filter(log_sequence=before),
            {"log_sequence": sequence},
        ),
    ),
    "metric_sequence": PreparedUpdate(
        "attempt",
        "before",
        "sequence",
        build=lambda attempt, before, sequence: (
            _live(attempt).filter(metric_sequence=before),
            {"metric_sequence": sequence},
        ),
    ),
}
_INSERT_BATCH = PreparedInsert(MetricBatch)
_COUNT_POINTS = PreparedUpdate(
    "run_id",
    "count",
    build=lambda run_id, count: (
        TelemetryCounter.objects.filter(run_id=run_id),
        {
            "metric_points": F("metric_points") + count,
            "inbox_points": F("inbox_points") + count,
            "inbox_batches": F("inbox_batches") + 1,
        },
    ),
)


def _claim_sequence(attempt: Sender, column: Literal["log_sequence", "metric_sequence"], sequence: int) -> int | None:
    """Move the attempt on to `sequence`; return None, or the highest sequence stored if that has it already.

    The update is what fences and what orders two senders of the same batch: the second one waits for the first.
    """
    if _CLAIMS[column].execute(attempt=attempt.pk, before=sequence - 1, sequence=sequence):
        return None
    stored: int | None = _live(attempt.pk).values_list(column, flat=True).first()
    if stored is None:
        raise Fenced("This attempt is over; what it sends is not stored any more.")
    if sequence > stored:
        raise SequenceGap(f"Batch {stored + 1} is wanted before batch {sequence}.", expected=stored + 1)
    return stored
