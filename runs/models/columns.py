"""What people chose to see in tables of runs."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from projects.models import Project


class ChosenColumns(models.Model):
    """The columns of one person's table of the runs of a project; without a project, of all runs.

    `keys` are those of `runs.columns.Column`, in the order of the table.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    project = models.ForeignKey(Project, null=True, on_delete=models.CASCADE, related_name="+")
    keys = models.JSONField(default=list)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "project"], name="columns_once_per_project"),
            models.UniqueConstraint(fields=["user"], condition=Q(project=None), name="columns_once_for_all_runs"),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {', '.join(self.keys)}"
