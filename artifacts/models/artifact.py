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
    """`writing` until all bytes are here, `verified` when they match the manifest, `corrupt` when they no longer do.

    `removed`: the bytes were deleted by the project's rule for checkpoints; what is known of them stays.
    """

    WRITING = "writing"
    COMPLETE = "complete"
    VERIFIED = "verified"
    CORRUPT = "corrupt"
    REMOVED = "removed"


class TagValue(models.TextChoices):
    """What a checkpoint may be marked as."""

    CANDIDATE = "candidate"
    RELEASE = "release"
    ARCHIVED = "archived"


class Artifact(models.Model):
    """A file or folder that a run produced; its bytes are in the store, under keys made from ids alone.

    `manifest` lists its files: name, size in bytes, sha256. `digest` is the SHA-256 over the manifest.
    `source` is where the trainer wrote it, relative to its output folder, or where a client put it. `places` holds for
    each file the number under which the store has its bytes, empty where that is its index in the manifest: files that
    a client replaces get a new number, so that neither the old nor the new bytes are ever half there.
    """

    uid = models.CharField(max_length=32, unique=True, editable=False)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="artifacts")
    attempt = models.ForeignKey(Attempt, null=True, on_delete=models.SET_NULL, related_name="artifacts")
    type = models.CharField(max_length=16, choices=ArtifactType.choices)
    name = models.CharField(max_length=255)
    source = models.CharField(max_length=1000)
    step = models.BigIntegerField(null=True, blank=True)
    is_from_client = models.BooleanField(default=False, help_text="Put by a tracking client, file by file.")
    path = models.CharField(max_length=500, help_text="URI")
    is_directory = models.BooleanField(default=False)
    size_bytes = models.BigIntegerField(default=0)
    manifest = models.JSONField(default=list)
    places = models.JSONField(default=list, blank=True)
    digest = models.CharField(max_length=64, blank=True, default="")
    store = models.CharField(max_length=16, default="file", help_text="Which store has the bytes: file or s3.")
    state = models.CharField(max_length=16, choices=ArtifactState.choices, default=ArtifactState.WRITING)
    damaged_file = models.CharField(max_length=500, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)
    verified_at = models.DateTimeField(null=True, blank=True)
    removed_at = models.DateTimeField(null=True, blank=True)
    bytes_deleted_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the bytes of a removed checkpoint had gone; until then they may be there.",
    )

    objects = ArtifactQuerySet.as_manager()

    class Meta:
        ordering = ["created_at", "id"]
        indexes = [
            models.Index(fields=["run", "type", "step"], name="artifact_of_run"),
            models.Index(fields=["-created_at"], condition=Q(state="corrupt"), name="artifact_damaged"),
            models.Index(fields=["created_at"], condition=Q(state="writing"), name="artifact_writing"),
            models.Index(
                fields=["removed_at"], condition=Q(state="removed", bytes_deleted_at=None), name="artifact_to_delete"
            ),
            # What the storage page sums and sorts, without the wide rows that hold manifests.
            models.Index(fields=["run", "state", "type", "size_bytes"], name="artifact_sizes"),
            models.Index(fields=["-size_bytes", "-id", "run", "state", "type"], name="artifact_largest"),
            models.Index(fields=["size_bytes"], condition=Q(state="complete"), name="artifact_complete"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["attempt", "source"], name="artifact_offered_once"),
            models.UniqueConstraint(
                fields=["run", "source"], condition=Q(is_from_client=True), name="artifact_of_client_once"
            ),
            models.CheckConstraint(condition=Q(type__in=ArtifactType.values), name="artifact_type_known"),
            models.CheckConstraint(condition=Q(state__in=ArtifactState.values), name="artifact_state_known"),
            models.CheckConstraint(condition=Q(size_bytes__gte=0), name="artifact_size_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.uid})"

    def file_number(self, index: int) -> int:
        """Return the number under which the store has the bytes of the manifest's file `index`."""
        return int(self.places[index]) if self.places else index


class ArtifactUpload(models.Model):
    """A multi-part upload of one file to an object store that has begun and is not whole yet.

    `upload_id` is the store's name for it, `part_size` bytes are in every part but the last.
    """

    artifact = models.ForeignKey(Artifact, on_delete=models.CASCADE, related_name="uploads", db_index=False)
    index = models.PositiveIntegerField(help_text="Of the file in the manifest.")
    upload_id = models.CharField(max_length=1024)
    part_size = models.BigIntegerField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["artifact", "index"], name="artifact_upload_once")]

    def __str__(self) -> str:
        return f"file {self.index} of {self.artifact_id}"


class ArtifactTag(models.Model):
    """A tag on a checkpoint: what, why, when and by whom.

    `is_from_registry` marks one that an alias or a stage of a registered version put on; it goes with them.
    """

    artifact = models.ForeignKey(Artifact, on_delete=models.CASCADE, related_name="tags")
    value = models.CharField(max_length=16, choices=TagValue.choices)
    notes = models.TextField(max_length=10_000, blank=True, default="")
    applied_at = models.DateTimeField(default=timezone.now)
    applied_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    is_from_registry = models.BooleanField(default=False)

    class Meta:
        ordering = ["applied_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["artifact", "value"], name="artifact_tag_once"),
            models.CheckConstraint(condition=Q(value__in=TagValue.values), name="artifact_tag_known"),
        ]

    def __str__(self) -> str:
        return self.value
