"""Logged models: what tracking clients say about the checkpoints whose files they put."""

from __future__ import annotations

import secrets

from django.db import models
from django.db.models import Q
from django.utils import timezone

from artifacts.models.artifact import Artifact
from projects.models import Project
from runs.models import Run


def new_model_uid() -> str:
    """Return a new `m-…`, 32 hexadecimal digits, as clients know the ids of logged models."""
    return f"m-{secrets.token_hex(16)}"


class Readiness(models.TextChoices):
    """Where a logged model stands; READY and UPLOAD_FAILED are the client's word."""

    PENDING = "LOGGED_MODEL_PENDING"
    READY = "LOGGED_MODEL_READY"
    UPLOAD_FAILED = "LOGGED_MODEL_UPLOAD_FAILED"


class LoggedModel(models.Model):
    """A model that a client logs: a name and words about a checkpoint, whose files come one by one.

    `artifact` is the checkpoint, made with the first file; a model without a run has none. `parameters` and `tags` are
    objects of texts; `metrics` maps names to [value, timestamp, step] of the newest point, NaN and infinities by name.
    """

    uid = models.CharField(max_length=34, unique=True, editable=False, default=new_model_uid)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="logged_models")
    run = models.ForeignKey(Run, null=True, on_delete=models.CASCADE, related_name="logged_models")
    artifact = models.OneToOneField(Artifact, null=True, on_delete=models.SET_NULL, related_name="logged_model")
    name = models.CharField(max_length=500)
    model_type = models.CharField(max_length=500, blank=True, default="")
    readiness = models.CharField(max_length=32, choices=Readiness.choices, default=Readiness.PENDING)
    parameters = models.JSONField(default=dict)
    tags = models.JSONField(default=dict)
    metrics = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(condition=Q(readiness__in=Readiness.values), name="logged_model_readiness_known"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.uid})"


class RunModel(models.Model):
    """A run reads (`is_input`) or made a logged model; `step` is when it was made, None where nobody said."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="model_links")
    model = models.ForeignKey(LoggedModel, on_delete=models.CASCADE, related_name="run_links")
    is_input = models.BooleanField(default=False)
    step = models.BigIntegerField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "model", "is_input"], name="run_model_once")]

    def __str__(self) -> str:
        return f"{self.model_id} of {self.run_id}"
