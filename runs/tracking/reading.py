"""What tracking clients told of a run beside its metrics, as its page shows it: bounded, whatever they sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models.functions import Left, Length

from runs.models import Run, RunTracking
from runs.parameters import LOGGED
from runs.tracking.datasets import CONTEXT_TAG
from runs.tracking.writing import NAME_TAG

MAX_PARAMETERS = 1000  # on the page; the run's JSON has all
MAX_TAGS = 200
MAX_DATASETS = 50
MAX_TEXT = 2000  # characters of one parameter, tag or source
MAX_SCHEMA = 20_000  # characters of a schema or profile, of which clients may send 16 MiB
NESTED_SHOWN = 5
SYSTEM_TAGS = "mlflow."  # what clients' libraries write by themselves begins so


@dataclass(frozen=True)
class Text:
    """The beginning of what a client wrote; `length` is how many characters it has in all."""

    shown: str
    length: int

    def __str__(self) -> str:
        rest = f"… ({self.length:,} characters in all)" if self.length > len(self.shown) else ""
        return self.shown + rest


@dataclass(frozen=True)
class Dataset:
    """A dataset that the run reads; `tags` are those beside its context."""

    name: str
    digest: str
    context: str
    source_type: str
    source: Text
    schema: Text
    profile: Text
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Account:
    """What clients told. `tags` are people's own, `system_tags` those of libraries but for the name; both by key.

    `parent` is the run below which this one is nested, `job` the managed run whose token made it, `nested` the newest
    of those below it; `has_more` names what is cut: parameters, tags, datasets, nested.
    """

    parameters: dict[str, Text]
    tags: dict[str, Text]
    system_tags: dict[str, Text]
    datasets: list[Dataset]
    user: str
    parent: Run | None
    job: Run | None
    nested: list[Run]
    has_more: frozenset[str]

    def tag(self, name: str) -> str:
        """Return the value of a library's tag, such as source.name; empty without."""
        found = self.system_tags.get(SYSTEM_TAGS + name)
        return str(found) if found else ""

    @property
    def has_part(self) -> bool:
        """Whether the page has a part for it: parameters stand with those of the launch."""
        relatives = self.parent or self.job or self.nested
        return bool(self.tags or self.system_tags or self.datasets or self.user or relatives)

    @property
    def source(self) -> str:
        """The program that the client runs in."""
        return self.tag("source.name")

    @property
    def commit(self) -> str:
        """The git commit of that program."""
        return self.tag("source.git.commit")


def read_account(run: Run) -> Account:
    """Return what clients told of `run`. Five queries."""
    more: set[str] = set()
    tags = _read_tags(run, more)
    tracking = _read_tracking(run)
    nested = Run.objects.not_deleted().filter(tracking__parent=run).order_by("-id").only("uid", "name", "status")
    user = tracking.user_id if tracking else ""
    return Account(
        parameters=_read_parameters(run, more),
        tags={key: value for key, value in tags.items() if not key.startswith(SYSTEM_TAGS)},
        system_tags={key: value for key, value in tags.items() if key.startswith(SYSTEM_TAGS) and key != NAME_TAG},
        datasets=_read_datasets(run, more),
        user=user or str(tags.get(f"{SYSTEM_TAGS}user", "")),
        parent=_kept(tracking.parent if tracking else None),
        job=_kept(tracking.job if tracking else None),
        nested=_first(list(nested[: NESTED_SHOWN + 1]), NESTED_SHOWN, "nested", more),
        has_more=frozenset(more),
    )


def _read_parameters(run: Run, more: set[str]) -> dict[str, Text]:
    rows = run.parameters.filter(group=LOGGED).order_by("name")
    found = rows.values_list("name", Left("value", MAX_TEXT), Length("value"))[: MAX_PARAMETERS + 1]
    return {
        name: Text(value or "", length or 0)
        for name, value, length in _first(list(found), MAX_PARAMETERS, "parameters", more)
    }


def _read_tags(run: Run, more: set[str]) -> dict[str, Text]:
    found = run.tags.order_by("key").values_list("key", Left("value", MAX_TEXT), Length("value"))[: MAX_TAGS + 1]
    return {key: Text(value, length) for key, value, length in _first(list(found), MAX_TAGS, "tags", more)}


def _read_datasets(run: Run, more: set[str]) -> list[Dataset]:
    rows = run.datasets.order_by("name", "digest").defer("source", "schema", "profile").annotate(
        source_start=Left("source", MAX_TEXT), source_length=Length("source"),
        schema_start=Left("schema", MAX_SCHEMA), schema_length=Length("schema"),
        profile_start=Left("profile", MAX_SCHEMA), profile_length=Length("profile"),
    )  # fmt: skip
    return [
        Dataset(
            name=row.name,
            digest=row.digest,
            context=row.context,
            source_type=row.source_type,
            source=Text(row.source_start, row.source_length),
            schema=Text(row.schema_start, row.schema_length),
            profile=Text(row.profile_start, row.profile_length),
            tags={key: value for key, value in row.tags.items() if key != CONTEXT_TAG},
        )
        for row in _first(list(rows[: MAX_DATASETS + 1]), MAX_DATASETS, "datasets", more)
    ]


def _read_tracking(run: Run) -> RunTracking | None:
    relatives = [f"{name}__{field}" for name in ("parent", "job") for field in ("uid", "name", "status", "deleted_at")]
    rows = RunTracking.objects.filter(run=run).select_related("parent", "job")
    return rows.only("user_id", "parent_id", "job_id", *relatives).first()


def _kept(run: Run | None) -> Run | None:
    """Return a run that was not deleted meanwhile."""
    return run if run is not None and run.deleted_at is None else None


def _first(rows: list[Any], most: int, name: str, more: set[str]) -> list[Any]:
    if len(rows) > most:
        more.add(name)
    return rows[:most]
