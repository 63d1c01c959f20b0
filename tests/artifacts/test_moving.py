"""Artifacts that move between the folder and a bucket of a real S3 server."""

import io
from unittest import mock

import pytest
from django.core.management import CommandError, call_command

from artifacts import checking
from artifacts.models import Artifact
from artifacts.storage import FileStore, store_of
from artifacts.storage.choice import file_store
from artifacts.tracking.files import Sender, put_file
from artifacts.verification import check_sizes, verify_artifact
from tests.factories import artifact_path, damage, fresh, kinds, lose, new_artifact, new_run, resume_run
from trainhub.errors import TooBusy

pytestmark = pytest.mark.django_db


@pytest.fixture
def in_files(s3_settings, project):
    """An artifact in the folder, of an installation whose new ones go to the bucket."""
    s3_settings.STORE = "file"
    artifact = new_artifact(new_run(project))
    s3_settings.STORE = "s3"
    return artifact


def move(to, **options):
    said = io.StringIO()
    call_command("move_artifacts", to=to, stdout=said, stderr=said, **options)
    return said.getvalue()


def test_there_and_back(in_files, s3_files, as_viewer):
    there = move("s3")
    at_s3 = (fresh(in_files).store, file_store().holds(in_files.uid), sorted(s3_files.numbers(in_files.uid)))
    got = as_viewer.get(f"{artifact_path(in_files)}/files/0?through_hub=true")
    content = b"".join(got.streaming_content)
    move("file")

    assert "1 artifacts moved" in there
    assert at_s3 == ("s3", False, list(range(len(in_files.manifest))))
    assert len(content) == in_files.manifest[0]["size_bytes"]
    assert (fresh(in_files).store, s3_files.holds(in_files.uid)) == ("file", False)
    assert store_of(in_files).digest(in_files.uid, 0) == in_files.manifest[0]["sha256"]


def test_a_dry_run_changes_nothing(in_files, s3_files):
    said = move("s3", dry_run=True)

    assert "1 artifacts to move" in said
    assert (fresh(in_files).store, s3_files.holds(in_files.uid)) == ("file", False)


@pytest.mark.parametrize("harm", [damage, lose])
def test_what_is_damaged_stays_where_it_is_and_the_others_move(in_files, s3_files, harm, s3_settings):
    s3_settings.STORE = "file"
    good = new_artifact(new_run(in_files.run.project))
    s3_settings.STORE = "s3"
    harm(in_files)

    with pytest.raises(CommandError, match="not moved"):
        move("s3")

    assert (fresh(in_files).store, fresh(good).store) == ("file", "s3")
    assert (s3_files.holds(in_files.uid), file_store().holds(in_files.uid)) == (False, True)


def test_what_changes_meanwhile_stays(in_files, s3_files, monkeypatch):
    def change(*_, **__):
        Artifact.objects.filter(pk=in_files.pk).update(digest="0" * 64)
        return in_files.manifest[0]["sha256"]

    monkeypatch.setattr("artifacts.storage.s3.S3Store.digest", change)
    in_files.manifest[1:] = []
    Artifact.objects.filter(pk=in_files.pk).update(manifest=in_files.manifest)

    assert "left where it is" in move("s3")
    assert (fresh(in_files).store, s3_files.holds(in_files.uid)) == ("file", False)


def test_a_file_that_arrives_during_a_move_is_refused_and_can_be_sent_again(s3_settings, s3_files, project):
    s3_settings.STORE = "file"
    run, anna = new_run(project), Sender("anna")
    plots = put_file(run=run, path="plots/a", blocks=[b"first"], size_bytes=5, by=anna)

    def arriving():
        yield b"sec"
        move("s3")
        yield b"ond"

    with pytest.raises(TooBusy, match="moved to another store"):
        put_file(run=run, path="plots/b", blocks=arriving(), size_bytes=6, by=anna)
    assert [entry["name"] for entry in fresh(plots).manifest] == ["a"]
    put_file(run=run, path="plots/b", blocks=[b"second"], size_bytes=6, by=anna)

    plots = fresh(plots)
    assert (plots.store, s3_files.numbers(plots.uid)) == ("s3", set(plots.places))
    assert [s3_files.open(plots.uid, number).read() for number in plots.places] == [b"first", b"second"]
    assert not file_store().numbers(plots.uid)


def test_a_checkpoint_that_begins_anew_during_a_move_loses_nothing(s3_settings, s3_files, project, admin):
    s3_settings.STORE = "file"
    run, anna = new_run(project), Sender("anna")
    old = put_file(run=run, path="checkpoints/5.pt", blocks=[b"first"], size_bytes=5, by=anna)
    resume_run(checkpoint=old, by=admin, values={})
    real = FileStore.link

    def link(self, *place, **to):
        real(self, *place, **to)
        move("s3")

    sent = {"run": run, "path": "checkpoints/5.pt", "size_bytes": 6, "by": anna}
    with mock.patch.object(FileStore, "link", link), pytest.raises(TooBusy, match="moved to another store"):
        put_file(blocks=[b"second"], **sent)
    new = put_file(blocks=[b"second"], **sent)

    assert (fresh(old).store, s3_files.open(old.uid, old.places[0]).read()) == ("s3", b"first")
    assert (fresh(new).store, new.uid == old.uid) == ("s3", False)
    assert s3_files.open(new.uid, new.places[0]).read() == b"second"


@pytest.mark.parametrize("look", [lambda one: verify_artifact(artifact=one), check_sizes], ids=["bytes", "sizes"])
def test_what_moves_while_it_is_verified_is_not_damaged(in_files, s3_files, look):
    stale = fresh(in_files)
    move("s3")

    look(stale)

    assert (fresh(in_files).state, fresh(in_files).damaged_file, stale.store) == ("verified", "", "s3")
    assert "artifact_damaged" not in kinds(in_files.run)


def test_what_moves_while_it_is_compared_is_not_missing(in_files, s3_files):
    stale = fresh(in_files)
    move("s3")

    assert checking._compare(stale, with_hashes=True) == []


def test_what_was_moved_is_verified(in_files, s3_files):
    Artifact.objects.filter(pk=in_files.pk).update(state="complete", verified_at=None)

    move("s3")

    assert (fresh(in_files).state, fresh(in_files).verified_at is not None) == ("verified", True)


def test_a_store_that_does_not_work_is_told_before_anything_moves(in_files, s3_settings):
    s3_settings.S3_ENDPOINT = "http://127.0.0.1:9"

    with pytest.raises(CommandError, match="cannot be reached"):
        move("s3")


def test_without_a_bucket_there_is_nowhere_to_go(in_files, s3_settings):
    s3_settings.S3_BUCKET = None

    with pytest.raises(CommandError, match="names none"):
        move("s3")
