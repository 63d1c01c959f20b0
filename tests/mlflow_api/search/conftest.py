"""Fixtures: a project with a few runs that differ in everything that is searched."""

from __future__ import annotations

from typing import Any

import pytest

T0 = 1_700_000_000_000


@pytest.fixture
def search(tracker, project):
    """Search the project's runs; returns their names in order."""

    def find(text: str = "", **asked: Any) -> list[str]:
        found = tracker.post("runs/search", experiment_ids=[project.uid], filter=text, **asked)
        return [run["info"]["run_name"] for run in found.get("runs", [])]

    return find


@pytest.fixture
def runs(tracker, project) -> dict[str, str]:
    """Ids by name: alpha, beta, gamma and delta, oldest first; delta has nothing but its name."""
    made = {}
    described = {
        "alpha": (
            {"loss": 0.5, "val/acc now": 1},
            {"lr": "0.1", "model": "Llama", "Näme-1": "x"},
            {"team": "nlp", "mlflow.note": "a*b?c[d]"},
        ),
        "beta": ({"loss": 1.5}, {"lr": "0.01", "model": "llama"}, {"team": "NLP", "mlflow.note": "50%_\\"}),
        "gamma": ({"loss": "NaN", "peak": "Infinity"}, {"lr": "it's", "model": ""}, {"team": 'the "team"'}),
        "delta": ({}, {}, {}),
    }
    for number, (name, (metrics, params, tags)) in enumerate(described.items()):
        made[name] = tracker.new_run(project, run_name=name, start_time=T0 + number, user_id=f"user{number}")
        tracker.post(
            "runs/log-batch",
            run_id=made[name],
            metrics=[{"key": key, "value": value, "timestamp": 1} for key, value in metrics.items()],
            params=[{"key": key, "value": value} for key, value in params.items()],
            tags=[{"key": key, "value": value} for key, value in tags.items()],
        )
    return made
