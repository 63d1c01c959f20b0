"""Readers beside removal: a log or a metric history is there as a whole, or not at all.

Removal first marks what goes (`runs.telemetry.removal`) and deletes rows afterwards. A reader that looks for the mark
once it has read therefore knows what it holds: without the mark not one row had gone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import ParamSpec, TypeVar, cast

from runs.models import Run
from runs.telemetry.prepared import PreparedSelect
from trainhub.errors import Removed

P = ParamSpec("P")
T = TypeVar("T")


_HAS_LOG = PreparedSelect(
    "run_id", build=lambda run_id: Run.objects.filter(pk=run_id, log_removed_at=None).order_by().values_list("pk")
)


def has_log(run_id: int) -> bool:
    """Tell whether the run is there and its log was not removed. One query."""
    return _HAS_LOG.first(run_id=run_id) is not None


def log_removed_at(run_id: int) -> datetime | None:
    """Return when the log of a run was removed; None when it was not."""
    return Run.objects.filter(pk=run_id).values_list("log_removed_at", flat=True).first()


_HAS_METRICS = PreparedSelect(
    "run_id", build=lambda run_id: Run.objects.filter(pk=run_id, metrics_removed_at=None).order_by().values_list("pk")
)


def has_metrics(run_id: int) -> bool:
    """Tell whether the run is there and its metric history was not removed. One query."""
    return _HAS_METRICS.first(run_id=run_id) is not None


def metrics_removed_at(run_id: int) -> datetime | None:
    """Return when the metric history of a run was removed; None when it was not."""
    return Run.objects.filter(pk=run_id).values_list("metrics_removed_at", flat=True).first()


def all_or_nothing(
    is_there: Callable[[int], bool], nothing: Callable[..., T]
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Make a reader with the keyword `run_id` answer `nothing` when removal began before it was done.

    `nothing` gets the reader's own arguments.
    """

    def decorate(read: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(read)
        def reader(*args: P.args, **kwargs: P.kwargs) -> T:
            run_id = cast("int", kwargs["run_id"])
            try:
                found = read(*args, **kwargs)
            except KeyError:  # a row that was counted is gone
                if is_there(run_id):
                    raise
                return nothing(*args, **kwargs)
            return found if is_there(run_id) else nothing(*args, **kwargs)

        return reader

    return decorate


def unbroken(run_id: int, lines: Iterator[T]) -> Iterator[T]:
    """Yield the lines of a log; when it is removed meanwhile, end with an error and not as if that were all.

    Raises: Removed.
    """
    try:
        yield from lines
    except KeyError:
        if has_log(run_id):
            raise
    if not has_log(run_id):
        raise Removed("The log was removed while it was read; what came of it is not all.")
