"""One execution of a run, and the run's timeline."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from projects.uids import new_attempt_uid
from runs.lifecycle import Reason
from runs.models.run import Run


class Attempt(models.Model):
    """One execution of a run.

    `number` is the fencing number: only the newest attempt of a run that has not ended may write.
    `handle` is empty from the moment the attempt is recorded until the executor has answered; the attempt's
    uid is the name by which the executor finds a job whose answer was lost.
    """

    uid = models.CharField(max_length=32, unique=True, editable=False, default=new_attempt_uid)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    executor = models.CharField(max_length=64)
    handle = models.CharField(max_length=500, blank=True, default="")
    token_digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the attempt's token.")
    tracking_digest = models.CharField(  # noqa: DJ001 - attempts of before it have none, and it is unique
        max_length=64, unique=True, null=True, help_text="SHA-256 of the token that its trainer's MLflow client gets."
    )
    resume_from = models.ForeignKey(
        "artifacts.Artifact", null=True, blank=True, on_delete=models.PROTECT, related_name="restored_attempts"
    )
    gpu_indexes = models.JSONField(default=list, blank=True, help_text="GPUs of the machine given to a local run.")
    gpu_count = models.PositiveIntegerField(default=0, help_text="GPUs that it holds, on all nodes together.")

    created_at = models.DateTimeField(default=timezone.now)
    submitted_at = models.DateTimeField(null=True, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True)
    claimed_by = models.CharField(max_length=64, blank=True, default="", help_text="Random word of the runner.")
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    runner_gone_at = models.DateTimeField(null=True, blank=True)
    kill_requested_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    engine_state = models.CharField(max_length=100, blank=True, default="", help_text="The engine's word for the job.")
    engine_reason = models.CharField(max_length=500, blank=True, default="", help_text="Why the engine lets it wait.")
    engine_ending = models.CharField(max_length=16, blank=True, default="", help_text="Why the engine ended the job.")
    engine_started_at = models.DateTimeField(null=True, blank=True, help_text="When the engine was seen to start it.")
    engine_ends_at = models.DateTimeField(null=True, blank=True, help_text="When its time is over.")
    nodes = models.JSONField(default=list, blank=True, help_text="Names of the nodes, as the engine says.")

    host = models.CharField(max_length=255, blank=True, default="")
    runner_pid = models.BigIntegerField(null=True, blank=True)
    clock_skew_seconds = models.FloatField(null=True, blank=True, help_text="Node's clock minus the hub's.")
    phase = models.CharField(max_length=16, blank=True, default="")
    exit_code = models.IntegerField(null=True, blank=True)
    signal = models.IntegerField(null=True, blank=True)
    reason = models.CharField(max_length=32, choices=Reason.choices, blank=True, default="")
    message = models.CharField(max_length=1000, blank=True, default="")

    log_sequence = models.BigIntegerField(default=0)
    metric_sequence = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["run", "number"]
        constraints = [
            models.UniqueConstraint(fields=["run", "number"], name="attempt_number_once"),
            models.UniqueConstraint(
                fields=["run"], condition=models.Q(ended_at__isnull=True), name="attempt_one_live_per_run"
            ),
        ]
        indexes = [
            models.Index(fields=["executor"], condition=models.Q(ended_at__isnull=True), name="attempt_live"),
        ]

    def __str__(self) -> str:
        return f"{self.run.uid} attempt {self.number}"


class ExecutorLock(models.Model):
    """A row to lock while room on an executor is given away, so that two schedulers never give the same twice."""

    name = models.CharField(max_length=64, primary_key=True)

    def __str__(self) -> str:
        return self.name


class RunEvent(models.Model):
    """An entry of a run's timeline; written once, never changed."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events")
    attempt = models.ForeignKey(Attempt, null=True, blank=True, on_delete=models.SET_NULL, related_name="events")
    at = models.DateTimeField(default=timezone.now)
    kind = models.CharField(max_length=32)
    actor = models.CharField(max_length=200)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    reason = models.CharField(max_length=32, blank=True, default="")
    message = models.CharField(max_length=1000, blank=True, default="")
    evidence = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["run", "id"], name="event_in_order")]

    def __str__(self) -> str:
        return f"{self.kind} at {self.at:%Y-%m-%d %H:%M:%S}"
