"""Who may call what: every endpoint of the API, for every kind of caller."""

import pytest

from artifacts.models import Artifact
from tests.factories import Caller, everything, new_artifact, new_project, new_run
from tests.trainhub.endpoints import ENDPOINTS, FOR_ADMINS, FOR_EDITORS, IN_PROJECTS, api_methods

pytestmark = pytest.mark.django_db
as_text = {"ids": str}


@pytest.fixture
def checkpoint(run, editor, viewer) -> Artifact:
    return new_artifact(run)


@pytest.fixture
def path_of(checkpoint):
    run = checkpoint.run
    ids = {"project": run.project.uid, "run": run.uid, "artifact": checkpoint.uid}
    return lambda endpoint: endpoint.path.format(**ids)


def test_the_table_holds_every_endpoint():
    assert {(endpoint.name, endpoint.method) for endpoint in ENDPOINTS} == api_methods()


@pytest.mark.parametrize("endpoint", ENDPOINTS, **as_text)
def test_an_operator_gets_the_answer(as_operator, path_of, endpoint):
    assert as_operator.call(endpoint.method, path_of(endpoint), endpoint.body).status_code == endpoint.status


@pytest.mark.parametrize("endpoint", IN_PROJECTS, **as_text)
def test_the_least_role_gets_the_answer(call_as, path_of, endpoint):
    answer = call_as(endpoint.role).call(endpoint.method, path_of(endpoint), endpoint.body)

    assert answer.status_code == endpoint.status


@pytest.mark.parametrize("endpoint", ENDPOINTS, **as_text)
def test_without_a_token_it_is_401_and_nothing_changes(anonymous, path_of, endpoint):
    before = everything()

    answer = anonymous.call(endpoint.method, path_of(endpoint), endpoint.body)

    assert answer.status_code == 401
    assert answer.json()["code"] == "not_authenticated"
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert everything() == before


@pytest.mark.parametrize("endpoint", IN_PROJECTS, **as_text)
def test_to_a_stranger_it_is_404_and_nothing_changes(as_stranger, path_of, endpoint):
    before = everything()

    answer = as_stranger.call(endpoint.method, path_of(endpoint), endpoint.body)

    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"
    assert everything() == before


@pytest.mark.parametrize("endpoint", [*FOR_EDITORS, *FOR_ADMINS], **as_text)
def test_to_a_viewer_it_is_403_and_nothing_changes(as_viewer, path_of, endpoint):
    before = everything()

    answer = as_viewer.call(endpoint.method, path_of(endpoint), endpoint.body)

    assert answer.status_code == 403
    assert answer.json()["code"] == "permission_denied"
    assert everything() == before


@pytest.mark.parametrize("endpoint", FOR_ADMINS, **as_text)
def test_to_an_editor_it_is_403_and_nothing_changes(as_editor, path_of, endpoint):
    before = everything()

    answer = as_editor.call(endpoint.method, path_of(endpoint), endpoint.body)

    assert answer.status_code == 403
    assert everything() == before


@pytest.mark.parametrize("endpoint", [item for item in IN_PROJECTS if "/runs/{run}" in item.path], **as_text)
def test_a_run_is_not_found_below_another_project_of_the_caller(admin, as_admin, checkpoint, endpoint):
    other = new_project(by=admin)
    path = endpoint.path.format(project=other.uid, run=checkpoint.run.uid, artifact=checkpoint.uid)

    assert as_admin.call(endpoint.method, path, endpoint.body).status_code == 404


@pytest.mark.parametrize("endpoint", [item for item in IN_PROJECTS if "/artifacts/{artifact}" in item.path], **as_text)
def test_an_artifact_is_not_found_below_another_run(as_admin, checkpoint, project, endpoint):
    path = endpoint.path.format(project=project.uid, run=new_run(project).uid, artifact=checkpoint.uid)

    assert as_admin.call(endpoint.method, path, endpoint.body).status_code == 404


@pytest.mark.parametrize("endpoint", ENDPOINTS, **as_text)
def test_an_unknown_query_parameter_is_400_and_nothing_changes(as_operator, path_of, endpoint):
    before = everything()
    path = path_of(endpoint)

    answer = as_operator.call(endpoint.method, f"{path}{'&' if '?' in path else '?'}surprise=1", endpoint.body)

    assert answer.status_code == 400
    assert answer.json() == {"code": "invalid", "surprise": ["This query parameter is not known."]}
    assert everything() == before


@pytest.mark.parametrize("endpoint", ENDPOINTS, **as_text)
def test_another_method_is_405_in_json(as_operator, path_of, endpoint):
    answer = as_operator.call("PUT", path_of(endpoint), {})

    assert answer.status_code == 405
    assert answer.json()["code"] == "method_not_allowed"
    assert endpoint.method in answer.headers["Allow"]


def test_someone_who_left_the_project_is_a_stranger(as_viewer, viewer, run):
    path = f"/projects/{run.project.uid}/runs/{run.uid}"
    seen = as_viewer.call("GET", path).status_code

    viewer.memberships.all().delete()

    assert (seen, as_viewer.call("GET", path).status_code) == (200, 404)


def test_a_person_who_was_deactivated_is_refused(viewer, project):
    caller = Caller(viewer)

    viewer.is_active = False
    viewer.save()

    assert caller.call("GET", f"/projects/{project.uid}").status_code == 401
