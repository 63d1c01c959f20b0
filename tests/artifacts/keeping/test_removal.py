"""Checkpoints that go by their projects' rules: which, with their bytes, in what steps, and what is left of them."""

from datetime import timedelta
from unittest import mock

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from artifacts.keeping import removal
from artifacts.keeping.plan import plan_project, verdicts_of
from artifacts.keeping.removal import CheckpointSweep, remove_all, remove_from
from artifacts.keeping.rule import CheckpointRule
from artifacts.models import Artifact, LoggedModel, ModelVersion, RegisteredModel
from artifacts.registry.versions import create_version
from artifacts.services import prepare_resume, tag_artifact
from artifacts.storage import store
from artifacts.tracking.checkpoints import complete_checkpoint
from artifacts.tracking.files import Sender, put_file
from artifacts.verification import verify_artifact
from projects.models import Project
from runs.deletion import content_of, delete_run
from runs.models import Attempt, Run
from runs.services import queue_run
from runs.telemetry.append import append_metrics
from tests.artifacts.keeping.checkpointed import checkpoints, keep, steps_left, trained_run
from tests.factories import at_once, damage, everything, fresh, kinds, new_artifact, new_project, new_run, resume_run
from tests.runs.telemetry.model import Crash
from trainhub.errors import ArtifactDamaged, Conflict, DomainError, NotFound

pytestmark = pytest.mark.django_db
THREE = (0.5, 0.4, 0.3)


def finish():
    """Let the scheduler's sweep go round until it has nothing more to do."""
    sweep = CheckpointSweep()
    while sweep():
        pass


def bytes_left(run):
    return [one.step for one in checkpoints(run) if store().holds(one.uid)]


def test_without_a_rule_nothing_is_written(project):
    trained_run(project, *THREE)
    before = everything()

    finish()

    assert everything() == before


def test_the_newest_and_the_best_stay_and_the_bytes_of_others_go(project):
    run = trained_run(project, 0.2, 0.1, 0.5, 0.4, 0.3)
    keep(project, 2, 1, "eval_loss")

    finish()

    assert steps_left(run) == bytes_left(run) == [200, 400, 500]
    gone = checkpoints(run)[0]
    assert (gone.state, gone.removed_at is not None, gone.bytes_deleted_at is not None) == ("removed", True, True)
    assert (gone.size_bytes, len(gone.manifest)) == (808, 2)


def test_the_timeline_tells_what_went_and_why(project):
    run = trained_run(project, 0.2, 0.1, 0.5)
    keep(project, 1, 1, "eval_loss")

    finish()

    event = run.events.get(kind="checkpoints_removed")
    first = checkpoints(run)[0]
    assert event.actor == "retention"
    assert event.message == (
        "1 checkpoint was removed, 808 bytes: the project keeps the newest checkpoint and the one with the lowest "
        "eval_loss of a run."
    )
    assert event.evidence == {
        "size_bytes": 808,
        "checkpoints": [
            {"artifact": first.uid, "name": first.name, "why": "older than the newest, nor the best (eval_loss 0.2)"}
        ],
    }


def test_a_second_round_finds_nothing_more(project):
    run = trained_run(project, *THREE)
    keep(project, 1)
    finish()
    before = everything()

    finish()

    assert everything() == before
    assert kinds(run).count("checkpoints_removed") == 1


@pytest.mark.parametrize("status", ["queued", "starting", "running", "cancelling"])
def test_a_run_that_has_not_ended_keeps_all(project, status):
    run = new_run(project, status=status)
    for step in (100, 200):
        new_artifact(run, step=step)
    keep(project, 1)

    finish()

    assert steps_left(run) == [100, 200]


def test_a_run_that_ended_just_now_keeps_all(project):
    run = trained_run(project, *THREE, hours=0.9)
    keep(project, 1)

    finish()

    assert steps_left(run) == [100, 200, 300]


def test_other_projects_and_other_files_stay(project):
    run = trained_run(project, *THREE)
    other = trained_run(keep(new_project(), None), *THREE)
    for step in (100, 200):
        new_artifact(run, type="evaluation", name="scores.json", step=step)
    keep(project, 1)

    finish()

    assert steps_left(other) == [100, 200, 300]
    assert set(run.artifacts.filter(type="evaluation").values_list("state", flat=True)) == {"verified"}


def tag(checkpoint, admin):
    tag_artifact(artifact=checkpoint, value="archived", notes="", by=admin)


def resume(checkpoint, admin):
    resume_run(checkpoint=checkpoint, by=admin, values={})


def restore(checkpoint, admin):
    Attempt.objects.filter(run=checkpoint.run).update(resume_from=checkpoint)


def register(checkpoint, admin):
    model = RegisteredModel.objects.create(name="m", project=checkpoint.run.project)
    create_version(model=model, artifact=checkpoint, source="runs:/", by=admin, actor="ada")


def log(checkpoint, admin):
    LoggedModel.objects.create(project=checkpoint.run.project, run=checkpoint.run, artifact=checkpoint, name="m")


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (tag, "tagged archived by ada"),
        (resume, "was resumed from it"),
        (restore, "attempt 1 of the run"),
        (register, "version 1 of the registered model m"),
        (log, "the logged model m"),
    ],
)
def test_what_is_built_on_stays_whatever_the_rule(project, admin, build, said):
    run = trained_run(project, *THREE)
    build(checkpoints(run)[0], admin)
    keep(project, 1)

    finish()

    assert steps_left(run) == bytes_left(run) == [100, 300]
    verdict = verdicts_of([run.pk], now=timezone.now())[-1]
    assert said in verdict.why
    assert len(verdict.kept_by) == 1


def test_what_was_built_on_and_is_no_longer_goes(project, admin):
    run = trained_run(project, *THREE)
    first, second, _ = checkpoints(run)
    resumed = resume_run(checkpoint=first, by=admin, values={})
    Run.objects.filter(pk=resumed.pk).update(deleted_at=timezone.now())
    register(second, admin)
    ModelVersion.objects.update(deleted_at=timezone.now())
    keep(project, 1)

    finish()

    assert steps_left(run) == [300]


def test_a_history_that_was_removed_keeps_what_may_be_the_best(project):
    run = trained_run(project, *THREE)
    Run.objects.filter(pk=run.pk).update(metrics_removed_at=timezone.now())
    keep(project, 1, 1, "eval_loss")

    finish()

    assert steps_left(run) == [100, 200, 300]


def test_the_value_is_that_at_the_step_or_near_before_it(project):
    run = trained_run(project, None, None, None)
    attempt = run.attempts.get()
    Attempt.objects.filter(pk=attempt.pk).update(ended_at=None)
    column = {"step": [95, 190, 299], "time": [1, 2, 3], "value": [0.3, 0.2, 0.1]}
    append_metrics(attempt=fresh(attempt), sequence=1, columns={"eval_loss": column})
    Attempt.objects.filter(pk=attempt.pk).update(ended_at=timezone.now())
    keep(project, 1, 1, "eval_loss", "max")

    finish()

    assert steps_left(run) == [100, 300]


def test_a_damaged_checkpoint_is_not_counted(project):
    run = trained_run(project, *THREE)
    last = checkpoints(run)[-1]
    damage(last)
    with pytest.raises(ArtifactDamaged):
        verify_artifact(artifact=last)
    keep(project, 1)

    finish()

    assert steps_left(run) == [200, 300]


def test_one_run_after_the_other_in_bounded_steps(project, monkeypatch):
    monkeypatch.setattr(removal, "RUNS_AT_ONCE", 2)
    monkeypatch.setattr(removal, "REMOVED_AT_ONCE", 1)
    monkeypatch.setattr(removal, "SLICE_SECONDS", 0.0)
    runs = [trained_run(project, *THREE) for _ in range(3)]
    keep(project, 1)
    sweep, states = CheckpointSweep(), []

    while sweep():
        states.append(Artifact.objects.filter(state="removed").count())

    # Two runs lose one checkpoint each, whose bytes go one by one; then the third.
    assert states == [2, 2, 2, 3, 3]
    for _ in range(2):
        finish()
    assert [steps_left(run) for run in runs] == [[300]] * 3


def test_bytes_that_a_killed_process_left_go_with_the_next_round(project, monkeypatch):
    run = trained_run(project, *THREE)
    keep(project, 1)
    with monkeypatch.context() as patched:
        patched.setattr(removal, "delete_next", mock.Mock(side_effect=[None, Crash]))
        with pytest.raises(Crash):
            finish()
    assert (steps_left(run), bytes_left(run)) == ([300], [100, 200, 300])

    finish()

    assert bytes_left(run) == [300]


def test_bytes_that_cannot_be_deleted_hold_up_no_others(project, monkeypatch, caplog):
    run = trained_run(project, *THREE)
    keep(project, 1)
    stuck = checkpoints(run)[0]
    real = type(store()).delete
    with monkeypatch.context() as patched:
        patched.setattr(type(store()), "delete", lambda self, uid: None if uid == stuck.uid else real(self, uid))
        finish()
    assert (bytes_left(run), fresh(stuck).bytes_deleted_at) == ([100, 300], None)
    assert f"{stuck.uid}, which was removed, cannot be deleted yet" in caplog.text

    finish()

    assert bytes_left(run) == [300]


def test_a_checkpoint_in_a_store_that_is_away_holds_up_no_other(project, caplog):
    run = trained_run(project, *THREE)
    keep(project, 1)
    away = checkpoints(run)[0]
    Artifact.objects.filter(pk=away.pk).update(store="s3")  # which no setting names

    finish()

    assert (bytes_left(run), fresh(away).bytes_deleted_at) == ([100, 300], None)
    assert f"{away.uid}, which was removed, cannot be deleted yet" in caplog.text
    Artifact.objects.filter(pk=away.pk).update(store="file")
    finish()
    assert bytes_left(run) == [300]


def test_only_verified_ones_take_the_place_of_others(project):
    run = trained_run(project, 0.5, 0.4, 0.1, 0.2)
    unread = checkpoints(run)[2:]
    Artifact.objects.filter(pk__in=[one.pk for one in unread]).update(state="complete", verified_at=None)
    keep(project, 1, 1, "eval_loss")

    finish()
    assert steps_left(run) == [200, 300, 400]
    for one in unread:
        verify_artifact(artifact=one)
    finish()

    assert steps_left(run) == [300, 400]


def test_one_that_is_verified_while_values_are_read_waits_for_the_next_round(project, monkeypatch):
    run = trained_run(project, 0.1, 0.4, 0.3, 0.5)
    first = checkpoints(run)[0]
    Artifact.objects.filter(pk=first.pk).update(state="complete", verified_at=None)
    keep(project, 1, 1, "eval_loss")
    real = removal.read_values
    monkeypatch.setattr(removal, "read_values", lambda runs: [real(runs), verify_artifact(artifact=fresh(first))][0])

    finish()
    assert (fresh(first).state, steps_left(run)) == ("verified", [100, 200, 300, 400])
    monkeypatch.undo()
    finish()

    assert steps_left(run) == [100, 400]


def test_a_run_that_fails_holds_up_no_other(project, monkeypatch):
    runs = [trained_run(project, *THREE) for _ in range(2)]
    keep(project, 1)
    real = removal._remove_from_run

    def fail_first(run_id, now):
        if run_id == runs[0].pk:
            raise OSError("no")
        return real(run_id, now)

    monkeypatch.setattr(removal, "_remove_from_run", fail_first)
    finish()

    assert [steps_left(run) for run in runs] == [[100, 200, 300], [300]]


def test_a_rule_that_changed_meanwhile_removes_nothing(project, monkeypatch):
    run = trained_run(project, *THREE)
    keep(project, 1)
    real = removal.read_values
    monkeypatch.setattr(removal, "read_values", lambda runs: [keep(project, 2), real(runs)][1])

    finish()
    assert steps_left(run) == [100, 200, 300]
    monkeypatch.undo()
    finish()

    assert steps_left(run) == [200, 300]


def test_remove_all_is_of_one_project_and_counts(project):
    run = trained_run(project, *THREE)
    other = trained_run(keep(new_project(), 1), *THREE)
    keep(project, 2)

    assert remove_all(project=project) == 1
    assert (steps_left(run), bytes_left(run), steps_left(other)) == ([200, 300], [200, 300], [100, 200, 300])


def test_many_runs_are_judged_with_as_many_queries_as_one(project):
    keep(project, 1, 1, "eval_loss")
    runs = [trained_run(project, *THREE)]
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            found = verdicts_of([run.pk for run in runs], now=timezone.now())
        assert len([one for one in found if one.goes]) == 2 * len(runs)
        counts.append(len(queries))
        runs += [trained_run(project, *THREE) for _ in range(3)]

    assert counts[0] == counts[1] <= 8


def test_the_plan_is_what_the_sweep_does(project, admin):
    run = trained_run(project, 0.2, 0.1, 0.5, 0.4, 0.3)
    tag(checkpoints(run)[3], admin)
    project = keep(project, 1, 1, "eval_loss")
    before = everything()

    plan = plan_project(project, CheckpointRule.of(project), now=timezone.now())

    assert everything() == before
    assert [one.checkpoint.step for one in plan.going] == [300, 100]
    assert (plan.size_bytes, plan.runs, plan.runs_seen) == (2 * 808, 1, 1)
    finish()
    assert steps_left(run) == [200, 400, 500]


# --- What can no longer be done -------------------------------------------------------------------
@pytest.fixture
def removed(project):
    run = trained_run(project, *THREE)
    keep(project, 2)
    finish()
    return checkpoints(run)[0]


def use_tag(artifact, admin):
    tag_artifact(artifact=artifact, value="release", notes="", by=admin)


def use_verify(artifact, admin):
    verify_artifact(artifact=artifact)


def use_resume(artifact, admin):
    queue_run(run=prepare_resume(checkpoint=artifact, values={}), by=admin)


def use_register(artifact, admin):
    register(artifact, admin)


@pytest.mark.parametrize("use", [use_tag, use_verify, use_resume, use_register])
def test_a_removed_checkpoint_is_refused_and_nothing_changes(removed, admin, use):
    RegisteredModel.objects.all().delete()
    runs = Run.objects.count()

    with pytest.raises(Conflict, match="removed by the project's rule"):
        use(removed, admin)

    assert (fresh(removed).state, removed.tags.count(), Run.objects.count()) == ("removed", 0, runs)


@pytest.mark.parametrize(("state", "said"), [("writing", "again|overwritten"), ("corrupt", "damaged")])
@pytest.mark.parametrize("use", [use_tag, use_resume])
def test_what_was_chosen_and_is_not_whole_any_more_is_refused(project, admin, use, state, said):
    chosen = checkpoints(trained_run(project, None))[0]
    Artifact.objects.filter(pk=chosen.pk).update(state=state)
    runs = Run.objects.count()

    with pytest.raises(Conflict, match=said):
        use(chosen, admin)

    assert (chosen.tags.count(), Run.objects.count()) == (0, runs)


def test_one_that_is_verified_while_it_is_removed_stays_removed(project, monkeypatch):
    run = trained_run(project, *THREE)
    keep(project, 2)
    first = checkpoints(run)[0]
    real = type(store()).digest
    monkeypatch.setattr(type(store()), "digest", lambda self, *place: [real(self, *place), remove_from([run.pk])][0])

    with pytest.raises(NotFound):
        verify_artifact(artifact=first)

    assert fresh(first).state == "removed"


def test_bytes_that_go_while_they_are_verified_are_not_damage(project, monkeypatch):
    run = trained_run(project, *THREE)
    keep(project, 2)
    first = checkpoints(run)[0]
    real = type(store()).digest
    monkeypatch.setattr(type(store()), "digest", lambda self, *place: [finish(), real(self, *place)][1])

    with pytest.raises(Conflict, match="its bytes are gone"):
        verify_artifact(artifact=first)

    assert (fresh(first).state, "artifact_damaged" in kinds(run)) == ("removed", False)


def test_a_client_begins_a_new_checkpoint_where_one_was_removed(project, admin):
    run = trained_run(project, None, None)
    old = checkpoints(run)[0]
    Artifact.objects.filter(pk=old.pk).update(is_from_client=True, source="checkpoints/a")
    keep(project, 1)
    finish()

    new = put_file(
        run=run, path="checkpoints/a/model.bin", blocks=[b"weights " * 100], size_bytes=800, by=Sender("ada", admin)
    )

    assert (new.pk != old.pk, fresh(old).state, store().holds(new.uid)) == (True, "removed", True)


def test_a_checkpoint_that_its_client_overwrote_is_the_newest(project, admin):
    run = trained_run(project, None, None)
    first = checkpoints(run)[0]
    Artifact.objects.filter(pk=first.pk).update(is_from_client=True, source="checkpoints/a")
    path = f"checkpoints/a/{first.manifest[0]['name']}"

    again = put_file(run=run, path=path, blocks=[b"better"], size_bytes=6, by=Sender("ada", admin))
    complete_checkpoint(checkpoint=again, by=Sender("ada", admin))
    verify_artifact(artifact=checkpoints(run)[1])  # which is no writing
    keep(project, 1)
    finish()

    assert (again.pk, steps_left(run)) == (first.pk, [100])


def test_a_file_that_is_only_added_makes_no_checkpoint_newer(project, admin):
    run = trained_run(project, None, None)
    first = checkpoints(run)[0]
    Artifact.objects.filter(pk=first.pk).update(is_from_client=True, source="checkpoints/a")

    again = put_file(run=run, path="checkpoints/a/README", blocks=[b"x"], size_bytes=1, by=Sender("ada", admin))
    complete_checkpoint(checkpoint=again, by=Sender("ada", admin))
    keep(project, 1)
    finish()

    assert steps_left(run) == [200]


def test_a_file_on_its_way_into_a_checkpoint_that_goes_is_not_acknowledged(project, admin, monkeypatch):
    run = trained_run(project, None, None)
    old = checkpoints(run)[0]
    Artifact.objects.filter(pk=old.pk).update(is_from_client=True, source="checkpoints/a")
    keep(project, 1)

    def arriving():
        yield b"weights " * 100
        finish()

    with pytest.raises(DomainError, match="send the file again"):
        put_file(run=run, path="checkpoints/a/model.bin", blocks=arriving(), size_bytes=800, by=Sender("ada", admin))

    assert fresh(old).state == "removed"


def test_a_deleted_run_with_removed_checkpoints_counts_the_bytes_that_are_there(removed, admin):
    run = removed.run

    assert content_of(run).artifact_bytes == 2 * 808
    delete_run(run=run, by=admin)


# --- Races ----------------------------------------------------------------------------------------
def tried(job):
    """Return a job that returns what it raised instead of raising it."""

    def attempt():
        try:
            return job()
        except DomainError as error:
            return error

    return attempt


def race_tag(artifact, admin):
    return tag_artifact(artifact=artifact, value="release", notes="", by=admin)


def race_resume(artifact, admin):
    return queue_run(run=prepare_resume(checkpoint=artifact, values={}), by=admin)


def race_register(artifact, admin):
    model = RegisteredModel.objects.get(name="m")
    return create_version(model=model, artifact=artifact, source="runs:/", by=admin, actor="ada")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("use", [race_tag, race_resume, race_register])
def test_of_using_and_removing_at_once_one_wins(project, admin, use, number):
    run = trained_run(project, *THREE)
    RegisteredModel.objects.create(name="m", project=project)
    keep(project, 2)
    first = checkpoints(run)[0]

    used, _ = at_once(tried(lambda: use(first, admin)), finish)

    is_refused = isinstance(used, DomainError)
    assert (fresh(first).state == "removed") is is_refused
    assert store().holds(first.uid) is not is_refused
    built = first.tags.count() + first.resumed_runs.count() + first.model_versions.count()
    assert built == (0 if is_refused else 1)


@pytest.mark.django_db(transaction=True)
def test_two_schedulers_at_once_remove_once(project):
    runs = [trained_run(project, *THREE) for _ in range(3)]
    keep(project, 1)

    at_once(finish, finish)

    assert [(steps_left(run), bytes_left(run)) for run in runs] == [([300], [300])] * 3
    assert {kinds(run).count("checkpoints_removed") for run in runs} == {1}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", range(3))
def test_a_rule_that_is_taken_back_at_the_same_moment_is_all_or_nothing(project, number):
    run = trained_run(project, *THREE)
    keep(project, 1)

    at_once(finish, lambda: Project.objects.filter(pk=project.pk).update(keep_last_checkpoints=None))

    assert steps_left(run) in ([300], [100, 200, 300])
    assert bytes_left(run) == steps_left(run)


def test_an_hour_is_counted_from_the_end(project):
    run = trained_run(project, *THREE, hours=0)
    keep(project, 1)

    assert remove_from([run.pk], now=timezone.now() + timedelta(minutes=59)) == 0
    assert remove_from([run.pk], now=timezone.now() + timedelta(minutes=61)) == 2
