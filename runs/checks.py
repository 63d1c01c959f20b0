"""What `manage.py check` says of the executors; the commands of the hub say it too when they start."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Warning  # noqa: A004 - Django's own name

from runs.registry import configuration_problems


def check_executors(app_configs: Any, **options: Any) -> list[CheckMessage]:  # noqa: ARG001 - Django's
    """Warn of what is wrong in the file of the executors. No error: the other executors work, and so does the hub."""
    return [Warning(problem, id="trainhub.W001") for problem in configuration_problems()]
