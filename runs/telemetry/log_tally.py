"""How many lines of each kind a log holds: [attempt, stream, level, lines] for each combination that occurs.

Tallies are running sums (`runs.models.LogChunk.tally`), so that the number of lines of any attempts, streams and
levels between two chunks is a difference of two of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

from runs.telemetry.line_packing import LineColumns

Tally: TypeAlias = Sequence[Sequence[int]]


def add_lines(tally: Tally, lines: LineColumns) -> list[list[int]]:
    """Return the tally with at least one line more; kinds are sorted."""
    counts = Counter({(attempt, stream, level): count for attempt, stream, level, count in tally})
    if lines.attempts[0] == lines.attempts[-1] and lines.streams.count(lines.streams[0]) == len(lines):
        attempt, stream = lines.attempts[0], lines.streams[0]
        counts.update({(attempt, stream, level): lines.levels.count(level) for level in set(lines.levels)})
    else:
        counts.update(zip(lines.attempts, lines.streams, lines.levels, strict=True))
    return [[*kind, count] for kind, count in sorted(counts.items())]
