"""Requests made up from the OpenAPI document: no operation fails, and answers are what the document says."""

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, connection
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from projects.services import create_token
from runs.telemetry.append import append_metrics
from tests.factories import new_artifact, new_attempt
from tests.runs.telemetry.builders import append_lines

DOCUMENT = {"Accept": "application/vnd.oai.openapi+json"}
schema = schemathesis.openapi.from_wsgi("/schema", get_wsgi_application(), headers=DOCUMENT)
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture
def ids(project, operator, admin):
    """Ids that exist, by the name that the document has for them."""
    attempt = new_attempt(project=project)
    append_lines(attempt=attempt, sequence=1, lines=[(1_000_000, 1, 0, "a line")])
    append_metrics(attempt=attempt, sequence=1, columns={"loss": {"step": [1], "time": [1], "value": [float("nan")]}})
    checkpoint = new_artifact(attempt.run)
    return {
        "project_id": project.uid,
        "run_id": attempt.run.uid,
        "artifact_id": checkpoint.uid,
        "source_artifact_id": checkpoint.uid,
        "recipe": "simulate",
        "tag": "release",
        "username": admin.username,
        "token_id": create_token(user=operator, name="other")[0].token_key,
    }


@pytest.fixture
def token(operator):
    return create_token(user=operator, name="tests")[1]


@pytest.fixture(autouse=True)
def keep_connections(db, settings):
    """Let requests end without waiting, and without closing the connection that holds the test's transaction."""
    settings.MAX_WAIT_SECONDS = 0
    signals = (request_started, request_finished)
    [signal.disconnect(close_old_connections) for signal in signals]
    yield
    [signal.connect(close_old_connections) for signal in signals]


# Every operation is called on both databases; its examples are gone through on one, where they take minutes.
ON_SQLITE = connection.vendor == "sqlite"
few = settings(
    max_examples=15 if ON_SQLITE else 5,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate] if ON_SQLITE else [Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@schema.parametrize()
@few
def test_every_operation_answers_as_documented_for_ids_that_exist(case, ids, token):
    case.path_parameters = {name: ids.get(name, value) for name, value in case.path_parameters.items()}

    response = case.call(headers={"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"})

    case.validate_response(response, checks=CHECKS)
