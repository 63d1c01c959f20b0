"""Cutting log lines into chunks: numbered without gaps, the short last chunk filled up where that is cheap."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from runner.protocol import LEVELS, STREAMS
from runs.models import LogChunk, TelemetryCounter
from runs.telemetry.line_packing import LineColumns, pack_lines, unpack_lines
from runs.telemetry.log_tally import Tally, add_lines
from runs.telemetry.newest import lock_counter
from runs.telemetry.prepared import PreparedInsert, PreparedRowUpdate, PreparedSelect

MAX_CHUNK_LINES = 1000
MAX_CHUNK_TEXT_BYTES = 128 * 1024  # 1,000 usual lines are one chunk; reading one takes half a millisecond
MAX_LINE_TIME_US = 253_402_300_799_999_999  # the last µs of the year 9999, the greatest that a datetime can show


_INSERT_CHUNK = PreparedInsert(LogChunk)


class Lines(NamedTuple):
    """Log lines as columns of equal length: µs since 1970 UTC, indexes into LEVELS and STREAMS, texts."""

    times: Sequence[int]
    levels: Sequence[int]
    streams: Sequence[int]
    texts: Sequence[str]


def columns_of(attempt_number: int, lines: Lines) -> LineColumns:
    """Return the lines as they are stored. Raises: ValueError when a level or stream does not exist."""
    times, levels, streams, texts = lines
    count = len(times)
    if not count:
        return LineColumns([], b"", b"", [], [])
    if not 0 <= min(levels) <= max(levels) < len(LEVELS) or not 0 <= min(streams) <= max(streams) < len(STREAMS):
        raise ValueError("a level or stream is not in the protocol")
    if min(times) < 0 or max(times) > MAX_LINE_TIME_US:
        times = [min(max(time, 0), MAX_LINE_TIME_US) for time in times]
    if not is_unicode("".join(texts)):
        texts = [text.encode(errors="replace").decode() for text in texts]
    return LineColumns(list(times), bytes(levels), bytes(streams), [attempt_number] * count, list(texts))


def is_unicode(text: str) -> bool:
    """Tell whether UTF-8 can hold the text; JSON may bring halves of surrogate pairs."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class Packed(NamedTuple):
    """The lines of a chunk, those of them that are not stored yet, the bytes of all their texts, and all packed.

    `first_time` is that of a chunk that is there already and filled up, None for a new one.
    """

    lines: LineColumns
    added: LineColumns
    text_bytes: int
    payload: bytes
    first_time: int | None = None


@dataclass(frozen=True, slots=True)
class PackedLines:
    """Lines with texts of `text_bytes` as chunks, made for a log of `log_lines` lines.

    The first chunk may be the newest one of the log, filled up.
    """

    log_lines: int
    text_bytes: int
    chunks: list[Packed]


_STATE = PreparedSelect(
    "run_id",
    build=lambda run_id: TelemetryCounter.objects.filter(run_id=run_id).values_list(
        "log_lines", "log_open_lines", "log_open_bytes"
    ),
)
_PAYLOAD = PreparedSelect(
    "run_id",
    "first",
    build=lambda run_id, first: LogChunk.objects.filter(run_id=run_id, first_line=first).values_list(
        "payload", "first_time"
    ),
)


def pack_for(run_id: int, lines: LineColumns) -> PackedLines:
    """Pack at least one line for the log as it is now: before a transaction, so that other writers need not wait.

    The newest chunk is filled up where it takes the whole batch: packing a chunk anew for a part of a large batch
    would cost more than the few rows that it saves.
    """
    log_lines, open_lines, open_bytes = _STATE.first(run_id=run_id) or (0, 0, 0)
    sizes = _running_bytes(lines.texts)
    is_filled = 0 < open_lines <= MAX_CHUNK_LINES - len(lines) and open_bytes + sizes[-1] <= MAX_CHUNK_TEXT_BYTES
    before = _PAYLOAD.first(run_id=run_id, first=log_lines - open_lines) if is_filled else None
    if before is not None:
        payload, first_time = before
        filled = unpack_lines(payload) + lines
        packing = Packed(filled, lines, open_bytes + sizes[-1], pack_lines(filled), first_time)
        return PackedLines(log_lines, sizes[-1], [packing])
    chunks = []
    for start, stop in _cut(sizes):
        part = lines if stop - start == len(lines) else lines.part(start, stop)
        chunks.append(Packed(part, part, sizes[stop] - sizes[start], pack_lines(part)))
    return PackedLines(log_lines, sizes[-1], chunks)


def store_lines(run_id: int, lines: LineColumns, packed: PackedLines) -> None:
    """Number the lines and store them as they are packed; runs inside the caller's transaction.

    When others came in between, the lines are packed anew.
    """
    counter = lock_counter(run_id)
    if packed.log_lines != counter.log_lines:
        packed = pack_for(run_id, lines)
    tally: Tally = counter.log_tally
    greatest, place = counter.log_last_time, counter.log_lines
    for packing in packed.chunks:
        tally = add_lines(tally, packing.added)
        first_time = max(greatest, packing.lines.times[0]) if packing.first_time is None else packing.first_time
        chunk = _describe(packing, first_time=first_time)
        greatest = max(greatest, *packing.added.times)
        chunk.run_id, chunk.last_time, chunk.tally = run_id, greatest, tally
        place += len(packing.added)
        chunk.first_line = place - chunk.lines
        if packing.first_time is None:
            _INSERT_CHUNK.execute(chunk)
        else:
            _FILL_UP.execute(chunk)
    counter.log_lines, counter.log_last_time, counter.log_tally = place, greatest, tally
    counter.log_bytes += packed.text_bytes
    counter.log_open_lines, counter.log_open_bytes = chunk.lines, chunk.text_bytes
    _COUNT_LINES.execute(counter)


def _describe(packing: Packed, *, first_time: int) -> LogChunk:
    """Return a chunk with all that follows from its lines alone."""
    times = packing.lines.times
    earliest = min(times)
    return LogChunk(
        lines=len(times),
        first_time=first_time,
        earliest_time=earliest,
        latest_time=max(times),
        is_late=earliest < first_time,
        text_bytes=packing.text_bytes,
        payload=packing.payload,
    )


_FILL_UP = PreparedRowUpdate(
    LogChunk,
    fields=("lines", "last_time", "earliest_time", "latest_time", "is_late", "tally", "text_bytes", "payload"),
    keys=("run_id", "first_line"),
)
_COUNT_LINES = PreparedRowUpdate(
    TelemetryCounter,
    fields=("log_lines", "log_bytes", "log_last_time", "log_tally", "log_open_lines", "log_open_bytes"),
    keys=("run_id",),
)


def _cut(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield index ranges of lines that fill chunks, a line that is too large alone in one."""
    start, count = 0, len(sizes) - 1
    while start < count:
        by_bytes = bisect_right(sizes, sizes[start] + MAX_CHUNK_TEXT_BYTES, lo=start) - 1 - start
        stop = start + max(1, min(by_bytes, MAX_CHUNK_LINES, count - start))
        yield start, stop
        start = stop


def _running_bytes(texts: Sequence[str]) -> list[int]:
    """Return the running sums of UTF-8 bytes, from 0."""
    sizes = map(len, texts) if all(map(str.isascii, texts)) else (len(text.encode()) for text in texts)
    return list(itertools.accumulate(sizes, initial=0))
