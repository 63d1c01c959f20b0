"""Tags on checkpoints, with who, when and why."""

import pytest

from tests.factories import (
    Caller,
    artifact_path,
    at_once,
    everything,
    fresh,
    new_artifact,
    new_project,
    new_run,
    new_user,
    run_path,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(project):
    return new_run(project, status="completed")


@pytest.fixture
def checkpoint(run):
    return new_artifact(run)


@pytest.fixture
def tag(as_editor):
    return lambda artifact, body: as_editor.call("POST", f"{artifact_path(artifact)}/tag", body)


@pytest.mark.parametrize("value", ["candidate", "release", "archived"])
def test_a_checkpoint_is_tagged_with_notes_time_and_person(tag, checkpoint, value):
    answer = tag(checkpoint, {"tag": value, "notes": "BLEU 32.5"})

    only = answer.json()["tags"][0]
    assert (answer.status_code, answer.json()["id"]) == (200, checkpoint.uid)
    assert (only["value"], only["notes"], only["applied_by"]) == (value, "BLEU 32.5", "edith")
    assert only["applied_at"].endswith("Z")


def test_the_same_tag_again_replaces_notes_and_person(tag, as_admin, checkpoint):
    tag(checkpoint, {"tag": "release", "notes": "first"})

    tags = as_admin.call("POST", f"{artifact_path(checkpoint)}/tag", {"tag": "release", "notes": "second"}).json()[
        "tags"
    ]

    assert [(item["value"], item["notes"], item["applied_by"]) for item in tags] == [("release", "second", "ada")]


def test_the_timeline_keeps_every_application_and_removal(tag, as_editor, checkpoint):
    tag(checkpoint, {"tag": "candidate", "notes": "good"})
    tag(checkpoint, {"tag": "candidate", "notes": "better"})
    as_editor.call("DELETE", f"{artifact_path(checkpoint)}/tags/candidate")

    events = as_editor.call("GET", f"{run_path(checkpoint.run)}/events").json()["items"][-3:]

    assert [(item["kind"], item["actor"], item["evidence"]["notes"]) for item in events] == [
        ("tagged", "edith", "good"),
        ("tagged", "edith", "better"),
        ("untagged", "edith", ""),
    ]
    assert {item["evidence"]["artifact"] for item in events} == {checkpoint.uid}


def test_a_checkpoint_carries_several_tags(tag, checkpoint):
    tag(checkpoint, {"tag": "candidate"})

    assert [item["value"] for item in tag(checkpoint, {"tag": "release"}).json()["tags"]] == ["candidate", "release"]


@pytest.mark.parametrize("kind", ["tensorboard", "evaluation", "config", "other"])
def test_only_checkpoints_carry_tags(tag, run, kind):
    artifact = new_artifact(run, type=kind)
    before = everything()

    answer = tag(artifact, {"tag": "release"})

    assert (answer.status_code, answer.json()["code"], answer.json()["type"]) == (409, "conflict", kind)
    assert everything() == before


@pytest.mark.parametrize(("value", "status"), [("release", 409), ("candidate", 409), ("archived", 200)])
def test_a_damaged_checkpoint_may_be_archived_alone(tag, run, value, status):
    assert tag(new_artifact(run, state="corrupt"), {"tag": value}).status_code == status


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "tag"),
        ({"tag": "best"}, "tag"),
        ({"tag": ""}, "tag"),
        ({"tag": None}, "tag"),
        ({"tag": ["release"]}, "tag"),
        ({"tag": {"release": 1}}, "tag"),
        ({"tag": "RELEASE"}, "tag"),
        ({"tag": "release", "notes": "x" * 10_001}, "notes"),
        ({"tag": "release", "notes": None}, "notes"),
        ({"tag": "release", "notes": ["x"]}, "notes"),
        ({"tag": "release", "applied_by": "ada"}, "applied_by"),
        ([], "non_field_errors"),
    ],
)
def test_a_bad_tag_is_400_and_nothing_is_stored(tag, checkpoint, body, field):
    before = everything()

    answer = tag(checkpoint, body)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert field in answer.json()
    assert everything() == before


def test_a_tag_is_taken_off(tag, as_editor, checkpoint):
    tag(checkpoint, {"tag": "release"})

    answer = as_editor.call("DELETE", f"{artifact_path(checkpoint)}/tags/release")

    assert (answer.status_code, answer.json()["tags"]) == (200, [])


@pytest.mark.parametrize("value", ["release", "best", "RELEASE", "x" * 300])
def test_a_tag_that_is_not_there_is_404_and_changes_nothing(tag, as_editor, checkpoint, value):
    tag(checkpoint, {"tag": "candidate"})
    before = everything()

    answer = as_editor.call("DELETE", f"{artifact_path(checkpoint)}/tags/{value}")

    assert answer.status_code == 404
    assert everything() == before


def test_tags_show_in_the_run_and_in_the_list(tag, as_viewer, checkpoint):
    tag(checkpoint, {"tag": "release"})

    run = as_viewer.call("GET", run_path(checkpoint.run)).json()
    items = as_viewer.call("GET", f"{run_path(checkpoint.run)}/artifacts").json()["items"]

    assert run["artifacts"][0]["tags"] == items[0]["tags"] != []


def test_the_name_of_someone_who_is_gone_is_null(tag, as_viewer, editor, checkpoint):
    tag(checkpoint, {"tag": "release"})
    editor.delete()

    assert as_viewer.call("GET", artifact_path(checkpoint)).json()["tags"][0]["applied_by"] is None


@pytest.mark.django_db(transaction=True)
def test_the_same_tag_from_two_people_at_once_is_there_once():
    user = new_user("ada")
    checkpoint = new_artifact(new_run(new_project(by=user), status="completed"))
    path = f"{artifact_path(checkpoint)}/tag"
    callers = [Caller(user), Caller(user)]

    answers = at_once(*(lambda caller=caller: caller.call("POST", path, {"tag": "release"}) for caller in callers))

    assert [answer.status_code for answer in answers] == [200, 200]
    assert fresh(checkpoint).tags.count() == 1
