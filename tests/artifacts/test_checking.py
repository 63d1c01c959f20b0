"""The store compared with the database: what is missing, what nobody knows, and what a check leaves alone."""

import os
import shutil
import time
from datetime import timedelta
from io import StringIO
from unittest import mock

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from artifacts import checking
from artifacts.checking import begin_check, check_some, last_check, step_check
from artifacts.keeping.removal import remove_all
from artifacts.models import Artifact, StoreCheck
from artifacts.storage import StoreUnavailable, store
from tests.artifacts.keeping.checkpointed import checkpoints, keep, trained_run
from tests.factories import at_once, damage, everything, fresh, lose, new_artifact, new_run

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_store(settings, tmp_path):
    """A store without what other tests left."""
    settings.DATA_DIR = tmp_path


def leave(uid, *, hours=2):
    """Put a file of an artifact into the store, so old, and return its uid."""
    with store().receive(uid, 7, [b"x"], size_bytes=1):
        pass
    return age(uid, hours)


def age(uid, hours=2):
    moment = time.time() - hours * 3600
    os.utime(store()._place(uid, 0).parent, (moment, moment))
    return uid


def check(**options):
    """Check to the end; return the check and all that was found, as kind, artifact and file."""
    begun, found = begin_check(**options), []
    while (step := step_check(begun)) is not None:
        found += [(one.kind, one.artifact, one.file) for one in step]
    return begun, found


def said(*arguments):
    out = StringIO()
    try:
        call_command("check_store", *arguments, stdout=out)
    except CommandError as error:
        return out.getvalue(), str(error)
    return out.getvalue(), ""


def test_a_whole_store_has_no_findings(project):
    artifacts = [new_artifact(new_run(project)) for _ in range(7)]

    done, found = check()

    assert found == done.findings == []
    assert (done.artifacts, done.files, done.size_bytes) == (7, 14, 7 * artifacts[0].size_bytes)
    assert (done.missing, done.unknown, done.finished_at is not None) == (0, 0, True)


def test_files_that_are_missing_or_of_another_size_are_found_and_nothing_else_changes(project):
    lost, short, _ = [new_artifact(new_run(project)) for _ in range(3)]
    names = lose(lost, 1), short.manifest[0]["name"]
    os.truncate(store()._place(short.uid, 0), 3)
    before = everything()

    done, found = check()

    assert found == [("missing", lost.uid, names[0]), ("size", short.uid, names[1])]
    assert done.missing == 2
    after = everything()
    assert {name for name in after if after[name] != before[name]} == {"StoreCheck"}


def test_bytes_that_nobody_knows_are_found_when_they_are_not_young(project):
    age(new_artifact(new_run(project)).uid)
    orphan, _ = leave("art_000000000000000a"), leave("art_000000000000000b", hours=0.5)

    done, found = check()

    assert (found, done.unknown) == ([("unknown", orphan, "")], 1)
    assert store().holds(orphan)


def test_bytes_of_a_removed_checkpoint_that_came_back_are_found(project):
    keep(project, 1)
    run = trained_run(project, None, None)
    remove_all()
    gone = checkpoints(run)[0]
    leave(gone.uid)

    assert check()[1] == [("leftover", gone.uid, "")]


def test_removed_writing_and_deleted_ones_need_no_bytes(project):
    run = new_run(project)
    for changes in ({"state": "removed", "removed_at": timezone.now()}, {"state": "writing"}):
        artifact = new_artifact(run)
        Artifact.objects.filter(pk=artifact.pk).update(**changes)
        store().delete(artifact.uid)
    of_deleted = new_artifact(new_run(project))
    type(run).objects.filter(pk=of_deleted.run_id).update(deleted_at=timezone.now())
    store().delete(of_deleted.uid)

    assert check()[1] == []


def test_what_a_client_was_told_is_stored_must_be_there_before_it_is_whole(project):
    artifact = new_artifact(new_run(project), files={"a.bin": b"x"})
    Artifact.objects.filter(pk=artifact.pk).update(state="writing", is_from_client=True)
    lose(artifact)

    assert check()[1] == [("missing", artifact.uid, "a.bin")]


def test_a_file_that_is_replaced_meanwhile_is_looked_at_again(project, monkeypatch):
    artifact = new_artifact(new_run(project), files={"a.bin": b"x"})
    real, asked = type(store()).has, []

    def replaced(self, uid, number, size_bytes):
        if not asked:
            asked.append(number)
            os.rename(self._place(uid, 0), self._place(uid, 7))
            Artifact.objects.filter(pk=artifact.pk).update(places=[7])
        return real(self, uid, number, size_bytes)

    monkeypatch.setattr(type(store()), "has", replaced)

    assert check()[1] == []


def test_bytes_that_the_manifest_does_not_name_are_found_and_others_are_looked_at(project):
    artifact = new_artifact(new_run(project))
    leave(artifact.uid)
    name = damage(artifact)

    done, found = check(with_hashes=True)

    assert found == [("leftover", artifact.uid, ""), ("damaged", artifact.uid, name)]
    assert (done.unknown, done.missing) == (1, 1)


def test_bytes_that_are_on_their_way_are_no_leftover(project):
    artifact = new_artifact(new_run(project))
    with store().receive(artifact.uid, 7, [b"x"], size_bytes=1):
        assert check()[1] == []


def test_what_is_in_a_store_that_no_setting_names_is_told_and_the_check_goes_on(project):
    away, lost = new_artifact(new_run(project)), new_artifact(new_run(project))
    Artifact.objects.filter(pk=away.pk).update(store="s3")
    name = lose(lost)

    done, found = check(with_hashes=True)

    assert [one for one in found if one[0] != "unknown"] == [("unreachable", away.uid, ""), ("missing", lost.uid, name)]
    assert done.missing == 2
    assert fresh(away).state == "verified"


def test_a_file_that_cannot_be_read_holds_up_no_other(project, monkeypatch):
    first, second = new_artifact(new_run(project)), new_artifact(new_run(project))
    name, real = damage(second), type(store()).digest

    def refuse(self, uid, number):
        if uid == first.uid:
            raise StoreUnavailable("no")
        return real(self, uid, number)

    monkeypatch.setattr(type(store()), "digest", refuse)

    assert check(with_hashes=True)[1] == [("unreachable", first.uid, ""), ("damaged", second.uid, name)]


def test_while_a_store_is_away_a_check_waits_and_then_goes_on(project, monkeypatch, caplog):
    artifact = new_artifact(new_run(project))
    with monkeypatch.context() as patched:
        patched.setattr(type(store()), "sizes", mock.Mock(side_effect=StoreUnavailable("It is away.")))
        assert check_some() is False
        assert "It is away." in said()[1]
    assert (fresh(artifact).state, StoreCheck.objects.get(by_command=False).cursor) == ("verified", "")

    assert "later: It is away." in caplog.text
    while check_some():
        pass
    assert last_check().artifacts == 1


def test_hashes_find_what_sizes_do_not_and_mark_it(project):
    artifact, lost = new_artifact(new_run(project)), new_artifact(new_run(project))
    name, missing = damage(artifact), lose(lost)

    assert check()[1] == [("missing", lost.uid, missing)]
    done, found = check(with_hashes=True)

    assert found == [("damaged", artifact.uid, name), ("missing", lost.uid, missing)]
    assert (fresh(artifact).state, fresh(lost).state) == ("corrupt", "verified")
    assert last_check() == done


def test_the_command_lists_both_and_ends_with_an_error_when_something_is_missing(project):
    lost, orphan = new_artifact(new_run(project)), leave("art_000000000000000a")
    name = lose(lost)

    out, error = said()

    lines = [line.split() for line in out.splitlines()]
    assert ["missing", lost.uid, name] in lines
    assert ["unknown", orphan] in lines
    assert out.splitlines()[-1].startswith("1 artifacts with 2 files")
    assert error == "1 files are missing or damaged."


def test_the_command_ends_well_when_only_the_store_has_more(project):
    leave("art_000000000000000a")

    assert said()[1] == ""


def test_the_command_with_hashes(project):
    name = damage(new_artifact(new_run(project)))

    out, error = said("--hashes")

    assert (name in out, error) == (True, "1 files are missing or damaged.")


def test_a_row_holds_the_first_findings_and_counts_all(project, monkeypatch):
    monkeypatch.setattr(checking, "KEPT_FINDINGS", 2)
    for _ in range(3):
        lose(new_artifact(new_run(project)))
    for letter in "abc":
        leave(f"art_000000000000000{letter}")

    done, found = check()

    assert (len(found), done.missing, done.unknown) == (6, 3, 3)
    assert [one["kind"] for one in done.findings] == ["missing", "missing", "unknown", "unknown"]


# --- By the scheduler -----------------------------------------------------------------------------
def test_the_scheduler_goes_on_where_it_was_and_begins_again_after_a_day(project, monkeypatch):
    monkeypatch.setattr(checking, "SLICE_SECONDS", 0.0)
    for _ in range(6):
        new_artifact(new_run(project))

    assert check_some() is True
    assert (StoreCheck.objects.get().artifacts, StoreCheck.objects.get().finished_at) == (5, None)
    while check_some():
        pass
    assert (StoreCheck.objects.get().artifacts, last_check()) == (6, StoreCheck.objects.get())
    assert (check_some(), StoreCheck.objects.count()) == (False, 1)
    StoreCheck.objects.update(started_at=timezone.now() - timedelta(hours=25))
    check_some()

    assert StoreCheck.objects.count() == 2


def test_a_check_by_hand_is_not_the_schedulers(project):
    check()
    unfinished = begin_check(by_command=True)

    check_some()

    assert fresh(unfinished).cursor == ""
    assert StoreCheck.objects.filter(by_command=False).count() == 1


def test_old_checks_are_forgotten(monkeypatch):
    monkeypatch.setattr(checking, "KEPT_CHECKS", 3)
    for _ in range(5):
        check(by_command=True)

    assert StoreCheck.objects.count() == 3


def test_a_store_that_is_away_makes_nothing_damaged(project):
    artifact = new_artifact(new_run(project))
    shutil.rmtree(store()._root)

    assert check()[0].missing == 2
    assert fresh(artifact).state == "verified"


@pytest.mark.django_db(transaction=True)
def test_two_schedulers_at_once_count_once(project):
    for _ in range(12):
        new_artifact(new_run(project))

    def go():
        for _ in range(20):
            check_some()

    at_once(go, go)

    assert StoreCheck.objects.get().artifacts == 12
