"""Comparisons of the store with the database, and what they found."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone


class StoreCheck(models.Model):
    """One comparison of the store with the database, both ways.

    While it goes on, `cursor` says where. `findings` lists what is wrong, the first MAX_FINDINGS of each kind, as
    objects with `kind` (missing, size, damaged, unreachable, unknown or leftover), `artifact` (uid) and, of a file,
    `file`; the counts are of all, and `missing` counts what is unreachable, too.
    """

    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)
    by_command = models.BooleanField(default=False, help_text="Else by the scheduler.")
    with_hashes = models.BooleanField(default=False, help_text="Bytes were hashed, not only their sizes compared.")
    cursor = models.CharField(max_length=64, blank=True, default="")
    artifacts = models.BigIntegerField(default=0)
    files = models.BigIntegerField(default=0)
    size_bytes = models.BigIntegerField(default=0)
    missing = models.BigIntegerField(default=0, help_text="Files that are not there as the manifest says.")
    unknown = models.BigIntegerField(default=0, help_text="Artifacts in the store that the database does not know.")
    findings: models.JSONField[Any, list[dict[str, str]]] = models.JSONField(default=list)

    class Meta:
        ordering = ["-started_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["by_command"],
                condition=Q(finished_at=None, by_command=False),
                name="store_check_one_of_scheduler",
            ),
        ]

    def __str__(self) -> str:
        return f"check of {self.started_at:%Y-%m-%d %H:%M}"
