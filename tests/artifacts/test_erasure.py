"""Erasing a deleted run: telemetry, files, rows, in bounded steps that a crash may come between."""

from datetime import timedelta
from itertools import pairwise
from unittest import mock

import pytest
from django.apps import apps
from django.utils import timezone

from artifacts import erasure
from artifacts.erasure import ErasureSweep
from artifacts.models import Artifact
from artifacts.storage import store
from runs import deletion
from runs.deletion import delete_run
from runs.models import Attempt, Run, RunDataset, RunDeletion, RunMetric, RunTag, RunTracking, TelemetryCounter
from runs.services import cancel_run
from runs.telemetry.removal import remove_leftovers
from tests.factories import at_once, everything, fresh, new_artifact, resume_run
from tests.runs.retained import ended_run
from tests.runs.telemetry.model import Crash

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(project):
    run = ended_run(project, days=1)
    new_artifact(run)
    new_artifact(run, step=20)
    return run


@pytest.fixture
def deleted(run, admin):
    """A run with two checkpoints, the first of them restored by its own attempt, that was deleted long enough ago."""
    Attempt.objects.filter(run=run).update(resume_from=run.artifacts.first())
    delete_run(run=run, by=admin)
    return fresh(run)


def later():
    return timezone.now() + deletion.ERASED_AFTER + timedelta(seconds=1)


def finish():
    remove_leftovers(seconds=60)
    return ErasureSweep(seconds=60)(now=later())


def rows_of(run_id):
    """Names of the tables that have rows of the run."""
    models = [model for app in ("runs", "artifacts") for model in apps.get_app_config(app).get_models()]
    with_run = [model for model in models if "run" in {field.name for field in model._meta.fields}]
    return {model.__name__ for model in with_run if model.objects.filter(run_id=run_id).exists()}


def test_everything_goes_but_the_register(deleted):
    uids = [artifact.uid for artifact in deleted.artifacts.all()]

    assert finish() is False

    assert (rows_of(deleted.pk), Run.objects.filter(pk=deleted.pk).exists()) == (set(), False)
    assert [store().holds(uid) for uid in uids] == [False, False]
    assert RunDeletion.objects.get().erased_at is not None


def test_what_clients_told_goes_in_bounded_steps_and_runs_below_it_stay(deleted, project, monkeypatch):
    monkeypatch.setattr(deletion, "STEP_ROWS", 2)
    monkeypatch.setattr(deletion, "STEP_DATASETS", 2)
    RunTracking.objects.create(run=deleted)
    RunTag.objects.bulk_create([RunTag(run=deleted, key=f"k{n}") for n in range(5)])
    RunDataset.objects.bulk_create([RunDataset(run=deleted, name=f"d{n}", digest="1") for n in range(5)])
    below = [ended_run(project, days=1) for _ in range(3)]
    RunTracking.objects.bulk_create([RunTracking(run=run, parent=deleted, job=deleted) for run in below])
    Attempt.objects.filter(run=deleted).update(resume_from=None)
    Artifact.objects.filter(run=deleted).delete()
    told, left = (RunTag.objects, RunDataset.objects, RunTracking.objects.filter(parent=deleted)), []
    remove_leftovers(seconds=60)
    while deletion.erase_rows_step(deleted):
        left.append([rows.count() for rows in told])

    steps = [[before - after for before, after in zip(*pair, strict=True)] for pair in pairwise(left)]
    assert max(max(step) for step in steps) == 2
    assert left[-1] == [0, 0, 0]
    assert list(RunTracking.objects.values_list("run", "parent", "job")) == [(run.pk, None, None) for run in below]


def test_other_runs_keep_everything(deleted, project):
    other = ended_run(project, days=1)
    kept = new_artifact(other)
    before = everything()

    finish()

    after = everything()
    assert [row for row in before["LogChunk"] if row["run_id"] == other.pk] == after["LogChunk"]
    assert [row for row in before["RunMetric"] if row["run_id"] == other.pk] == after["RunMetric"]
    assert (rows_of(other.pk) >= {"LogChunk", "Artifact", "Attempt"}, store().holds(kept.uid)) == (True, True)


def test_nothing_is_erased_while_requests_may_still_look_at_it(deleted):
    remove_leftovers(seconds=60)

    assert ErasureSweep(seconds=60)(now=deleted.deleted_at + timedelta(seconds=59)) is False

    assert rows_of(deleted.pk) >= {"Attempt", "Artifact", "RunEvent"}


def test_nothing_is_erased_before_the_telemetry_is(deleted):
    ErasureSweep(seconds=60)(now=later())

    assert rows_of(deleted.pk) >= {"Attempt", "Artifact", "RunEvent", "LogChunk"}


def test_a_run_that_was_not_deleted_is_not_erased(run):
    before = everything()

    finish()

    assert everything() == before


def test_a_run_without_anything_is_erased(project, admin):
    run = ended_run(project, days=1, lines=0, points=0)
    TelemetryCounter.objects.filter(run=run).delete()
    delete_run(run=run, by=admin)

    finish()

    assert not Run.objects.filter(pk=run.pk).exists()


STEPS = [
    "artifacts.erasure.Attempt.objects.filter",
    "artifacts.storage.FileStore.delete",
    "artifacts.storage.FileStore.holds",
    "runs.deletion.remove_newest_step",
    "runs.deletion._erase_some",
    "runs.deletion.TelemetryCounter.objects.filter",
    "runs.deletion.RunDeletion.objects.filter",
]


@pytest.mark.parametrize("step", STEPS)
def test_after_a_crash_in_any_step_the_next_pass_finishes(deleted, step):
    uids = [artifact.uid for artifact in deleted.artifacts.all()]
    remove_leftovers(seconds=60)
    with mock.patch(step, side_effect=Crash), pytest.raises(Crash):
        ErasureSweep(seconds=60)(now=later())
    was_there = Run.objects.filter(pk=deleted.pk).exists()

    finish()

    assert (was_there, rows_of(deleted.pk), [store().holds(uid) for uid in uids]) == (True, set(), [False, False])
    assert not Run.objects.filter(pk=deleted.pk).exists()
    assert RunDeletion.objects.get().erased_at is not None


def test_files_go_before_their_row(deleted):
    remove_leftovers(seconds=60)
    first = deleted.artifacts.first()
    with mock.patch("artifacts.erasure.Attempt.objects.filter", side_effect=Crash), pytest.raises(Crash):
        ErasureSweep(seconds=60)(now=later())

    assert (store().holds(first.uid), Artifact.objects.filter(pk=first.pk).exists()) == (False, True)


def test_files_that_cannot_be_removed_keep_their_row_and_hold_up_no_other_run(deleted, project, admin, caplog):
    stuck = deleted.artifacts.first().uid
    other = ended_run(project, days=1)
    delete_run(run=other, by=admin)
    remove_leftovers(seconds=60)

    with mock.patch("artifacts.storage.file.shutil.rmtree"):
        ErasureSweep(seconds=60)(now=later())

    assert (store().holds(stuck), Artifact.objects.filter(uid=stuck).exists()) == (True, True)
    assert not Run.objects.filter(pk=other.pk).exists()
    assert stuck in caplog.text
    finish()
    assert not Run.objects.filter(pk=deleted.pk).exists()


@pytest.mark.parametrize("seconds", [60, 0])
def test_many_that_cannot_be_erased_hold_up_no_other(project, admin, monkeypatch, seconds):
    monkeypatch.setattr(erasure, "ERASED_AT_ONCE", 1)
    runs = [ended_run(project, days=1) for _ in range(3)]
    for run in runs[:2]:
        Artifact.objects.filter(pk=new_artifact(run).pk).update(store="s3")  # which no setting names
    for run in runs:
        delete_run(run=run, by=admin)
    remove_leftovers(seconds=60)

    sweep = ErasureSweep(seconds=seconds)
    while sweep(now=later()):
        pass

    assert [Run.objects.filter(pk=run.pk).exists() for run in runs] == [True, True, False]
    Artifact.objects.update(store="file")
    while sweep(now=later()):
        pass
    assert not Run.objects.filter(pk__in=[run.pk for run in runs]).exists()


def test_small_rows_go_in_steps_of_a_limit(deleted):
    remove_leftovers(seconds=60)
    small = deleted.events.count() + deleted.parameters.count()
    with mock.patch.object(deletion, "STEP_ROWS", 1), mock.patch("runs.telemetry.removal.STEP_NEWEST", 1):
        steps = sum(1 for _ in iter(lambda: erasure.erase_step(deleted), False))

    assert steps == 2 + 1 + small + 1  # artifacts, newest values, events and parameters, attempts


def test_it_stops_when_its_time_is_over_and_says_that_there_is_more(deleted):
    remove_leftovers(seconds=60)

    assert ErasureSweep(seconds=0)(now=later()) is True

    assert deleted.artifacts.count() == 1


def test_a_chain_that_was_deleted_goes_in_whatever_order(run, admin):
    child = cancel_run(run=resume_run(checkpoint=run.artifacts.first(), by=admin, values={}), by=admin)
    delete_run(run=child, by=admin)
    delete_run(run=run, by=admin)
    Run.objects.filter(pk=child.pk).update(deleted_at=timezone.now() + timedelta(hours=1))

    finish()

    assert not Run.objects.filter(pk=run.pk).exists()
    assert fresh(child).resumed_from is None


def test_newest_values_go_as_well(deleted):
    before = RunMetric.objects.filter(run=deleted).count()

    finish()

    assert (before, RunMetric.objects.filter(run_id=deleted.pk).count()) == (1, 0)


@pytest.mark.django_db(transaction=True)
def test_schedulers_at_once_erase_without_an_error(deleted):
    at_once(*[finish] * 3)
    finish()

    assert not Run.objects.filter(pk=deleted.pk).exists()
