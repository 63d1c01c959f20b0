"""What is built on checkpoints, and so keeps them for ever: tags, resumed runs, restarts, models."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from django.db.models import CharField, F, IntegerField, Q, QuerySet, Value
from django.db.models.functions import Cast, Coalesce

from artifacts.keeping.rule import Holds, Reason
from artifacts.models import Artifact, ArtifactTag, LoggedModel, ModelVersion
from runs.models import Attempt, Run


def read_ties(run_ids: Collection[int]) -> dict[int, list[Reason]]:
    """Return what is built on the checkpoints of some runs, by the key of the artifact. One query."""
    if not run_ids:
        return {}
    tags, *others = _selects(run_ids)
    found: dict[int, dict[Reason, None]] = defaultdict(dict)  # a run that was resumed, and its attempts, say one thing
    for artifact_id, kind, word, name, number in tags.union(*others, all=True):
        found[artifact_id][Reason(Holds(kind), _say(Holds(kind), word, name, number))] = None
    return {artifact_id: list(reasons) for artifact_id, reasons in found.items()}


def tied(rows: QuerySet[Artifact], kind: Holds) -> QuerySet[Artifact]:
    """Keep the artifacts that something of a kind is built on: tag, resumed (also restored), registered or logged."""
    conditions = {
        Holds.TAG: Q(pk__in=ArtifactTag.objects.values("artifact")),
        Holds.RESUMED: Q(pk__in=Run.objects.not_deleted().filter(resumed_from__isnull=False).values("resumed_from"))
        | Q(pk__in=_restored().values("resume_from")),
        Holds.REGISTERED: Q(pk__in=ModelVersion.objects.kept().filter(artifact__isnull=False).values("artifact")),
        Holds.LOGGED: Q(pk__in=LoggedModel.objects.filter(artifact__isnull=False).values("artifact")),
    }
    return rows.filter(conditions[kind])


def _restored() -> QuerySet[Attempt]:
    return Attempt.objects.filter(resume_from__isnull=False, run__deleted_at=None)


def _selects(run_ids: Collection[int]) -> list[Any]:
    """Return for each kind of tie: artifact, kind, a word, a name, a number."""
    people = Coalesce(F("applied_by__username"), Value("somebody who left"))
    tags = ArtifactTag.objects.filter(artifact__run__in=run_ids)
    resumed = Run.objects.not_deleted().filter(resumed_from__run__in=run_ids)
    # The first attempt of a resumed run restores what the run was resumed from; the run says so itself.
    restored = _restored().filter(resume_from__run__in=run_ids).exclude(run__resumed_from=F("resume_from"))
    versions = ModelVersion.objects.kept().filter(artifact__run__in=run_ids)
    logged = LoggedModel.objects.filter(artifact__run__in=run_ids)
    return [
        _columns(tags, Holds.TAG, F("artifact_id"), F("value"), people),
        _columns(resumed, Holds.RESUMED, F("resumed_from_id"), F("uid"), F("name")),
        _columns(restored, Holds.RESTORED, F("resume_from_id"), F("run__uid"), F("run__name"), F("number")),
        _columns(versions, Holds.REGISTERED, F("artifact_id"), Value(""), F("model__name"), F("number")),
        _columns(logged, Holds.LOGGED, F("artifact_id"), Value(""), F("name")),
    ]


def _columns(rows: Any, kind: Holds, artifact: F, word: Any, name: Any, number: Any = None) -> Any:
    text = CharField()
    return rows.order_by().values_list(
        artifact,
        Value(kind.value, output_field=text),
        Cast(word, text),
        Cast(name, text),
        Cast(number if number is not None else Value(0), IntegerField()),
    )


def _say(kind: Holds, word: str, name: str, number: int) -> str:
    match kind:
        case Holds.TAG:
            return f"tagged {word} by {name}"
        case Holds.RESUMED:
            return f"the run {name} ({word}) was resumed from it"
        case Holds.RESTORED:
            return f"attempt {number} of the run {name} ({word}) restored it"
        case Holds.REGISTERED:
            return f"version {number} of the registered model {name}"
        case _:
            return f"the logged model {name}"
