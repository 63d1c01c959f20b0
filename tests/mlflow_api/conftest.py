"""Fixtures: a tracking client with a person's token, and one with a job's."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from projects.models import Project
from runs.attempts import tracking_token
from tests.factories import Caller, new_attempt, new_project, new_user


class Tracker(Caller):
    """Calls the protocol's endpoints as clients do."""

    def ask(self, method: str, route: str, body: Any = None, *, code: int = 200, **query: Any) -> Any:
        """Make one request and return the JSON of its answer, after a look at its status."""
        path = f"/mlflow/api/2.0/mlflow/{route}" + (f"?{urlencode(query, doseq=True)}" if query else "")
        response = self.call(method, path, body)
        content = response.getvalue()  # of a streamed one, too
        assert response.status_code == code, content
        assert response.headers["Content-Type"] == "application/json"
        return json.loads(content)

    def get(self, route: str, *, code: int = 200, **query: Any) -> Any:
        return self.ask("GET", route, code=code, **query)

    def post(self, route: str, *, code: int = 200, **body: Any) -> Any:
        return self.ask("POST", route, body, code=code)

    def new_run(self, project: Project | str, **body: Any) -> str:
        """Return the id of a new run."""
        uid = project if isinstance(project, str) else project.uid
        return self.post("runs/create", experiment_id=uid, **body)["run"]["info"]["run_id"]

    def run(self, run_id: str) -> dict[str, Any]:
        return self.get("runs/get", run_id=run_id)["run"]

    def data(self, run_id: str, what: str) -> dict[str, Any]:
        """Return metrics, params or tags of a run by key."""
        return {item["key"]: item["value"] for item in self.run(run_id)["data"][what]}


@pytest.fixture
def person(db):
    return new_user("mara")


@pytest.fixture
def project(person):
    return new_project(by=person, name="sentiment")


@pytest.fixture
def tracker(person):
    """A client with the token of the project's admin."""
    return Tracker(person)


@pytest.fixture
def attempt(project):
    """A managed run's attempt that trains."""
    return new_attempt(project=project)


@pytest.fixture
def job_tracker(attempt):
    """A client with the token that the trainer of `attempt` gets."""
    return Tracker(token=tracking_token(attempt.uid))
