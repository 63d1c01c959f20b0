"""`manage.py doctor [--json]`: checks the whole installation and says what to do."""

import sys
import textwrap
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandParser

from trainhub.doctor import report
from trainhub.doctor.findings import Finding

MARKS = {"ok": "ok", "warning": "WARNING", "problem": "PROBLEM"}
ROW = "{:<8} {:<22} {}"
WIDTH = 110


class Command(BaseCommand):
    """The doctor. Exit code: 0 all is well, 1 there are warnings, 2 there are problems."""

    help = "Check the installation: settings, folders, database, scheduler, executors, recipes, nodes, web server."
    requires_system_checks = ()  # they are among the checks

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the form of the report."""
        parser.add_argument("--json", action="store_true", help="Print one JSON object instead of a table.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the report and end with its exit code."""
        findings = report.all_checks()
        if options["json"]:
            self.stdout.write(orjson.dumps(report.as_json(findings), option=orjson.OPT_INDENT_2).decode())
        else:
            for finding in findings:
                self.stdout.write(_lines_of(finding))
        sys.exit(int(report.worst(findings)))


def _lines_of(finding: Finding) -> str:
    first, *others = textwrap.wrap(finding.seen, WIDTH) or [""]
    remedy = textwrap.wrap(f"→ {finding.remedy}", WIDTH) if finding.remedy else []
    rows = [(MARKS[finding.word], finding.about, first), *(("", "", line) for line in (*others, *remedy))]
    return "\n".join(ROW.format(*row).rstrip() for row in rows)
