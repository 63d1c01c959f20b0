"""The file store: whole files or none, under places made from ids."""

import os
import stat
import threading
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from artifacts.models import Artifact
from artifacts.services import collect_unfinished
from artifacts.storage import FileStore, read_blocks
from tests.factories import entry, new_artifact, new_run
from trainhub.errors import InvalidInput

UID = "ckpt_0123456789abcdef"


@pytest.fixture
def files(tmp_path):
    return FileStore(tmp_path / "store")


def write(files, content, **changes):
    given = entry("x", content)
    expected = {"size_bytes": given["size_bytes"], "sha256": given["sha256"], **changes}
    files.write(UID, 0, [content[:3], content[3:]], **expected)


def test_what_was_written_is_read(files):
    write(files, b"checkpoint")

    assert files.open(UID, 0).read() == b"checkpoint"
    assert files.has(UID, 0, 10)
    assert files.digest(UID, 0) == entry("x", b"checkpoint")["sha256"]


@pytest.mark.parametrize("changes", [{"size_bytes": 9}, {"size_bytes": 11}, {"size_bytes": 0}, {"sha256": "0" * 64}])
def test_what_does_not_match_is_not_kept(files, tmp_path, changes):
    with pytest.raises(InvalidInput):
        write(files, b"checkpoint", **changes)

    assert not files.has(UID, 0, 10)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_failed_write_leaves_the_file_that_was_there(files):
    write(files, b"checkpoint")

    with pytest.raises(InvalidInput):
        write(files, b"other", sha256="0" * 64)

    assert files.open(UID, 0).read() == b"checkpoint"


def test_a_stream_that_breaks_leaves_nothing(files, tmp_path):
    def broken():
        yield b"chec"
        raise OSError(5, "gone")

    with pytest.raises(OSError, match="gone"):
        files.write(UID, 0, broken(), size_bytes=10, sha256="0" * 64)

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("uid", ["../x", "ckpt_../x", "ckpt_A", "", "ckpt_", "ckpt_x/y", "ckpt_x\n", "/etc", "ckpt_é"])
def test_what_is_no_id_never_becomes_a_place(files, uid):
    with pytest.raises(ValueError, match="not the uid"):
        files.open(uid, 0)


def test_a_negative_index_never_becomes_a_place(files):
    with pytest.raises(ValueError, match="not the uid"):
        files.open(UID, -1)


def test_files_and_folders_are_for_their_user_alone(files, tmp_path):
    write(files, b"checkpoint")

    modes = {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in (tmp_path / "store").rglob("*") if path.is_file()}

    assert modes == {0}


def test_delete_removes_all_files_and_twice_is_fine(files):
    write(files, b"checkpoint")

    files.delete(UID)
    files.delete(UID)

    assert not files.has(UID, 0, 10)


def test_memory_use_is_one_block():
    class Endless:
        def __init__(self):
            self.asked = []

        def read(self, size):
            self.asked.append(size)
            return b"x" if len(self.asked) < 4 else b""

    stream = Endless()

    assert b"".join(read_blocks(stream)) == b"xxx"
    assert set(stream.asked) == {1024 * 1024}


def test_two_writers_of_one_file_leave_one_whole_file(files):
    gate = threading.Barrier(2)

    def slowly(content):
        yield content[:3]
        gate.wait(timeout=10)
        yield content[3:]

    def send(content):
        given = entry("x", content)
        files.write(UID, 0, slowly(content), size_bytes=given["size_bytes"], sha256=given["sha256"])

    threads = [threading.Thread(target=send, args=(content,)) for content in (b"aaaaaa", b"bbbbbb")]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]

    assert files.open(UID, 0).read() in {b"aaaaaa", b"bbbbbb"}
    assert len(os.listdir(files._place(UID, 0).parent)) == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "state", "age_hours", "left"),
    [
        ("completed", "writing", 25, 0),
        ("completed", "writing", 23, 1),
        ("running", "writing", 25, 1),
        ("completed", "verified", 25, 1),
        ("completed", "corrupt", 25, 1),
    ],
)
def test_uploads_that_were_given_up_are_collected_after_a_day(status, state, age_hours, left):
    artifact = new_artifact(new_run(status=status), state=state)
    Artifact.objects.update(created_at=timezone.now() - timedelta(hours=age_hours))

    assert collect_unfinished() == 1 - left
    assert Artifact.objects.count() == left
    assert artifact.manifest


@pytest.mark.django_db
def test_an_upload_in_a_store_that_is_away_holds_up_no_other(caplog):
    away, _ = [new_artifact(new_run(status="completed"), state="writing") for _ in range(2)]
    Artifact.objects.update(created_at=timezone.now() - timedelta(hours=25))
    Artifact.objects.filter(pk=away.pk).update(store="s3")  # which no setting names

    assert collect_unfinished() == 1
    assert Artifact.objects.get() == away
    assert f"{away.uid}, whose upload was given up, stays" in caplog.text


def test_what_a_killed_upload_left_is_collected_and_one_under_way_is_not(files, tmp_path):
    write(files, b"checkpoint")
    incoming = tmp_path / "store" / "incoming"
    for name, age in (("ckpt_x-000000.dead", 7200), ("ckpt_x-000001.live", 60)):
        (incoming / name).write_bytes(b"half")
        os.utime(incoming / name, (time.time() - age,) * 2)

    assert files.collect_incoming(older_than=timedelta(hours=1)) == 1

    assert [path.name for path in incoming.iterdir()] == ["ckpt_x-000001.live"]
    assert files.has(UID, 0, 10)


def test_a_store_that_nothing_was_sent_to_has_nothing_to_collect(files):
    assert files.collect_incoming(older_than=timedelta(0)) == 0
