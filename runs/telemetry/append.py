"""Storing what attempts send: each batch once, in order, in one transaction with its sequence number."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Literal

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from runner.protocol import LEVELS, MAX_METRIC_KEY_CHARACTERS, STREAMS
from runs.models import Attempt, LogChunk, MetricBatch, TelemetryCounter
from runs.telemetry.newest import is_due, lock_counter, merge_batches
from runs.telemetry.packing import LineColumns, pack_batch, pack_lines, unpack_lines
from runs.telemetry.points import Columns, Points
from trainhub.errors import Fenced, SequenceGap

MAX_CHUNK_LINES = 1000
MAX_CHUNK_TEXT_BYTES = 64 * 1024
MAX_LINE_TIME_US = 253_402_300_799_999_999  # the last µs of the year 9999, the greatest that a datetime can show


def append_lines(*, attempt: Attempt, sequence: int, lines: Sequence[tuple[int, int, int, str]]) -> int:
    """Store a batch of log lines unless it is stored already, in a transaction of its own.

    Args:
        attempt: the attempt that sends; only its ids are used, its state is read anew.
        sequence: of the batch, from 1 without gaps.
        lines: time (µs since 1970 UTC; moved into 1970 to 9999 when outside), index into LEVELS, index into
            STREAMS, text (what is not valid Unicode in it becomes "?"). May be empty.

    Returns:
        The highest sequence stored.

    Raises:
        Fenced: the attempt has ended.
        SequenceGap: an earlier batch is missing.
        ValueError: a level or stream does not exist.
    """
    columns = _line_columns(attempt.number, lines)
    with transaction.atomic():
        stored = _claim_sequence(attempt, "log_sequence", sequence)
        if stored is None and lines:
            _store_lines(attempt.run_id, columns)
    return sequence if stored is None else stored


def append_metrics(
    *,
    attempt: Attempt,
    sequence: int,
    columns: Mapping[str, Columns],
    now: datetime | None = None,
) -> int:
    """Store a batch of metric points unless it is stored already, in a transaction of its own.

    Args:
        attempt: the attempt that sends; only its ids are used, its state is read anew.
        sequence: of the batch, from 1 without gaps.
        columns: for each key `step` (int64), `time` (ms since 1970 UTC, int64) and `value` (floats, NaN and the
            infinities among them), of equal length. May be empty.
        now: the hub's time; decides whether the newest values are brought up to date.

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
            count = sum(map(len, points.values()))
            store_points(
                run_id=attempt.run_id,
                attempt_number=attempt.number,
                payload=payload,
                count=count,
                now=now or timezone.now(),
            )
    return sequence if stored is None else stored


def check_columns(columns: Mapping[str, Columns]) -> dict[str, Points]:
    """Return the points of each key, without keys that have none.

    Raises:
        ValueError: as `append_metrics`.
    """
    for key in columns:
        if not 0 < len(key) <= MAX_METRIC_KEY_CHARACTERS or "\0" in key or not _is_unicode(key):
            raise ValueError(f"a metric key has 1 to {MAX_METRIC_KEY_CHARACTERS} characters, none of them NUL")
    checked = {key: Points.checked(values) for key, values in columns.items()}
    return {key: points for key, points in checked.items() if len(points)}


def store_points(*, run_id: int, attempt_number: int, payload: bytes, count: int, now: datetime) -> None:
    """Put one packed batch of `count` points into the inbox; runs inside the caller's transaction.

    A tracking client has no attempt and no sequence: it calls this with attempt number 1.
    """
    counter = lock_counter(run_id)
    MetricBatch.objects.create(run_id=run_id, attempt_number=attempt_number, points=count, payload=payload)
    TelemetryCounter.objects.filter(run_id=run_id).update(
        metric_points=F("metric_points") + count,
        inbox_points=F("inbox_points") + count,
        inbox_batches=F("inbox_batches") + 1,
    )
    if is_due(counter, now):
        merge_batches(counter, now=now)


def _claim_sequence(attempt: Attempt, column: Literal["log_sequence", "metric_sequence"], sequence: int) -> int | None:
    """Move the attempt on to `sequence`; return None, or the highest sequence stored if that has it already.

    The update is what fences and what orders two senders of the same batch: the second one waits for the first.
    """
    live = Attempt.objects.filter(pk=attempt.pk, ended_at__isnull=True)
    if live.filter(**{column: sequence - 1}).update(**{column: sequence}):
        return None
    stored: int | None = live.values_list(column, flat=True).first()
    if stored is None:
        raise Fenced("This attempt is over; what it sends is not stored any more.")
    if sequence > stored:
        raise SequenceGap(f"Batch {stored + 1} is wanted before batch {sequence}.", expected=stored + 1)
    return stored


def _line_columns(attempt_number: int, lines: Sequence[tuple[int, int, int, str]]) -> LineColumns:
    if not lines:
        return LineColumns([], b"", b"", [], [])
    times, levels, streams, texts = zip(*lines, strict=True)
    if not 0 <= min(levels) <= max(levels) < len(LEVELS) or not 0 <= min(streams) <= max(streams) < len(STREAMS):
        raise ValueError("a level or stream is not in the protocol")
    return LineColumns(
        [min(max(time, 0), MAX_LINE_TIME_US) for time in times],
        bytes(levels),
        bytes(streams),
        [attempt_number] * len(lines),
        [text if _is_unicode(text) else text.encode(errors="replace").decode() for text in texts],
    )


def _store_lines(run_id: int, lines: LineColumns) -> None:
    """Number the lines, fill up the short last chunk and add new ones."""
    counter = lock_counter(run_id)
    last = LogChunk.objects.filter(run_id=run_id).order_by("-first_line").first()
    chunks: list[LogChunk] = []
    taken, greatest = 0, counter.log_last_time
    sizes = list(itertools.accumulate(map(_text_bytes, lines.texts), initial=0))
    if last is not None and (taken := _fitting(sizes, 0, last.lines, last.text_bytes)):
        added = lines.part(0, taken)
        _fill(last, unpack_lines(last.payload) + added, sizes[taken], greatest=max(greatest, *added.times))
        greatest = last.last_time
        last.save(update_fields=_CHUNK_FIELDS)
    for start, stop in _cut(sizes, taken):
        part = lines.part(start, stop)
        chunk = LogChunk(
            run_id=run_id,
            first_line=counter.log_lines + start,
            first_time=max(greatest, part.times[0]),
            text_bytes=0,
        )
        _fill(chunk, part, sizes[stop] - sizes[start], greatest=max(greatest, *part.times))
        greatest = chunk.last_time
        chunks.append(chunk)
    LogChunk.objects.bulk_create(chunks)
    TelemetryCounter.objects.filter(run_id=run_id).update(
        log_lines=counter.log_lines + len(lines), log_bytes=F("log_bytes") + sizes[-1], log_last_time=greatest
    )


_CHUNK_FIELDS = [
    "lines",
    "last_time",
    "earliest_time",
    "latest_time",
    "is_late",
    "level_counts",
    "text_bytes",
    "payload",
]


def _fill(chunk: LogChunk, lines: LineColumns, added_bytes: int, *, greatest: int) -> None:
    """Set all that follows from the chunk's lines; `greatest` is the running maximum after them."""
    chunk.lines = len(lines)
    chunk.last_time = greatest
    chunk.earliest_time = min(lines.times)
    chunk.latest_time = max(lines.times)
    chunk.is_late = chunk.earliest_time < chunk.first_time
    chunk.level_counts = [lines.levels.count(level) for level in range(len(LEVELS))]
    chunk.text_bytes += added_bytes
    chunk.payload = pack_lines(lines)


def _cut(sizes: Sequence[int], start: int) -> Iterator[tuple[int, int]]:
    """Yield index ranges of lines that fill new chunks, a line that is too large alone in one."""
    while start < len(sizes) - 1:
        stop = start + max(1, _fitting(sizes, start, 0, 0))
        yield start, stop
        start = stop


def _fitting(sizes: Sequence[int], start: int, chunk_lines: int, chunk_bytes: int) -> int:
    """Return how many lines from index `start` a chunk can still take; `sizes` are running sums of bytes."""
    by_bytes = bisect_right(sizes, sizes[start] + MAX_CHUNK_TEXT_BYTES - chunk_bytes, lo=start) - 1 - start
    return max(0, min(by_bytes, MAX_CHUNK_LINES - chunk_lines, len(sizes) - 1 - start))


def _text_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _is_unicode(text: str) -> bool:
    """Tell whether UTF-8 can hold the text; JSON may bring halves of surrogate pairs."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
