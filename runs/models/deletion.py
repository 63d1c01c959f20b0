"""What stays of a deleted run: who deleted it, when, and how much it was."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from projects.models import Project


class RunDeletion(models.Model):
    """An entry of the register of deleted runs, kept when everything else of the run is gone.

    `erased_at` is None until the last row and file are gone.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="run_deletions")
    run_uid = models.CharField(max_length=32, unique=True)
    name = models.CharField(max_length=200)
    ended_as = models.CharField(max_length=16, help_text="The status it had.")
    created_at = models.DateTimeField(help_text="When the run was created.")
    deleted_at = models.DateTimeField(default=timezone.now)
    actor = models.CharField(max_length=200)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    log_lines = models.BigIntegerField(default=0)
    metric_points = models.BigIntegerField(default=0)
    artifact_count = models.IntegerField(default=0)
    artifact_bytes = models.BigIntegerField(default=0)
    erased_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-deleted_at", "-id"]

    def __str__(self) -> str:
        return f"{self.name} ({self.run_uid}), deleted by {self.actor}"
