"""What runs produce, and the tags that say what it is good for."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from artifacts.querysets import ArtifactQuerySet
from runs.models import Attempt, Run


class ArtifactType(models.TextChoices):
    """What an artifact is."""

    CHECKPOINT = "checkpoint"
    TENSORBOARD = "tensorboard"
    EVALUATION = "evaluation"
    CONFIG = "config"
    OTHER = "other"


class ArtifactState(models.TextChoices):
    """`writing` until all bytes are here, `verified` when they match the manifest, `corrupt` when they no longer do."""

    WRITING = "writing"
    COMPLETE = "complete"
    VERIFIED = "verified"
    CORRUPT = "corrupt"


class TagValue(models.TextChoices):
    """What a checkpoint may be marked as."""

    CANDIDATE = "candidate"
    RELEASE = "release"
    ARCHIVED = "archived"


class Artifact(models.Model):
    """A file or folder that a run produced; its bytes are in the store, under keys made from ids alone.

    `manifest` lists its files: name, size in bytes, sha256. `digest` is the SHA-256 over the manifest.
    `source` is where the trainer wrote it, relative to its output folder.
    """

    uid = models.CharField(max_length=32, unique=True, editable=False)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="artifacts")
    attempt = models.ForeignKey(Attempt, null=True, on_delete=models.SET_NULL, related_name="artifacts")
    type = models.CharField(max_length=16, choices=ArtifactType.choices)
    name = models.CharField(max_length=255)
    source = models.CharField(max_length=1000)
    step = models.BigIntegerField(null=True, blank=True)
    path = models.CharField(max_length=500, help_text="URI")
    is_directory = models.BooleanField(default=False)
    size_bytes = models.BigIntegerField(default=0)
    manifest = models.JSONField(default=list)
    digest = models.CharField(max_length=64, blank=True, default="")
    state = models.CharField(max_length=16, choices=ArtifactState.choices, default=ArtifactState.WRITING)
    damaged_file = models.CharField(max_length=500, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)
    verified_at = models.DateTimeField(null=True, blank=True)

    objects = ArtifactQuerySet.as_manager()

    class Meta:
        ordering = ["created_at", "id"]
        indexes = [models.Index(fields=["run", "type", "step"], name="artifact_of_run")]
        constraints = [
            models.UniqueConstraint(fields=["attempt", "source"], name="artifact_offered_once"),
            models.CheckConstraint(condition=Q(type__in=ArtifactType.values), name="artifact_type_known"),
            models.CheckConstraint(condition=Q(state__in=ArtifactState.values), name="artifact_state_known"),
            models.CheckConstraint(condition=Q(size_bytes__gte=0), name="artifact_size_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.uid})"


class ArtifactTag(models.Model):
    """A tag on a checkpoint: what, why, when and by whom."""

    artifact = models.ForeignKey(Artifact, on_delete=models.CASCADE, related_name="tags")
    value = models.CharField(max_length=16, choices=TagValue.choices)
    notes = models.TextField(max_length=10_000, blank=True, default="")
    applied_at = models.DateTimeField(default=timezone.now)
    applied_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        ordering = ["applied_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["artifact", "value"], name="artifact_tag_once"),
            models.CheckConstraint(condition=Q(value__in=TagValue.values), name="artifact_tag_known"),
        ]

    def __str__(self) -> str:
        return self.value
