"""What searches ask for in the same way: view and size."""

from __future__ import annotations

from enum import Enum

from mlflow_api.errors import invalid
from mlflow_api.fields import Fields

MAX_RESULTS = 50_000
MAX_EXPERIMENTS = 5000


class ViewType(Enum):
    """Which rows are wanted; deleted are those that are archived."""

    ACTIVE_ONLY = 1
    DELETED_ONLY = 2
    ALL = 3


def read_view(fields: Fields, name: str) -> ViewType:
    """Return the view, active rows when none is named. Raises: MlflowError (400)."""
    return fields.choice(name, ViewType) or ViewType.ACTIVE_ONLY


def read_experiments(fields: Fields) -> list[str]:
    """Return the ids of the experiments to look in, at most MAX_EXPERIMENTS. Raises: MlflowError (400)."""
    uids = fields.texts("experiment_ids")
    if len(uids) > MAX_EXPERIMENTS:
        raise invalid(f"Invalid value for parameter 'experiment_ids': at most {MAX_EXPERIMENTS} are taken.")
    return uids


def read_size(fields: Fields, default: int | None = None, most: int = MAX_RESULTS) -> int:
    """Return how many rows are wanted. Raises: MlflowError (400), also when there is no default and none is given."""
    size = fields.whole("max_results", default)
    if size is None or not 0 < size <= most:
        raise invalid(f"Invalid value for parameter 'max_results': it must be from 1 to {most}.")
    return size
