"""`manage.py retention [--dry-run] [--project proj_…]`: shows what retention would remove, or removes it now.

Logs, metric histories and checkpoints, each by the rules of its project.
"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q
from django.utils import timezone

from artifacts.keeping.plan import plan_project
from artifacts.keeping.removal import remove_all
from artifacts.keeping.rule import CheckpointRule
from projects.models import Project
from runs.retention import RetentionRule, add_up, carry_out, would_go
from runs.telemetry.point_packing import POINT_BYTES
from runs.telemetry.removal import remove_leftovers

ROW = "{:<22} {:<22} {:<20} {:>14} {:>16} {:>14} {:>16}"
HEAD = ("project", "run", "ended (UTC)", "log lines", "log bytes", "metric points", "metric bytes")
CHECKPOINT_ROW = "{:<22} {:<22} {:<22} {:>12} {:>16}  {}"
CHECKPOINT_HEAD = ("project", "run", "checkpoint", "step", "bytes", "why")
AT_ONCE = 100
SLICE_SECONDS = 1.0


class Command(BaseCommand):
    """Retention by hand; the scheduler does the same by itself."""

    help = (
        "Remove the logs, metric histories and checkpoints that their projects keep no longer, now and to the end; "
        "with --dry-run only list them. Bytes of logs and histories are those before packing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the wish to look only, and the project."""
        parser.add_argument("--dry-run", action="store_true", help="Remove nothing, list what would go.")
        parser.add_argument("--project", metavar="proj_…", help="Of this project alone.")

    def handle(self, *args: Any, **options: Any) -> None:
        """List or remove."""
        project = self._find(options["project"])
        if options["dry_run"]:
            self._list(project)
            self._list_checkpoints(project)
        else:
            self._remove(project)

    def _find(self, uid: str | None) -> Project | None:
        if uid is None:
            return None
        project = Project.objects.filter(uid=uid).first()
        if project is None:
            raise CommandError(f"There is no project {uid}.")
        return project

    def _list(self, project: Project | None) -> None:
        now = timezone.now()
        with_rule = Project.objects.exclude(Q(log_retention_days=None) & Q(metric_retention_days=None)).order_by("id")
        self.stdout.write(ROW.format(*HEAD))
        for each in with_rule if project is None else [project]:
            rows = would_go(project=each, rule=RetentionRule.of(each), now=now)
            for run in rows.iterator(chunk_size=500):
                amounts = (run.lost_lines, run.lost_text_bytes, run.lost_points, run.lost_points * POINT_BYTES)  # type: ignore[attr-defined]
                self.stdout.write(ROW.format(each.uid, run.uid, f"{run.completed_at:%Y-%m-%d %H:%M:%S}", *amounts))
            sums = add_up(rows)
            totals = [sums[name] for name in ("log_lines", "log_bytes", "metric_points", "metric_bytes")]
            self.stdout.write(ROW.format(each.uid, f"{sums['runs']} runs in all", "", *totals))

    def _remove(self, project: Project | None) -> None:
        total = 0
        while count := carry_out(limit=AT_ONCE, project=project):
            total += count
        while remove_leftovers(seconds=SLICE_SECONDS):
            pass
        self.stdout.write(f"{total} logs and metric histories were removed.")
        self.stdout.write(f"{remove_all(project=project)} checkpoints were removed.")

    def _list_checkpoints(self, project: Project | None) -> None:
        with_rule = Project.objects.filter(keep_last_checkpoints__isnull=False).order_by("id")
        self.stdout.write(CHECKPOINT_ROW.format(*CHECKPOINT_HEAD))
        for each in with_rule if project is None else [project]:
            plan = plan_project(each, CheckpointRule.of(each), now=timezone.now())
            for verdict in plan.going:
                one = verdict.checkpoint
                row = (each.uid, one.run_uid, one.uid, one.step, one.size_bytes, verdict.why)
                self.stdout.write(CHECKPOINT_ROW.format(*row))
            totals = (each.uid, f"{plan.runs} runs in all", f"{len(plan.going)} checkpoints", "", plan.size_bytes, "")
            self.stdout.write(CHECKPOINT_ROW.format(*totals).rstrip())
