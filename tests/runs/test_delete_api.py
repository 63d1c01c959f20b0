"""Deleting a run: who may, when, what is in the way, and that it is gone everywhere at once."""

import pytest
from django.urls import reverse

from artifacts.models import Artifact, TagValue
from artifacts.services import checkpoint_to_resume, tag_artifact, untag_artifact
from projects.services import archive_project
from runs.deletion import delete_run, lock_kept
from runs.models import Attempt, Run, RunDeletion
from runs.services import cancel_run, prepare_run, queue_run, repeat_run
from tests.factories import at_once, everything, fresh, new_artifact, new_project, new_run, resume_run, run_path
from tests.runs.retained import ended_run, rows_of
from trainhub.errors import DomainError, NotFound

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(project):
    """A completed run with lines, points and a checkpoint."""
    run = ended_run(project, days=1, name="old")
    new_artifact(run)
    return run


@pytest.fixture
def delete(as_admin):
    return lambda run: as_admin.call("DELETE", run_path(run))


@pytest.fixture
def deleted(run, delete):
    assert delete(run).status_code == 204
    return run


# --- Gone -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("role", ["admin", "operator"])
def test_a_deleted_run_answers_204_and_then_404(call_as, run, role):
    answers = [call_as(role).call("DELETE", run_path(run)) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [204, 404]
    assert (answers[0].content, answers[1].json()["code"]) == (b"", "not_found")
    assert RunDeletion.objects.count() == 1


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_a_run_is_deleted_however_it_ended(project, delete, status):
    assert delete(new_run(project, status=status)).status_code == 204


PLACES = [
    "", "/events", "/attempts", "/logs", "/logs/follow", "/logs/download", "/metrics", "/artifacts", "/artifacts/{art}",
    "/artifacts/{art}/download", "/artifacts/{art}/files/0",
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("role", ["viewer", "admin", "operator"])
def test_nothing_of_a_deleted_run_can_be_read(call_as, deleted, role, place):
    path = run_path(deleted) + place.format(art=deleted.artifacts.get().uid)

    assert call_as(role).call("GET", path).status_code == 404


@pytest.mark.parametrize(
    "action",
    ["/cancel", "/repeat", "/resume?source_artifact_id={art}", "/artifacts/{art}/tag", "/artifacts/{art}/verify"],
)
def test_nothing_can_be_done_with_a_deleted_run(as_operator, deleted, action):
    before = everything()
    path = run_path(deleted) + action.format(art=deleted.artifacts.get().uid)

    assert as_operator.call("POST", path, {"tag": "release"} if "tag" in action else {}).status_code == 404
    assert everything() == before


@pytest.mark.parametrize("role", ["viewer", "operator"])
@pytest.mark.parametrize("query", ["", "?status=completed", "?q=old", "?order=name", "?recipe=simulate"])
def test_no_list_has_a_deleted_run(call_as, deleted, role, query):
    lists = ["/runs", f"/projects/{deleted.project.uid}/runs"]

    shown = [call_as(role).call("GET", f"{path}{query}").json() for path in lists]

    assert [(page["total"], page["items"]) for page in shown] == [(0, [])] * 2


def test_the_project_counts_and_shows_it_no_more(as_viewer, deleted):
    new_run(deleted.project)

    shown = as_viewer.call("GET", f"/projects/{deleted.project.uid}").json()

    assert (shown["runs_total"], shown["run_counts"], [run["name"] for run in shown["runs"]]) == (
        1, {"queued": 1}, ["a run"],
    )  # fmt: skip


def test_the_dry_run_of_retention_names_it_no_more(as_viewer, deleted):
    assert as_viewer.call("GET", f"/projects/{deleted.project.uid}/retention?log_days=1").json()["total"] == 0


@pytest.mark.parametrize(
    "page", ["home", "runs", "projects", "project", "admin:runs_run_changelist", "admin:runs_attempt_changelist",
             "admin:runs_runevent_changelist", "admin:artifacts_artifact_changelist"]
)  # fmt: skip
def test_no_page_names_it(client, operator, deleted, page):
    client.force_login(operator)

    text = client.get(reverse(page, args=[deleted.project.uid] if page == "project" else [])).content.decode()

    assert deleted.uid not in text
    assert ">old<" not in text


@pytest.mark.parametrize(
    "page",
    [
        "run",
        "run-status",
        "run-log",
        "run-log-rows",
        "run-log-tail",
        "run-timeline",
        "run-cancel",
        "run-delete",
        "artifacts",
    ],
)
def test_its_pages_are_gone(client, operator, deleted, page):
    client.force_login(operator)

    assert client.get(reverse(page, args=[deleted.uid])).status_code == 404


def test_the_page_of_its_checkpoint_is_gone(client, operator, deleted):
    client.force_login(operator)

    assert client.get(reverse("artifact", args=[deleted.artifacts.get().uid])).status_code == 404


def test_it_is_no_template_of_a_launch_any_more(client, operator, deleted):
    client.force_login(operator)

    path = reverse("run-launch", args=[deleted.project.uid])

    assert client.get(path, {"repeat": deleted.uid}).status_code == 404


def test_a_project_whose_runs_are_all_deleted_is_restored_as_a_draft(as_admin, deleted):
    path = f"/projects/{deleted.project.uid}"
    as_admin.call("POST", f"{path}/archive")

    assert as_admin.call("POST", f"{path}/restore").json()["status"] == "draft"


# --- The register ---------------------------------------------------------------------------------
def test_the_register_tells_who_deleted_what_and_how_much(run, delete, admin):
    delete(run)

    entry = RunDeletion.objects.get()
    assert (entry.run_uid, entry.name, entry.ended_as, entry.project) == (run.uid, "old", "completed", run.project)
    assert (entry.actor, entry.user, entry.created_at, entry.erased_at) == ("ada", admin, run.created_at, None)
    assert (entry.log_lines, entry.metric_points, entry.artifact_count) == (3, 4, 1)
    assert entry.artifact_bytes == run.artifacts.get().size_bytes


def test_operators_read_the_register_and_nobody_changes_it(client, operator, deleted):
    client.force_login(operator)
    entry = RunDeletion.objects.get()
    paths = [reverse("admin:runs_rundeletion_changelist"), reverse("admin:runs_rundeletion_change", args=[entry.pk])]

    assert all(deleted.uid in client.get(path).content.decode() for path in paths)
    assert client.post(paths[1], {"actor": "nobody"}).status_code == 403
    assert fresh(entry).actor == "ada"


def test_the_admin_deletes_no_run(client, operator, run):
    client.force_login(operator)

    assert client.post(reverse("admin:runs_run_delete", args=[run.pk]), {"post": "yes"}).status_code == 403
    assert Run.objects.filter(pk=run.pk).exists()


# --- In the way -----------------------------------------------------------------------------------
@pytest.mark.parametrize("status", ["queued", "starting", "running", "cancelling"])
def test_a_run_that_has_not_ended_is_409_with_what_is_allowed(project, delete, status):
    run = new_run(project, status=status)
    before = everything()

    answer = delete(run)

    assert (answer.status_code, answer.json()["code"], answer.json()["status"]) == (409, "illegal_transition", status)
    assert answer.json()["allowed"]
    assert everything() == before


@pytest.mark.parametrize("tag", ["release", "candidate"])
def test_a_tagged_checkpoint_is_in_the_way_and_named(run, delete, admin, tag):
    checkpoint = run.artifacts.get()
    tag_artifact(artifact=checkpoint, value=TagValue(tag), notes="", by=admin)
    before = everything()

    answer = delete(run)

    assert (answer.status_code, answer.json()["reason"], answer.json()["artifacts"]) == (
        409,
        "tagged",
        [checkpoint.uid],
    )
    assert checkpoint.uid in answer.json()["detail"]
    assert everything() == before


def test_the_tag_archived_and_one_taken_off_are_not_in_the_way(run, delete, admin):
    checkpoint = run.artifacts.get()
    tag_artifact(artifact=checkpoint, value=TagValue.ARCHIVED, notes="", by=admin)
    tag_artifact(artifact=checkpoint, value=TagValue.RELEASE, notes="", by=admin)
    untag_artifact(artifact=checkpoint, value=TagValue.RELEASE, by=admin)

    assert delete(run).status_code == 204


def resumed_from(run, by):
    return resume_run(checkpoint=run.artifacts.get(), by=by, values={})


def test_a_run_that_was_resumed_from_it_is_in_the_way_and_named(run, delete, admin):
    child = resumed_from(run, admin)
    before = everything()

    answer = delete(run)

    assert (answer.status_code, answer.json()["reason"], answer.json()["runs"]) == (409, "resumed", [child.uid])
    assert child.uid in answer.json()["detail"]
    assert everything() == before


def test_an_attempt_of_another_run_that_restored_its_checkpoint_is_in_the_way(run, delete):
    other = new_run(run.project, status="completed")
    Attempt.objects.filter(run=other).update(resume_from=run.artifacts.get())

    assert delete(run).json()["runs"] == [other.uid]


def test_its_own_attempts_that_restored_its_checkpoints_are_not_in_the_way(run, delete):
    Attempt.objects.filter(run=run).update(resume_from=run.artifacts.get())

    assert delete(run).status_code == 204


def test_the_last_of_a_chain_goes_first_then_the_one_before(run, delete, admin):
    child = resumed_from(run, admin)
    cancel_run(run=child, by=admin)

    assert [delete(one).status_code for one in (run, child, run)] == [409, 204, 204]


def test_no_run_of_an_archived_project_is_deleted(run, delete):
    archive_project(project=run.project)
    before = everything()

    answer = delete(run)

    assert (answer.status_code, answer.json()["status"]) == (409, "archived")
    assert everything() == before


def test_a_run_repeated_from_it_stays(run, delete, admin):
    again = repeat_run(run=run, by=admin, changes={})

    assert delete(run).status_code == 204
    assert fresh(again).status == "queued"


# --- At the same moment ---------------------------------------------------------------------------
def test_a_resume_that_was_prepared_before_is_refused(run, delete, admin):
    checkpoint = checkpoint_to_resume(run=run, checkpoint_id=run.artifacts.get().uid)
    prepared = prepare_run(project=run.project, values={"name": "late"}, resumed_from=checkpoint)
    delete(run)

    with pytest.raises(NotFound):
        queue_run(run=prepared, by=admin)

    assert not Run.objects.filter(name="late").exists()


def test_a_tag_that_was_on_its_way_is_refused(run, delete, admin):
    checkpoint = run.artifacts.get()
    delete(run)

    with pytest.raises(NotFound):
        tag_artifact(artifact=checkpoint, value=TagValue.RELEASE, notes="", by=admin)

    assert not checkpoint.tags.exists()


def outcome(work, *args, **kwargs):
    try:
        return work(*args, **kwargs)
    except DomainError as error:
        return type(error).__name__


@pytest.mark.django_db(transaction=True)
def test_deleted_twice_at_once_it_is_deleted_once(run, admin):
    results = at_once(*[lambda: outcome(delete_run, run=fresh(run), by=admin)] * 3)

    assert sum(isinstance(result, RunDeletion) for result in results) == 1
    assert results.count("NotFound") == 2


@pytest.mark.django_db(transaction=True)
def test_deleted_and_resumed_at_once_one_of_both_happens(run, admin):
    def resume():
        return outcome(resume_run, checkpoint=Artifact.objects.get(run=run), by=admin, values={})

    at_once(resume, lambda: outcome(delete_run, run=fresh(run), by=admin))

    is_resumed = Run.objects.filter(resumed_from__run=run).exists()
    assert (fresh(run).deleted_at is None) == is_resumed


def test_deletion_leaves_the_rows_to_the_scheduler(run, delete):
    before = rows_of(run)

    delete(run)

    assert (rows_of(run), before > 0) == (before, True)
    assert fresh(run).telemetry.leftovers_since is not None


def test_a_run_that_is_locked_to_stay_must_be_there(deleted):
    with pytest.raises(NotFound):
        lock_kept(deleted.pk)


def test_below_another_project_there_is_nothing_to_delete(as_admin, admin, run):
    other = new_project(by=admin)

    assert as_admin.call("DELETE", f"/projects/{other.uid}/runs/{run.uid}").status_code == 404
    assert fresh(run).deleted_at is None
