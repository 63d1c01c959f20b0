"""Experiments: projects as clients name, make, tag, delete and restore them."""

import pytest

from projects.models import Membership, Project, Role
from projects.services import archive_project
from runs.models import Run
from tests.factories import add_member, at_once, new_project, new_user

from .conftest import Tracker

pytestmark = pytest.mark.django_db


def test_an_experiment_is_found_by_name_made_and_read_by_id(tracker, person):
    unknown = tracker.get("experiments/get-by-name", code=404, experiment_name="vision")
    assert unknown["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    tags = [{"key": "mlflow.note.content", "value": "eyes"}]
    uid = tracker.post("experiments/create", name="vision", tags=tags)["experiment_id"]
    project = Project.objects.get(uid=uid)
    assert (project.name, project.created_by) == ("vision", person)
    by_name = tracker.get("experiments/get-by-name", experiment_name="vision")["experiment"]
    assert by_name == tracker.get("experiments/get", experiment_id=uid)["experiment"]
    assert (by_name["lifecycle_stage"], by_name["tags"]) == ("active", tags)
    assert by_name["artifact_location"] == f"mlflow-artifacts:/{uid}"
    assert by_name["creation_time"] == int(project.created_at.timestamp() * 1000)


@pytest.mark.parametrize(
    ("body", "error_code"),
    [
        ({}, "INVALID_PARAMETER_VALUE"),
        ({"name": ""}, "INVALID_PARAMETER_VALUE"),
        ({"name": "  "}, "INVALID_PARAMETER_VALUE"),
        ({"name": 5}, "INVALID_PARAMETER_VALUE"),
        ({"name": "x" * 501}, "INVALID_PARAMETER_VALUE"),
        ({"name": "a\0b"}, "INVALID_PARAMETER_VALUE"),
        ({"name": "s3", "artifact_location": "s3://bucket/x"}, "INVALID_PARAMETER_VALUE"),
        ({"name": "tagged", "tags": [{"key": "", "value": "x"}]}, "INVALID_PARAMETER_VALUE"),
        ({"name": "tagged", "tags": "team"}, "INVALID_PARAMETER_VALUE"),
        ({"name": "sentiment"}, "RESOURCE_ALREADY_EXISTS"),
    ],
)
def test_what_cannot_be_made_is_a_400_and_nothing_is_stored(tracker, project, body, error_code):
    assert tracker.post("experiments/create", code=400, **body)["error_code"] == error_code
    assert list(Project.objects.all()) == [project]


def test_foreign_names_are_free_and_foreign_ids_unknown(tracker):
    foreign = new_project(by=new_user("eve"), name="vision")
    assert tracker.post("experiments/create", name="vision")["experiment_id"] != foreign.uid
    for route in ("get", "delete", "restore", "update", "set-experiment-tag"):
        method = "GET" if route == "get" else "POST"
        body = {"experiment_id": foreign.uid, "new_name": "mine", "key": "a", "value": "b"}
        query = {"experiment_id": foreign.uid} if method == "GET" else {}
        answer = tracker.ask(method, f"experiments/{route}", None if query else body, code=404, **query)
        assert answer["error_code"] == "RESOURCE_DOES_NOT_EXIST"


def test_experiment_0_is_ones_own_default_made_once(tracker, person):
    first = tracker.post("runs/create", experiment_id="0")["run"]["info"]["experiment_id"]
    assert tracker.post("runs/create")["run"]["info"]["experiment_id"] == first
    assert tracker.get("experiments/get", experiment_id="0")["experiment"]["name"] == "Default"
    assert tracker.get("experiments/get-by-name", experiment_name="Default")["experiment"]["experiment_id"] == first
    other = Tracker(new_user("eve")).post("runs/create", experiment_id="0")["run"]["info"]["experiment_id"]
    assert other != first


def default_of(tracker):
    uid = tracker.post("runs/create", experiment_id="0")["run"]["info"]["experiment_id"]
    by_name = tracker.get("experiments/get-by-name", experiment_name="Default")["experiment"]
    assert by_name["experiment_id"] == uid
    return uid


def test_somebody_elses_default_is_ones_own_for_editors_without_one(tracker):
    default = Project.objects.get(uid=default_of(tracker))

    assert default_of(Tracker(add_member(default, "edi", Role.EDITOR))) == default.uid
    assert default_of(Tracker(add_member(default, "vera", Role.VIEWER))) != default.uid
    assert default_of(Tracker(new_user("op", is_staff=True))) != default.uid


def test_ones_own_default_stays_it_when_another_is_shared(tracker, person):
    shared = new_project(by=new_user("eve"), name="Default")
    own = default_of(tracker)
    Membership.objects.create(project=shared, user=person, role=Role.ADMIN)

    assert default_of(tracker) == own


def test_an_archived_default_is_not_fallen_into(tracker):
    first = default_of(tracker)
    tracker.post("experiments/delete", experiment_id=first)

    assert default_of(tracker) != first


def test_of_several_of_a_name_one_to_write_in_counts(tracker, person):
    foreign = new_project(by=new_user("eve"), name="vision")
    Membership.objects.create(project=foreign, user=person, role=Role.VIEWER)
    archived, own, _ = (new_project(by=person, name="vision") for _ in range(3))
    archive_project(project=archived)

    for name in ("vision", " vision "):
        found = tracker.get("experiments/get-by-name", experiment_name=name)["experiment"]
        assert found["experiment_id"] == own.uid


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("route", "body"), [("experiments/create", {"name": "vision"}), ("runs/create", {"experiment_id": "0"})]
)
def test_requests_at_the_same_time_make_one_project(person, route, body):
    trackers = [Tracker(person) for _ in range(4)]
    path = f"/mlflow/api/2.0/mlflow/{route}"

    answers = at_once(*[lambda tracker=tracker: tracker.call("POST", path, body) for tracker in trackers])

    assert Project.objects.count() == 1
    assert {answer.status_code for answer in answers} <= {200, 400}
    assert 200 in {answer.status_code for answer in answers}


def test_deleting_archives_and_its_runs_cannot_be_written(tracker, project):
    run = tracker.new_run(project)
    tracker.post("experiments/set-experiment-tag", experiment_id=project.uid, key="kept", value="b")
    tracker.post("experiments/delete", experiment_id=project.uid)
    assert tracker.get("experiments/get", experiment_id=project.uid)["experiment"]["lifecycle_stage"] == "deleted"
    info = tracker.run(run)["info"]
    assert (info["lifecycle_stage"], info["status"]) == ("deleted", "KILLED")
    for route, body in (
        ("runs/log-metric", {"run_id": run, "key": "a", "value": 1, "timestamp": 1}),
        ("runs/set-tag", {"run_id": run, "key": "a", "value": "b"}),
        ("runs/update", {"run_id": run, "status": "RUNNING"}),
        ("runs/create", {"experiment_id": project.uid}),
        ("experiments/set-experiment-tag", {"experiment_id": project.uid, "key": "a", "value": "b"}),
        ("experiments/delete-experiment-tag", {"experiment_id": project.uid, "key": "kept"}),
    ):
        refused = tracker.post(route, code=400, **body)
        assert "active" in refused["message"]
    assert tracker.post("experiments/delete", code=404, experiment_id=project.uid)
    tracker.post("experiments/restore", experiment_id=project.uid)
    assert tracker.run(run)["info"]["lifecycle_stage"] == "active"
    assert tracker.post("experiments/restore", code=404, experiment_id=project.uid)


def test_a_managed_run_that_goes_on_keeps_its_project_from_being_deleted(tracker, attempt, project):
    external = tracker.new_run(project)
    refused = tracker.post("experiments/delete", code=400, experiment_id=project.uid)
    assert "cancel them first" in refused["message"]
    assert tracker.run(external)["info"]["lifecycle_stage"] == "active"


def test_renaming_and_tags(tracker, project):
    new_project(by=project.created_by, name="taken")
    taken = tracker.post("experiments/update", code=400, experiment_id=project.uid, new_name="taken")
    assert taken["error_code"] == "RESOURCE_ALREADY_EXISTS"
    tracker.post("experiments/update", experiment_id=project.uid, new_name="renamed")
    assert tracker.get("experiments/get-by-name", experiment_name="renamed")
    tracker.post("experiments/set-experiment-tag", experiment_id=project.uid, key="team", value="nlp")
    tracker.post("experiments/set-experiment-tag", experiment_id=project.uid, key="team", value="vision")
    tags = tracker.get("experiments/get", experiment_id=project.uid)["experiment"]["tags"]
    assert tags == [{"key": "team", "value": "vision"}]
    tracker.post("experiments/delete-experiment-tag", experiment_id=project.uid, key="team")
    tracker.post("experiments/delete-experiment-tag", code=404, experiment_id=project.uid, key="team")


def test_an_editor_may_track_and_not_administer(tracker, project):
    editor = Tracker(add_member(project, "edi", Role.EDITOR))
    assert editor.new_run(project)
    for route in ("delete", "update", "restore"):
        answer = editor.post(f"experiments/{route}", code=403, experiment_id=project.uid, new_name="mine")
        assert answer["error_code"] == "PERMISSION_DENIED"


def test_a_jobs_token_makes_no_projects_and_administers_none(job_tracker, attempt, project):
    refused = job_tracker.post("experiments/create", code=403, name="elsewhere")
    assert refused["error_code"] == "PERMISSION_DENIED"
    job_tracker.post("experiments/delete", code=403, experiment_id=project.uid)
    assert job_tracker.get("experiments/get", experiment_id="0")["experiment"]["experiment_id"] == project.uid
    assert not Run.objects.exclude(pk=attempt.run_id).exists()
