"""Finding a page of runs: which ones fulfil all of a filter, in the order asked for.

One of three ways, all by the same query, which looks at

1. few runs, when something asked for leaves at most FEW;
2. those that come first by the leading column, more and more of them up to MOST_CANDIDATES;
3. all runs that may be seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mlflow_api.search.conditions import Condition
from mlflow_api.search.ordering import Ordering, Place
from mlflow_api.search.peeking import find_candidates
from runs.querysets import RunQuerySet

FEW = 500  # runs; sorting as many takes 2 ms
_FIRST_CANDIDATES = 100
_GROWTH = 8
MOST_CANDIDATES = 4000  # of one index; looking at as many takes some 20 ms


@dataclass(frozen=True)
class RunSearch:
    """What is asked for: `rows` are the runs that may be seen, in no order."""

    rows: RunQuerySet
    conditions: Sequence[Condition]
    ordering: Ordering

    def page(self, after: Place | None, size: int) -> tuple[list[int], Place | None]:
        """Return the keys of the `size` runs behind `after`, in order; and the last one's place when more follow."""
        found = self._find(after, size + 1)
        return [place.key for place in found[:size]], found[size - 1] if len(found) > size else None

    def _find(self, after: Place | None, size: int) -> list[Place]:
        few = self._few()
        if few is not None:
            return self._among(few, after, size)
        for looked_at in _amounts(size):
            found = self._peek(after, size, looked_at)
            if found is not None:
                return found
        return self.ordering.places(self._fulfilling(), after, size)

    def _fulfilling(self) -> RunQuerySet:
        rows = self.rows
        for condition in self.conditions:
            rows = rows.filter(condition.fulfils)
        return rows

    def _among(self, keys: Sequence[int], after: Place | None, size: int) -> list[Place]:
        return self.ordering.places(self._fulfilling().filter(pk__in=keys), after, size)

    def _few(self) -> list[int] | None:
        """Return the keys of all runs that may fulfil the filter when they are FEW, else None. A query or two each."""
        places = [condition.few for condition in self.conditions if condition.few]
        for rows in [*places, (self.rows.values_list("pk"),)]:
            # Rows are counted, not runs: a run may have several, and behind a cut there may be other runs.
            found = [key for some in rows for (key,) in some[: FEW + 1]]
            if len(found) <= FEW:
                return list(set(found))
        return None

    def _peek(self, after: Place | None, size: int, looked_at: int) -> list[Place] | None:
        """Return the places when they are among so many that come first, else None."""
        candidates = find_candidates(self.ordering, after, looked_at)
        if candidates is None:
            return None
        found = self._among(candidates.keys, after, size)
        if candidates.is_all or (len(found) == size and candidates.are_before(self.ordering.sorts[0], found[-1])):
            return found
        return None


def _amounts(size: int) -> Iterator[int]:
    """Yield how many candidates to look at, one amount after the other."""
    amount = max(2 * size, _FIRST_CANDIDATES)
    while amount < MOST_CANDIDATES:
        yield amount
        amount *= _GROWTH
    if 2 * size <= MOST_CANDIDATES:
        yield MOST_CANDIDATES
