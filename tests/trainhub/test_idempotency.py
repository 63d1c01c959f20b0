"""`Idempotency-Key`: the same request twice has one effect and one answer."""

from datetime import timedelta

import pytest
from django.utils import timezone

from projects.models import ApiToken, IdempotentAnswer, Project
from projects.services import forget_old_answers
from runs.models import Run, RunEvent
from runs.services import cancel_run
from tests.factories import (
    Caller,
    artifact_path,
    at_once,
    everything,
    new_artifact,
    new_project,
    new_run,
    new_user,
    run_path,
)

pytestmark = pytest.mark.django_db
KEY = {"Idempotency_Key": "a-key"}


@pytest.fixture
def checkpoint(project):
    return new_artifact(new_run(project, status="completed"))


@pytest.fixture
def creations(checkpoint):
    """Return path and body of every POST that creates."""
    run = run_path(checkpoint.run)
    return {
        "project": ("/projects", {"name": "x"}),
        "token": ("/tokens", {"name": "x"}),
        "run": (f"/projects/{checkpoint.run.project.uid}/runs", {"name": "x"}),
        "repeat": (f"{run}/repeat", {}),
        "resume": (f"{run}/resume?source_artifact_id={checkpoint.uid}", {}),
        "tag": (f"{artifact_path(checkpoint)}/tag", {"tag": "release"}),
    }


EVERY = pytest.mark.parametrize("what", ["project", "token", "run", "repeat", "resume", "tag"])


@EVERY
def test_the_same_request_again_gets_the_same_answer_and_changes_nothing(as_admin, creations, what):
    path, body = creations[what]
    first = as_admin.call("POST", path, body, **KEY)
    counts = count_rows()

    again = as_admin.call("POST", path, body, **KEY)

    assert again.status_code == first.status_code < 300
    assert {**again.json(), "token": None} == {**first.json(), "token": None}
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers.get("Location") == first.headers.get("Location")
    assert count_rows() == counts


def count_rows():
    return [model.objects.count() for model in (Project, Run, RunEvent, ApiToken, IdempotentAnswer)]


@EVERY
def test_the_same_key_with_another_body_is_409_and_changes_nothing(as_admin, creations, what):
    path, body = creations[what]
    other = {"tag": "candidate"} if what == "tag" else {**body, "name": "another"}
    as_admin.call("POST", path, body, **KEY)
    before = everything()

    answer = as_admin.call("POST", path, other, **KEY)

    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_reused")
    assert everything() == before


def test_the_same_key_on_another_path_is_409(as_admin, creations):
    as_admin.call("POST", "/projects", {"name": "x"}, **KEY)

    assert as_admin.call("POST", creations["run"][0], {"name": "x"}, **KEY).status_code == 409


def test_the_order_of_fields_does_not_matter(as_admin):
    first = as_admin.call("POST", "/projects", b'{"name": "x", "owner": "y"}', **KEY)
    again = as_admin.call("POST", "/projects", b'{"owner":"y","name":"x"}', **KEY)

    assert again.json() == first.json()


def test_keys_of_two_people_do_not_meet(as_admin, as_stranger):
    first = as_admin.call("POST", "/projects", {"name": "x"}, **KEY)
    other = as_stranger.call("POST", "/projects", {"name": "x"}, **KEY)

    assert (first.status_code, other.status_code) == (201, 201)
    assert first.json()["id"] != other.json()["id"]


def test_without_a_key_every_request_counts(as_admin):
    ids = {as_admin.call("POST", "/projects", {"name": "x"}).json()["id"] for _ in range(2)}

    assert len(ids) == 2


def test_a_repeated_token_creation_does_not_show_the_secret_again(as_admin):
    first = as_admin.call("POST", "/tokens", {"name": "x"}, **KEY).json()

    again = as_admin.call("POST", "/tokens", {"name": "x"}, **KEY).json()

    assert again == {**first, "token": None}
    assert first["token"] not in repr(list(IdempotentAnswer.objects.values()))


def test_a_refused_request_does_not_use_up_its_key(as_admin):
    refused = as_admin.call("POST", "/projects", {"name": ""}, **KEY)

    accepted = as_admin.call("POST", "/projects", {"name": "x"}, **KEY)

    assert (refused.status_code, accepted.status_code) == (400, 201)


def test_a_request_that_the_service_refuses_leaves_no_key(as_admin, project):
    as_admin.call("POST", f"/projects/{project.uid}/runs", {"name": "x", "recipe": "none-such"}, **KEY)

    assert not IdempotentAnswer.objects.exists()
    assert as_admin.call("POST", f"/projects/{project.uid}/runs", {"name": "x"}, **KEY).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "\x01", "\x85"])
def test_an_unusable_key_is_400_and_nothing_is_created(as_admin, key):
    before = everything()

    answer = as_admin.call("POST", "/projects", {"name": "x"}, Idempotency_Key=key)

    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.json()
    assert everything() == before


def test_keys_are_forgotten_after_a_day(as_admin):
    as_admin.call("POST", "/projects", {"name": "x"}, **KEY)
    IdempotentAnswer.objects.update(created_at=timezone.now() - timedelta(hours=25))

    assert forget_old_answers() == 1
    assert as_admin.call("POST", "/projects", {"name": "other"}, **KEY).status_code == 201


def test_the_first_answer_is_kept_as_it_was_created(as_editor, editor, project):
    path = f"/projects/{project.uid}/runs"
    first = as_editor.call("POST", path, {"name": "x"}, **KEY, Prefer="wait=0").json()
    cancel_run(run=Run.objects.get(uid=first["id"]), by=editor)

    again = as_editor.call("POST", path, {"name": "x"}, **KEY, Prefer="wait=0").json()

    assert again["status"] == "queued"
    assert again["id"] == first["id"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("callers", [2, 6])
def test_simultaneous_requests_with_one_key_create_one_run(callers):
    user = new_user("ada")
    project = new_project(by=user)
    clients = [Caller(user) for _ in range(callers)]
    path = f"/projects/{project.uid}/runs"

    answers = at_once(*(lambda client=client: client.call("POST", path, {"name": "x"}, **KEY) for client in clients))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert project.runs.count() == 1
