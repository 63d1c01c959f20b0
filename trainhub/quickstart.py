"""The project that a new installation starts with: a small language model, really training."""

from __future__ import annotations

from typing import Any

from projects.models import Project
from projects.services import create_project
from runs.services import create_run

PROJECT = {
    "name": "Quickstart",
    "description": "A small byte-level transformer that learns to write Python from the standard library's sources.",
    "objective": "See a run from its start to a released checkpoint.",
    "task_type": "language-modelling",
    "base_model": "from scratch",
    "default_recipe": "tiny-gpt",
    "tags": ["quickstart"],
}


def create_quickstart(operator: Any) -> Project:
    """Create the project and queue its first run."""
    project = create_project(by=operator, values={**PROJECT, "owner": operator.get_username()})
    create_run(project=project, by=operator, values={"name": "first-run", "recipe": "tiny-gpt"})
    return project
