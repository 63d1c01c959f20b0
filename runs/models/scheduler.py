"""Which schedulers are at work, as the web processes, the doctor and monitoring see it."""

from __future__ import annotations

from django.db import models


class SchedulerBeat(models.Model):
    """One scheduler process and when it last came through a pass; the row goes when the process ends in order."""

    host = models.CharField(max_length=255)
    pid = models.BigIntegerField()
    version = models.CharField(max_length=32)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField(help_text="End of a pass that went well.")
    pass_seconds = models.FloatField(help_text="The longest pass since the beat before.")

    class Meta:
        ordering = ["-seen_at"]
        constraints = [models.UniqueConstraint(fields=["host", "pid"], name="scheduler_beat_once")]

    def __str__(self) -> str:
        return f"scheduler {self.pid} on {self.host}"
