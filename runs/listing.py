"""Lists of runs: which runs a page shows, by page number or by cursor, and how many there are.

A database that is left to choose has traps here: newest first with a condition is quick when many runs fulfil it and
takes seconds when none does, the other way round for its opposite, and statistics do not tell which it is. So a list
with conditions, or ordered by a metric, is answered in one of three ways, and what each may cost is bounded:

1. Few: something asked for leaves at most FEW runs. Those are looked at one by one.
2. Peek: 8 times as many runs as are wanted, at most WINDOW, are looked at; when one in eight fits, the page is full.
3. Walk: the index of the order is walked, and what fits is a set that the database makes once beforehand.

Only keys of runs are found here; all of it is read from indexes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db.models import Q, QuerySet

from runs.comparing import fulfilling, holds, values_at
from runs.conditions import METRICS, Condition, Place
from runs.models import Run
from runs.ordering import Order, Position
from runs.parts import FEW, WINDOW, asked_of_each, parts_of
from runs.querysets import RunQuerySet


@dataclass(frozen=True)
class RunList:
    """What a list asks for.

    `rows` has the plain filters, in no order; `projects` are the keys of the projects whose runs may be seen, None
    for all; every one of `conditions` must hold.
    """

    rows: RunQuerySet
    projects: tuple[int, ...] | None
    conditions: tuple[Condition, ...]
    order: Order

    def page(self, *, start: int, size: int) -> list[int]:
        """Return the keys of `size` runs from number `start` of the list on, in order."""
        return [position.run_id for position in self._find(None, start, size)]

    def after(self, position: Position | None, *, size: int) -> tuple[list[int], Position | None]:
        """Return the keys of the `size` runs behind `position`, and the last one's position when more follow."""
        found = self._find(position, 0, size + 1)
        shown = found[:size]
        return [one.run_id for one in shown], shown[-1] if len(found) > size else None

    def count(self) -> int:
        """Return how many runs the list has."""
        if self._few is not None:
            return len(self._few)
        if len(self.conditions) == 1 and not self._is_restricted:
            return fulfilling(self.conditions[0]).count()
        return self._fulfilling_all(self._visible).count()

    # --- What fits ------------------------------------------------------------------------------------
    @property
    def _is_restricted(self) -> bool:
        """Whether anything but conditions keeps runs out."""
        return self.projects is not None or bool(self.rows.query.has_filters())

    @property
    def _visible(self) -> RunQuerySet:
        return self.rows.of_projects(self.projects)

    @cached_property
    def _few(self) -> list[int] | None:
        """The keys of all runs that fit when something asked for leaves at most FEW, else None."""
        asked: list[QuerySet[Any, Any]] = [fulfilling(one).values_list("run_id", flat=True) for one in self.conditions]
        if self._is_restricted and (self.conditions or self.order.metric):
            asked.append(self._visible.values_list("pk", flat=True))
        sizes = [rows[: FEW + 1].count() for rows in asked]
        if not sizes or min(sizes) > FEW:
            return None
        return self._fit(list(asked[sizes.index(min(sizes))][:FEW]))

    def _fit(self, run_ids: Sequence[int]) -> list[int]:
        """Return those of some runs that fit, in the same order. A query, and one for each condition."""
        kept = list(run_ids)
        if self._is_restricted:
            visible = set(self._visible.filter(pk__in=kept).values_list("pk", flat=True))
            kept = [run_id for run_id in kept if run_id in visible]
        for condition in self.conditions:
            values = values_at(condition.place, kept)
            kept = [run_id for run_id in kept if holds(condition, values.get(run_id))]
        return kept

    def _walkable(self) -> RunQuerySet:
        """Return the visible runs, for a walk along the index of the order: several projects are no place to start."""
        if self.projects is None or len(self.projects) < 2:
            return self._visible
        return self.rows.filter(asked_of_each(Q(project__in=self.projects)))

    def _fulfilling_all(self, rows: RunQuerySet) -> RunQuerySet:
        for condition in self.conditions:
            rows = rows.filter(asked_of_each(Q(pk__in=fulfilling(condition).values("run_id"))))
        return rows

    # --- In order -------------------------------------------------------------------------------------
    def _find(self, position: Position | None, skip: int, size: int) -> list[Position]:
        if self._few is not None and self.order.metric:
            return self._sort(position, self._few)[skip : skip + size]
        if self._few is not None:
            return self._walk(Run.objects.filter(pk__in=self._few), position, skip, size)
        if self.conditions or (self.order.metric and self._is_restricted):
            peeked = self._peek(position, skip + size)
            if peeked is not None:
                return peeked[skip:]
        return self._walk(self._fulfilling_all(self._walkable()), position, skip, size)

    def _sort(self, position: Position | None, run_ids: Sequence[int]) -> list[Position]:
        """Return the positions of few runs behind `position`, ordered by a metric."""
        values = values_at(Place(METRICS, self.order.metric), run_ids)
        sign = -1 if self.order.is_descending else 1

        def place(one: Position) -> tuple[bool, Any, int]:
            return (True, 0, -one.run_id) if one.value is None else (False, sign * one.value, sign * one.run_id)

        ordered = sorted((Position(values.get(run_id), run_id) for run_id in run_ids), key=place)
        return [one for one in ordered if position is None or place(one) > place(position)]

    def _peek(self, position: Position | None, size: int) -> list[Position] | None:
        """Return the next `size` positions when the next 8 times as many runs hold enough, else None."""
        if size > WINDOW or (position is not None and position.value is None):
            return None
        seen = parts_of(self.order, self._visible, is_all=True)[0].take(position, 0, min(8 * size, WINDOW))
        fitting = set(self._fit([one.run_id for one in seen]))
        found = [one for one in seen if one.run_id in fitting]
        return found[:size] if len(found) >= size else None

    def _walk(self, rows: RunQuerySet, position: Position | None, skip: int, size: int) -> list[Position]:
        """Return positions from one part of the list after the other."""
        found: list[Position] = []
        parts = parts_of(self.order, rows, is_all=not (self._is_restricted or self.conditions))
        for part in parts[-1:] if position is not None and position.value is None else parts:
            found += part.take(position, skip, size - len(found))
            if len(found) == size:
                break
            skip = max(0, skip - part.count()) if skip and not found else 0
            position = None
        return found
