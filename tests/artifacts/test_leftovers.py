"""Files of which no row tells are removed; all others stay, and those in another installation's store."""

import os
import time

import pytest
from django.utils import timezone

from artifacts import leftovers
from artifacts.leftovers import LeftoverSweep
from artifacts.models import Artifact
from artifacts.ownership import ANY_AGE, forget_installation, installation_uid, is_foreign, take_store
from artifacts.storage import store
from tests.factories import new_artifact, new_run

pytestmark = pytest.mark.django_db
DAY_SECONDS = 24 * 3600


@pytest.fixture(autouse=True)
def _own_store(settings, tmp_path):
    """A store without what other tests left."""
    settings.DATA_DIR = tmp_path


def leave(uid, *, age_seconds=2 * DAY_SECONDS):
    """Put a file of an artifact into the store, as old as that, and return its uid."""
    with store().receive(uid, 7, [b"x"], size_bytes=1):
        pass
    age(uid, age_seconds)
    return uid


def age(uid, seconds=2 * DAY_SECONDS):
    moment = time.time() - seconds
    os.utime(store()._place(uid, 0).parent, (moment, moment))


def test_files_of_no_artifact_are_removed_after_a_day(project):
    kept = new_artifact(new_run(project), files={"model.bin": b"weights"})
    age(kept.uid)
    orphan, young = leave("art_000000000000000a"), leave("ckpt_000000000000000a", age_seconds=DAY_SECONDS - 600)

    assert LeftoverSweep()() == 1
    assert [store().holds(uid) for uid in (kept.uid, orphan, young)] == [True, False, True]


def test_a_step_looks_at_some_parts_and_the_next_goes_on(monkeypatch, db):
    monkeypatch.setattr(leftovers, "PARTS_AT_ONCE", 2)
    assert take_store(store())
    for letter in "abc":
        leave(f"art_000000000000000{letter}")
    sweep = LeftoverSweep()

    assert [sweep(), sweep(), sweep()] == [2, 1, 0]
    leave("art_000000000000000a")
    assert sweep() + sweep() == 1


def test_what_is_no_folder_of_an_artifact_is_left_alone(db):
    assert take_store(store())
    leave("art_000000000000000a")
    others = [store()._root / "0a" / "notes", store()._root / "zz", store()._root / "0a" / "art_00000000000000zz"]
    for path in others:
        path.mkdir()
        os.utime(path, (0, 0))

    assert LeftoverSweep()() == 1
    assert [path.exists() for path in others] == [True, True, True]
    assert store().read_mark() == installation_uid()


def test_a_store_that_is_not_there_yet_holds_nothing(db):
    assert LeftoverSweep()() == 0


def test_bytes_of_a_removed_checkpoint_that_came_back_are_removed(project):
    removed = new_artifact(new_run(project))
    Artifact.objects.filter(pk=removed.pk).update(state="removed", removed_at=timezone.now())
    age(removed.uid)

    assert LeftoverSweep()() == 0  # another sweep is about to delete them
    Artifact.objects.filter(pk=removed.pk).update(bytes_deleted_at=timezone.now())
    assert LeftoverSweep()() == 1
    assert not store().holds(removed.uid)


def test_a_store_of_another_database_loses_nothing_and_is_warned_of_once(project, caplog):
    kept = new_artifact(new_run(project))
    age(kept.uid)
    orphan = leave("art_000000000000000a")
    store().write_mark("hub_0000000000another")
    sweep = LeftoverSweep()

    assert [sweep(), sweep()] == [0, 0]
    assert (store().holds(orphan), store().read_mark()) == (True, "hub_0000000000another")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    store().write_mark(installation_uid())  # as the operator does
    assert (sweep(), store().holds(orphan), store().holds(kept.uid)) == (1, False, True)


def test_a_hub_started_on_an_empty_database_removes_nothing(project):
    artifact = new_artifact(new_run(project))
    age(artifact.uid)
    assert LeftoverSweep()() == 0  # which marks the store
    Artifact.objects.all().delete()
    forget_installation("default")

    assert LeftoverSweep()() == 0
    assert store().holds(artifact.uid)
    assert is_foreign(store())


def test_nor_does_it_take_a_store_without_a_mark_of_whose_artifacts_it_knows_none(db):
    orphan = leave("art_000000000000000a")

    assert LeftoverSweep()() == 0
    assert (store().holds(orphan), store().read_mark(), is_foreign(store())) == (True, None, True)


def test_a_store_in_use_is_marked_after_an_upgrade(project):
    new_artifact(new_run(project))
    assert (store().read_mark(), is_foreign(store())) == (None, False)

    LeftoverSweep()()

    assert store().read_mark() == installation_uid()


def test_a_bucket_of_another_installation_loses_nothing(s3_files, monkeypatch):
    monkeypatch.setattr(leftovers, "KEPT", ANY_AGE)
    assert LeftoverSweep()() == 0  # empty, so that it is marked
    orphan = "art_000000000000000a"
    with s3_files.receive(orphan, 7, [b"x"], size_bytes=1):
        pass
    own = s3_files.read_mark()
    s3_files.write_mark("hub_0000000000another")

    assert (LeftoverSweep()(), s3_files.holds(orphan), is_foreign(s3_files)) == (0, True, True)
    s3_files.write_mark(own)
    assert (own, LeftoverSweep()(), s3_files.holds(orphan)) == (installation_uid(), 1, False)
