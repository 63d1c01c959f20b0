"""Rows that belong to runs, by the keys of the runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import QuerySet

from runs.telemetry.prepared import PreparedSelect


class RowsOfRuns:
    """Some columns of the rows of a table with `run`, none of them a time: numbers and texts alone."""

    def __init__(self, rows: QuerySet[Any], *columns: str) -> None:
        self._rows = rows.values_list(*columns)
        self._of_one = PreparedSelect("run_id", build=lambda run_id: self._rows.filter(run_id=run_id))

    def of(self, runs: Sequence[int]) -> Iterable[tuple[Any, ...]]:
        """Return the rows of runs in one query, which for one run, the usual case, need not be compiled again."""
        if len(runs) == 1:
            return self._of_one.rows(run_id=runs[0])
        return self._rows.filter(run__in=runs)
