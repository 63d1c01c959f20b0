"""What tracking clients tell of a run beside its metrics and parameters; the MLflow protocol's own fields."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Substr
from django.db.models.lookups import Exact

from runs.models.run import Run


class ClientStatus(models.TextChoices):
    """The status that a client gives a run, in MLflow's words. It never moves a managed run."""

    RUNNING = "RUNNING"
    SCHEDULED = "SCHEDULED"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


class TagBeginning(Func):
    """The first 100 characters of a tag's value: whole ones would not fit into an index.

    The numbers are literal: SQLite takes an index for an expression that is spelt the same.
    """

    output_field = models.TextField()
    template = "SUBSTR(%(expressions)s, 1, 100)"
    CHARACTERS = 100


def tag_is(value: str) -> Q:
    """Return what keeps tags of a value, such that the index on their beginnings serves.

    The value is never compared as a whole: SQLite would put it into the index's expression, and find no index for what
    is left.
    """
    begins = Q(Exact(TagBeginning(F("value")), value[: TagBeginning.CHARACTERS]))
    if len(value) < TagBeginning.CHARACTERS:
        return begins
    return begins & Q(Exact(Substr("value", TagBeginning.CHARACTERS + 1), value[TagBeginning.CHARACTERS :]))


class RunTracking(models.Model):
    """A run as a tracking client sees it: made with every external run, with a managed one when a client first writes.

    `start_time` and `end_time` are what clients sent, ms since 1970 UTC. `parent` is the run below which this one is
    nested, `job` the managed run whose token made it. `attempt_number` is the attempt of a managed run to which
    a client last attached itself, 0 for none.
    """

    run = models.OneToOneField(Run, on_delete=models.CASCADE, primary_key=True, related_name="tracking")
    client_status = models.CharField(max_length=16, choices=ClientStatus.choices, default=ClientStatus.RUNNING)
    start_time = models.BigIntegerField(default=0)
    end_time = models.BigIntegerField(null=True)
    user_id = models.CharField(max_length=255, blank=True, default="", help_text="As the client calls its user.")
    attempt_number = models.PositiveIntegerField(default=0)
    parent = models.ForeignKey(Run, null=True, on_delete=models.SET_NULL, related_name="nested")
    job = models.ForeignKey(Run, null=True, on_delete=models.SET_NULL, related_name="made_by_token")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(client_status__in=ClientStatus.values), name="client_status_known"),
        ]
        indexes = [models.Index(fields=["-start_time", "-run"], name="run_tracking_newest")]

    def __str__(self) -> str:
        return f"{self.run_id} {self.client_status}"


class RunTag(models.Model):
    """A tag that a tracking client put on a run."""

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="tags", db_index=False)
    key = models.CharField(max_length=250)
    value = models.TextField(max_length=8000, blank=True, default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "key"], name="run_tag_once")]
        indexes = [models.Index(F("key"), TagBeginning("value"), F("run"), name="run_tag_value")]

    def __str__(self) -> str:
        return f"{self.key} = {self.value}"


class RunDataset(models.Model):
    """A dataset that a client says a run reads; `tags` is an object of texts, `context` one of them (train, eval)."""

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="datasets", db_index=False)
    name = models.CharField(max_length=500)
    digest = models.CharField(max_length=36)
    context = models.CharField(max_length=250, blank=True, default="")
    source_type = models.CharField(max_length=250, blank=True, default="")
    source = models.TextField(blank=True, default="")
    schema = models.TextField(blank=True, default="")
    profile = models.TextField(blank=True, default="")
    tags = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "name", "digest"], name="run_dataset_once")]
        indexes = [
            models.Index(fields=["name", "run"], name="run_dataset_name"),
            models.Index(fields=["digest", "run"], name="run_dataset_digest"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.digest})"
