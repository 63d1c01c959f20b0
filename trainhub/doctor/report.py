"""Carries the checks out. One that fails is itself a finding; none stops the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.db import Error as DatabaseError

from trainhub.doctor import database, folders, setup, web, work
from trainhub.doctor.findings import Finding, Level, problem

logger = logging.getLogger(__name__)
Check = Callable[[], Iterable[Finding]]
QUICK: tuple[Check, ...] = (
    *(setup.versions, setup.address, setup.secret_key, setup.web_threads, setup.backups),
    *(folders.data_folder, folders.secret_files, folders.disk, folders.store, folders.store_owner),
    *(database.reachable, database.schema, database.durability, database.clock, database.connections),
    *(
        work.schedulers,
        work.executors_file,
        work.executor_problems,
        work.recipe_folders,
        work.silent_nodes,
        work.node_clocks,
        work.gpu_samples,
    ),
)
SLOW: tuple[Check, ...] = (setup.deployment, web.people, web.runners)


def quick_checks() -> list[Finding]:
    """Return what can be found within moments, without asking the web server: what pages show."""
    return _carry_out(QUICK)


def all_checks() -> list[Finding]:
    """Return everything, in the order of the report."""
    return _carry_out((*QUICK, *SLOW))


def _carry_out(checks: Sequence[Check]) -> list[Finding]:
    found: list[Finding] = []
    for check in checks:
        try:
            found += check()
        except DatabaseError:
            continue  # `database.reachable` says so, once
        except Exception:
            name = check.__name__.replace("_", " ")
            logger.exception("the check of %s failed", name)
            found.append(problem(name, "This check failed.", "The log has the reason; please report it."))
    return found


def worst(findings: Iterable[Finding]) -> Level:
    """Return the worst level of all."""
    return max((finding.level for finding in findings), default=Level.OK)


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the report for programs."""
    return {
        "level": worst(findings).name.lower(),
        "checks": [{"about": one.about, "level": one.word, "seen": one.seen, "remedy": one.remedy} for one in findings],
    }
