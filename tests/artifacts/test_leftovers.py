"""Files of which no row tells are removed; all others stay."""

import os
import time

import pytest
from django.utils import timezone

from artifacts import leftovers
from artifacts.leftovers import LeftoverSweep
from artifacts.models import Artifact
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
    for letter in "abc":
        leave(f"art_000000000000000{letter}")
    sweep = LeftoverSweep()

    assert [sweep(), sweep(), sweep()] == [2, 1, 0]
    leave("art_000000000000000a")
    assert sweep() + sweep() == 1


def test_what_is_no_folder_of_an_artifact_is_left_alone(db):
    leave("art_000000000000000a")
    others = [store()._root / "0a" / "notes", store()._root / "zz", store()._root / "0a" / "art_00000000000000zz"]
    for path in others:
        path.mkdir()
        os.utime(path, (0, 0))

    assert LeftoverSweep()() == 1
    assert [path.exists() for path in others] == [True, True, True]


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
