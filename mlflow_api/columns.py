"""The metrics of a batch as columns, quickly when they are what clients mostly send: a thousand at a time."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from mlflow_api.errors import MlflowError
from mlflow_api.keys import check_key
from runs.telemetry.points import INT64_MAX, INT64_MIN
from runs.tracking.external import MAX_TIME_MS

Columns = dict[str, list[Any]]
_POINT = itemgetter("key", "value", "timestamp", "step")


def read_columns(metrics: Any) -> dict[str, Columns] | None:
    """Return `step`, `time` and `value` by key, of objects that all have plain values for all four fields.

    None for anything else, also for what is wrong: reading the points one by one tells which one it is, and knows the
    other ways to write a number. None too where one names the model that it is of.
    """
    if not isinstance(metrics, list) or set(map(type, metrics)) != {dict}:
        return None
    if any("model_id" in metric for metric in metrics):
        return None
    try:
        keys, values, times, steps = zip(*map(_POINT, metrics), strict=True)
        if not _are_plain(keys, values, times, steps):
            return None
        found: dict[str, Columns] = {
            check_key(key): {"step": [], "time": [], "value": []} for key in dict.fromkeys(keys)
        }
    except (KeyError, MlflowError):
        return None
    appending = {key: [column.append for column in columns.values()] for key, columns in found.items()}
    for key, step, time, value in zip(keys, steps, times, values, strict=True):
        add_step, add_time, add_value = appending[key]
        add_step(step)
        add_time(time)
        add_value(value)
    return found


def _are_plain(keys: Sequence[Any], values: Sequence[Any], times: Sequence[Any], steps: Sequence[Any]) -> bool:
    """Tell whether the columns are texts, numbers, times and whole numbers of 64 bits as they are."""
    if set(map(type, keys)) != {str} or not set(map(type, values)) <= {float, int}:
        return False
    if not set(map(type, times)) == set(map(type, steps)) == {int}:
        return False
    within = (min(times) >= 0, max(times) <= MAX_TIME_MS, min(steps) >= INT64_MIN, max(steps) <= INT64_MAX)
    return all(within)
