"""Shapes of runs in the API."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from runs.attempts import is_unreachable
from runs.executor_use import ExecutorUse
from runs.lifecycle import allowed_next
from runs.models import Attempt, Run, RunDataset, RunEvent, TelemetryCounter
from runs.parameters import LOGGED
from runs.receipts import cancel_receipt
from runs.recipes import with_defaults
from runs.tracking.hearing import last_heard
from runs.waiting import waiting_reason
from trainhub.api.renderers import api_time
from trainhub.api.serializers import ParametersField, UtcTimeField


class TagSerializer(serializers.Serializer[Any]):
    """A tag on a checkpoint."""

    value = serializers.CharField()
    notes = serializers.CharField()
    applied_at = UtcTimeField()
    applied_by = serializers.CharField(source="applied_by.username", allow_null=True, default=None)


class ProducedArtifactSerializer(serializers.Serializer[Any]):
    """An artifact as its run shows it."""

    id = serializers.CharField(source="uid")
    name = serializers.CharField()
    type = serializers.CharField()
    step = serializers.IntegerField(allow_null=True)
    path = serializers.CharField()
    size_bytes = serializers.IntegerField()
    sha256 = serializers.CharField(source="digest")
    state = serializers.CharField()
    created_at = UtcTimeField()
    removed_at = UtcTimeField(
        allow_null=True, help_text="When the project's rule for checkpoints removed its bytes; state is removed then."
    )
    simulated = serializers.BooleanField(source="run.is_simulated")
    tags = TagSerializer(many=True, source="tags.all")


class ReceiptSerializer(serializers.Serializer[Any]):
    """What a cancel did."""

    requested_at = serializers.DateTimeField()
    requested_by = serializers.CharField()
    signalled_at = serializers.DateTimeField(allow_null=True)
    checkpoint = serializers.DictField(allow_null=True, help_text="id, name, step, size_bytes, sha256, state, is_final")
    note = serializers.CharField()
    stopped_at = serializers.DateTimeField(allow_null=True)


class EvidenceSerializer(serializers.Serializer[Any]):
    """What the status rests on."""

    last_heartbeat_at = serializers.DateTimeField(
        allow_null=True, help_text="Of an external run: when its client last reported metrics or a status."
    )
    age_seconds = serializers.FloatField(allow_null=True)
    is_unreachable = serializers.BooleanField()
    host = serializers.CharField()
    attempt = serializers.IntegerField(allow_null=True)
    phase = serializers.CharField()
    clock_skew_seconds = serializers.FloatField(allow_null=True)


class RunSummarySerializer(serializers.ModelSerializer[Run]):
    """A run in a list."""

    id = serializers.CharField(source="uid")
    project_id = serializers.CharField(source="project.uid")
    simulated = serializers.BooleanField(source="is_simulated")
    metrics = serializers.SerializerMethodField()
    created_at = UtcTimeField()
    started_at = UtcTimeField(allow_null=True)
    updated_at = UtcTimeField()
    completed_at = UtcTimeField(allow_null=True)
    archived_at = UtcTimeField(allow_null=True)
    created_by = serializers.CharField(source="created_by.username", allow_null=True, default=None)
    is_unreachable = serializers.SerializerMethodField()
    waiting_reason = serializers.SerializerMethodField()

    class Meta:
        model = Run
        fields = [
            "id", "project_id", "name", "status", "reason", "waiting_reason", "is_unreachable", "simulated", "progress",
            "metrics", "recipe", "executor", "priority", "created_by", "created_at", "started_at", "updated_at",
            "completed_at", "archived_at",
        ]  # fmt: skip

    @extend_schema_field(serializers.DictField(child=serializers.FloatField(allow_null=True)))
    def get_metrics(self, run: Run) -> dict[str, float | None]:
        """Return the newest value of each metric; null stands for NaN and infinities. System metrics are left out."""
        newest = run.newest_metrics.all()
        return {metric.key: metric.value for metric in newest if not metric.key.startswith("system/")}

    def get_is_unreachable(self, run: Run) -> bool:
        """Tell whether the node of a live run has been silent for too long."""
        return any(is_unreachable(attempt) for attempt in run.attempts.all())

    def get_waiting_reason(self, run: Run) -> str:
        """Return why a queued run waits, or the job of a starting one in its engine's queue; else nothing."""
        return waiting_reason(run)


class RunDatasetSerializer(serializers.ModelSerializer[RunDataset]):
    """A dataset that a tracking client says a run reads; its schema and profile are on the run's page."""

    class Meta:
        model = RunDataset
        fields = ["name", "digest", "context", "source_type", "source"]


class RunSerializer(RunSummarySerializer):
    """A run with everything that its page shows, but for telemetry."""

    resumed_from = serializers.CharField(source="resumed_from.uid", allow_null=True, default=None)
    resumed_from_run = serializers.CharField(source="resumed_from.run.uid", allow_null=True, default=None)
    reason_text = serializers.CharField()
    model_parameters = ParametersField()
    hyperparameters = ParametersField()
    compute = ParametersField()
    config = serializers.SerializerMethodField()
    allowed = serializers.SerializerMethodField()
    queued_at = UtcTimeField()
    cancel_requested_at = UtcTimeField(allow_null=True)
    evidence = serializers.SerializerMethodField()
    receipt = serializers.SerializerMethodField()
    artifacts = serializers.SerializerMethodField()
    managed = serializers.BooleanField(source="is_managed", help_text="False: made and ended by a tracking client.")
    logged_parameters = serializers.SerializerMethodField()
    tags = serializers.SerializerMethodField()
    datasets = serializers.SerializerMethodField()
    parent = serializers.CharField(  # type: ignore[assignment] # DRF takes fields out of the class
        source="parent_uid", allow_null=True, default=None, help_text="The run that this one is nested in."
    )
    nested_runs = serializers.SerializerMethodField()

    class Meta(RunSummarySerializer.Meta):
        fields = [
            *RunSummarySerializer.Meta.fields, "description", "managed", "dataset", "model_parameters",
            "hyperparameters", "config", "compute", "max_restarts", "recipe_digest", "resumed_from", "resumed_from_run",
            "reason_text", "allowed", "queued_at", "cancel_requested_at", "evidence", "receipt", "artifacts",
            "logged_parameters", "tags", "datasets", "parent", "nested_runs",
        ]  # fmt: skip

    @extend_schema_field(serializers.DictField(help_text="Both groups of parameters with the recipe's defaults."))
    def get_config(self, run: Run) -> dict[str, Any]:
        """Return the parameters as the trainer gets them."""
        return {
            group: with_defaults(run.recipe_snapshot.get(group, {}), getattr(run, group))
            for group in ("model_parameters", "hyperparameters")
        }

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_allowed(self, run: Run) -> list[str]:
        """Return the statuses that may come next."""
        return allowed_next(run.status, is_managed=run.is_managed)

    @extend_schema_field(EvidenceSerializer)
    def get_evidence(self, run: Run) -> dict[str, Any]:
        """Return what the status rests on, and how old it is."""
        return describe_evidence(run)

    @extend_schema_field(ReceiptSerializer(allow_null=True))
    def get_receipt(self, run: Run) -> dict[str, Any] | None:
        """Return the receipt of a cancel."""
        return cancel_receipt(run)

    @extend_schema_field(ProducedArtifactSerializer(many=True))
    def get_artifacts(self, run: Run) -> list[dict[str, Any]]:
        """Return the whole artifacts, oldest first."""
        whole = run.artifacts.whole().with_tags().select_related("run")
        return list(ProducedArtifactSerializer(whole, many=True).data)

    @extend_schema_field(serializers.DictField(child=serializers.CharField()))
    def get_logged_parameters(self, run: Run) -> dict[str, str]:
        """Return the parameters that tracking clients logged, to the letter."""
        logged = run.parameters.filter(group=LOGGED).order_by("name").values_list("name", "value")
        return {name: value or "" for name, value in logged}

    @extend_schema_field(serializers.DictField(child=serializers.CharField()))
    def get_tags(self, run: Run) -> dict[str, str]:
        """Return the tags that tracking clients put on the run."""
        return dict(run.tags.order_by("key").values_list("key", "value"))

    @extend_schema_field(RunDatasetSerializer(many=True))
    def get_datasets(self, run: Run) -> list[dict[str, Any]]:
        """Return the datasets that tracking clients named."""
        rows = run.datasets.order_by("name", "digest").defer("schema", "profile")
        return list(RunDatasetSerializer(rows, many=True).data)

    def get_nested_runs(self, run: Run) -> int:
        """Return how many runs are nested in this one; `/runs?parent=` lists them."""
        return run.nested.filter(run__deleted_at=None).count()


def describe_evidence(run: Run) -> dict[str, Any]:
    """Return the last sign of life of the newest attempt, or of an external run's client, and its age in seconds."""
    attempt = max(run.attempts.all(), key=lambda item: item.number, default=None)
    heard = attempt.heartbeat_at if attempt else None if run.is_managed else last_heard(run, newest_at(run))
    return {
        "last_heartbeat_at": api_time(heard),
        "age_seconds": round((timezone.now() - heard).total_seconds(), 1) if heard else None,
        "is_unreachable": is_unreachable(attempt),
        "host": attempt.host if attempt else "",
        "attempt": attempt.number if attempt else None,
        "phase": attempt.phase if attempt else "",
        "clock_skew_seconds": attempt.clock_skew_seconds if attempt else None,
    }


def newest_at(run: Run) -> datetime | None:
    """Return when metrics of a run last came; a query unless it was loaded with the run."""
    if hasattr(run, "newest_at"):
        return run.newest_at
    return TelemetryCounter.objects.filter(run=run.pk).values_list("newest_at", flat=True).first()


class RemovedAtField(serializers.DateTimeField):
    """When what is asked for was removed from the hub for good; null when it was not."""

    def __init__(self) -> None:
        super().__init__(allow_null=True, help_text="When it was removed for good; null: it was not.")


class LogLineSerializer(serializers.Serializer[Any]):
    """A line of the log. `line` is its number, from 0."""

    line = serializers.IntegerField()
    timestamp = serializers.DateTimeField()
    level = serializers.CharField()
    stream = serializers.CharField()
    attempt = serializers.IntegerField()
    message = serializers.CharField()


class LogPageSerializer(serializers.Serializer[Any]):
    """A page of the log."""

    page = serializers.IntegerField()
    page_size = serializers.IntegerField()
    total = serializers.IntegerField()
    items = LogLineSerializer(many=True)
    removed_at = RemovedAtField()


class LogFollowSerializer(serializers.Serializer[Any]):
    """Lines from a cursor on; `next` is the cursor for the following request."""

    items = LogLineSerializer(many=True)
    next = serializers.IntegerField()
    ended = serializers.BooleanField(help_text="The run has ended and all lines were given.")
    removed_at = RemovedAtField()


class LogSearchSerializer(serializers.Serializer[Any]):
    """Matches from a cursor on, and the progress of the search."""

    items = LogLineSerializer(many=True)
    next = serializers.IntegerField(allow_null=True, help_text="`after` of the request to go on with; null: all seen.")
    searched = serializers.IntegerField(help_text="Lines behind the search, from the first line of the log.")
    total = serializers.IntegerField(help_text="Lines of the log.")
    removed_at = RemovedAtField()


class SeriesSerializer(serializers.Serializer[Any]):
    """One metric as columns; `special` holds index → NaN, Infinity or -Infinity where `value` is null."""

    step = serializers.ListField(child=serializers.IntegerField())
    time = serializers.ListField(child=serializers.IntegerField(), help_text="ms since 1970 UTC")
    relative = serializers.ListField(
        child=serializers.IntegerField(), required=False, help_text="ms since the run began; with x=relative."
    )
    value = serializers.ListField(child=serializers.FloatField(allow_null=True))
    attempt = serializers.ListField(child=serializers.IntegerField())
    run = serializers.ListField(
        child=serializers.IntegerField(), required=False, help_text="Index into `chain`; with stitched=true."
    )
    special = serializers.DictField(child=serializers.CharField())
    total = serializers.IntegerField(help_text="Points in the window, before thinning.")
    thinned = serializers.BooleanField()


class RunSeriesSerializer(serializers.Serializer[Any]):
    """The asked metrics of a run by name."""

    chain = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text="The run after those that it was resumed from, oldest first; with stitched=true.",
    )
    series = serializers.DictField(child=SeriesSerializer())
    keys = serializers.ListField(child=serializers.CharField(), help_text="All metrics of the run.")
    removed_at = RemovedAtField()


class SeriesAnswerSerializer(RunSeriesSerializer):
    """The asked metrics of a run by name, in order of the column that `x` names."""

    x = serializers.CharField(help_text="step, time or relative")


class ManySeriesAnswerSerializer(serializers.Serializer[Any]):
    """The asked metrics of each run by its id, in order of the column that `x` names."""

    x = serializers.CharField(help_text="step, time or relative")
    runs = serializers.DictField(child=RunSeriesSerializer())


class EventSerializer(serializers.ModelSerializer[RunEvent]):
    """An entry of the timeline."""

    at = UtcTimeField()
    attempt = serializers.IntegerField(source="attempt.number", allow_null=True, default=None)

    class Meta:
        model = RunEvent
        fields = ["id", "at", "kind", "actor", "reason", "message", "attempt", "evidence"]


class AttemptSerializer(serializers.ModelSerializer[Attempt]):
    """One execution of the run."""

    id = serializers.CharField(source="uid")
    created_at = UtcTimeField()
    claimed_at = UtcTimeField(allow_null=True)
    started_at = UtcTimeField(allow_null=True)
    heartbeat_at = UtcTimeField(allow_null=True)
    ended_at = UtcTimeField(allow_null=True)
    engine_ends_at = UtcTimeField(allow_null=True)
    nodes = serializers.ListField(child=serializers.CharField())
    resumed_from = serializers.CharField(source="resume_from.uid", allow_null=True, default=None)

    class Meta:
        model = Attempt
        fields = [
            "id", "number", "executor", "host", "phase", "gpu_indexes", "resumed_from", "created_at", "claimed_at",
            "started_at", "heartbeat_at", "ended_at", "exit_code", "signal", "reason", "message", "engine_state",
            "engine_reason", "engine_ends_at", "nodes",
        ]  # fmt: skip


class RecipeSerializer(serializers.Serializer[Any]):
    """A recipe as people choose it."""

    name = serializers.CharField()
    title = serializers.CharField()
    description = serializers.CharField()
    simulated = serializers.BooleanField()
    executors = serializers.ListField(child=serializers.CharField())
    grace_seconds = serializers.FloatField()
    max_restarts = serializers.IntegerField()
    default_dataset = serializers.CharField()
    is_default = serializers.BooleanField()
    is_set_up = serializers.BooleanField(
        help_text="false: runs of it are refused until an operator did as `setup` says"
    )
    setup = serializers.CharField(
        help_text="what an operator runs on the hub's machine first; empty when nothing is needed"
    )
    digest = serializers.CharField()
    model_parameters = serializers.DictField(help_text="JSON Schema")
    hyperparameters = serializers.DictField(help_text="JSON Schema")


class ChoiceSerializer(serializers.Serializer[Any]):
    """What a run may choose in its `compute`."""

    name = serializers.CharField(help_text="the field of `compute`")
    title = serializers.CharField()
    values = serializers.ListField(child=serializers.CharField())
    default = serializers.CharField(help_text="what counts when nothing is chosen; empty: the engine's own")


class ExecutorSerializer(serializers.Serializer[Any]):
    """An executor: what it has, what is in use, who waits for it, and why it cannot be used now.

    `sees_problems` in the context: whether the reader is an operator, who sees the problems in full.
    """

    name = serializers.CharField()
    kind = serializers.CharField(help_text="local, slurm; missing when it is declared wrongly")
    is_default = serializers.BooleanField(help_text="of runs that name none, in projects that name none")
    slots = serializers.IntegerField(source="total.slots")
    slots_in_use = serializers.IntegerField()
    gpus = serializers.IntegerField(source="total.gpus")
    gpus_in_use = serializers.IntegerField()
    nodes = serializers.IntegerField(source="total.nodes", help_text="at most a run")
    has_queue = serializers.BooleanField(source="total.has_queue", help_text="its engine decides when a run fits")
    waiting = serializers.IntegerField(help_text="runs that are queued here")
    starting = serializers.IntegerField(help_text="runs that were given to it and do not train yet")
    engine_states = serializers.DictField(
        child=serializers.IntegerField(), help_text="what was given to it, by the engine's own word"
    )
    choices = ChoiceSerializer(many=True)
    max_time_limit_minutes = serializers.IntegerField(allow_null=True)
    problems = serializers.SerializerMethodField()

    @extend_schema_field(
        serializers.ListField(
            child=serializers.CharField(), help_text="in full for operators; for others, that one must see to it"
        )
    )
    def get_problems(self, use: ExecutorUse) -> list[str]:
        """Return why nothing can start there now; empty when something can."""
        is_short = use.problems and not self.context["sees_problems"]
        return ["An operator must see to this executor."] if is_short else use.problems
