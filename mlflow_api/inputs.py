"""The datasets that runs read, as MLflow clients read them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models.functions import Length

from mlflow_api.rows import RowsOfRuns
from runs.models import RunDataset
from runs.telemetry.newest import in_slices

MOST_TEXT = 4 * 2**20  # characters of schemas and profiles that are told of one run; what goes beyond is left out
MOST_LISTED_TEXT = 64 * 2**10  # the same of each run of a list
LISTED_TEXT = 4096  # characters of the schema and profile of a dataset that are told in a list of runs
_FIELDS = ("name", "digest", "source_type", "source")
_ROWS = RowsOfRuns(RunDataset.objects.order_by("pk"), "run_id", "pk", "tags", *_FIELDS)
_SIZES = RowsOfRuns(
    RunDataset.objects.annotate(size=Length("schema") + Length("profile")).order_by("size", "pk"),
    *("run_id", "pk", "size"),
)


def dataset_inputs(run_ids: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    """Return the datasets of runs by the run's key, as they were logged; one query for runs without any.

    Schemas and profiles are up to 17 MiB each time: of one run 4 MiB are told, the shorter ones first, and of several
    runs 64 KiB each, none over 4,096 characters. The others are left out.
    """
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    sizes = list(_SIZES.of(run_ids))
    if not sizes:
        return found
    texts = _texts(list(_told(sizes, is_list=len(run_ids) > 1)))
    for run_id, key, tags, *described in _ROWS.of(run_ids):
        dataset = {**dict(zip(_FIELDS, described, strict=True)), **texts.get(key, {})}
        by_key = json.loads(tags) if isinstance(tags, str) else tags  # a prepared statement gives the column as it is
        pairs = [{"key": name, "value": value} for name, value in sorted(by_key.items())]
        found[run_id].append({"tags": pairs, "dataset": dataset})
    return found


def _told(sizes: Iterable[tuple[int, int, int]], *, is_list: bool) -> Iterable[int]:
    """Yield keys of the datasets whose schema and profile are told; `sizes` are run, key and characters, ascending."""
    left = defaultdict[int, int](lambda: MOST_LISTED_TEXT if is_list else MOST_TEXT)
    for run_id, key, size in sizes:
        if 0 < size <= (min(left[run_id], LISTED_TEXT) if is_list else left[run_id]):
            left[run_id] -= size
            yield key


def _texts(keys: Sequence[int]) -> dict[int, dict[str, str]]:
    """Return the schema and profile of some datasets by key, those that are not empty."""
    found: dict[int, dict[str, str]] = {}
    for some in in_slices(keys):
        for key, schema, profile in RunDataset.objects.filter(pk__in=some).values_list("pk", "schema", "profile"):
            found[key] = {name: text for name, text in (("schema", schema), ("profile", profile)) if text}
    return found
