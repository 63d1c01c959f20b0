"""Joining chunks into sections: what charts of millions of points read instead of thousands of chunks."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.db.models import Count, F, QuerySet

from runs.models import MetricChunk, MetricSection, TelemetryCounter
from runs.telemetry.newest import in_slices, lock_counter
from runs.telemetry.point_packing import POINT_BYTES, ChunkHead, pack_heads, pack_selection, unpack_selections
from runs.telemetry.thinning import SECTION_PARTS, select

SECTION_CHUNKS = 64


def make_sections(*, run_id: int, keys: Sequence[str] | None = None) -> int:
    """Join the loose full chunks of some metrics (None: all) wherever there are enough; return how many were made.

    Each is one transaction of its own. Safe to call at any time, by several callers at once, and after a crash.
    """
    loose = MetricChunk.objects.filter(run_id=run_id, is_loose=True, is_open=False)
    return sum(_make_all(loose, key, attempt, count) for key, attempt, count in _enough(loose, keys))


def _enough(loose: QuerySet[MetricChunk], keys: Sequence[str] | None) -> list[tuple[str, int, int]]:
    """Return metric, attempt and number of loose chunks where a section can be made."""
    found: list[tuple[str, int, int]] = []
    for some in [loose] if keys is None else [loose.filter(key__in=some) for some in in_slices(keys)]:
        counted = some.values("key", "attempt_number").annotate(count=Count("id")).filter(count__gte=SECTION_CHUNKS)
        found += counted.order_by().values_list("key", "attempt_number", "count")
    return found


def _make_all(loose: QuerySet[MetricChunk], key: str, attempt_number: int, count: int) -> int:
    of_series = loose.filter(key=key, attempt_number=attempt_number).order_by("id")
    made = 0
    while count >= SECTION_CHUNKS:
        chunks = list(of_series.defer("sketch", "payload")[:SECTION_CHUNKS])
        if len(chunks) < SECTION_CHUNKS or not _save(make_section(chunks), [chunk.id for chunk in chunks]):
            return made  # another caller was faster
        count -= SECTION_CHUNKS
        made += 1
    return made


def make_section(chunks: Sequence[MetricChunk]) -> MetricSection:
    """Return the unsaved section of some full chunks of one metric and attempt, given in the order of their ids."""
    outlines = b"".join(chunk.outline for chunk in chunks)
    points = unpack_selections([outlines]).sorted()
    outline, sketch = select(points, SECTION_PARTS)
    return MetricSection(
        run_id=chunks[0].run_id,
        key=chunks[0].key,
        attempt_number=chunks[0].attempt_number,
        first_step=min(chunk.first_step for chunk in chunks),
        last_step=max(chunk.last_step for chunk in chunks),
        first_time=min(chunk.first_time for chunk in chunks),
        last_time=max(chunk.last_time for chunk in chunks),
        points=sum(chunk.points for chunk in chunks),
        chunks=pack_heads([_head(chunk) for chunk in chunks]),
        outline=pack_selection(points, outline),
        sketch=pack_selection(points, sketch),
        outlines=outlines,
    )


def _head(chunk: MetricChunk) -> ChunkHead:
    return ChunkHead(
        chunk.id,
        chunk.points,
        chunk.first_step,
        chunk.last_step,
        chunk.first_time,
        chunk.last_time,
        len(chunk.outline) // POINT_BYTES,
    )


def _save(section: MetricSection, chunk_ids: list[int]) -> bool:
    """Store the section and take its chunks; False, and nothing changed, when one of them is no longer loose."""
    with transaction.atomic():
        lock_counter(section.run_id)
        loose = MetricChunk.objects.filter(id__in=chunk_ids, is_loose=True)
        if loose.count() != len(chunk_ids):
            return False
        loose.update(is_loose=False)
        section.save(force_insert=True)
        TelemetryCounter.objects.filter(run_id=section.run_id).update(folds=F("folds") + 1)
    return True
