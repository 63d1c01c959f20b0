"""What every store of artifacts promises, asked of each: the folder, and a bucket of a real S3 server."""

import hashlib
import os
import time
from datetime import timedelta

import pytest

from artifacts.storage import BodyCutOff, FileStore, StoreUnavailable, s3, s3_client
from trainhub.errors import InvalidInput, NotFound

UID, OTHER = "ckpt_0123456789abcdef", "ckpt_0123456789abcdzz"
LARGE = os.urandom(17 * 1024 * 1024)  # several parts, the last one short
NOW = timedelta(0)


@pytest.fixture(params=["file", "s3"])
def files(request, tmp_path):
    """The store that a test is about."""
    return FileStore(tmp_path / "store") if request.param == "file" else request.getfixturevalue("s3_files")


def blocks_of(content, size=1024 * 1024):
    return [content[start : start + size] for start in range(0, len(content), size)]


def write(files, content, uid=UID, number=0, **changes):
    given = {"size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), **changes}
    files.write(uid, number, blocks_of(content), **given)


def read(files, uid=UID, number=0):
    with files.open(uid, number) as file:
        return file.read()


@pytest.mark.parametrize("content", [b"", b"x", b"checkpoint" * 1000, LARGE], ids=["empty", "one", "small", "parts"])
def test_what_was_written_is_read(files, content):
    write(files, content)

    assert read(files) == content
    assert files.digest(UID, 0) == hashlib.sha256(content).hexdigest()
    assert files.has(UID, 0, len(content))
    assert not files.has(UID, 0, len(content) + 1)
    assert files.sizes(UID) == {0: len(content)}


@pytest.mark.parametrize("content", [b"checkpoint", LARGE], ids=["small", "parts"])
@pytest.mark.parametrize("changes", [{"size_bytes": 9}, {"size_bytes": 2**30}, {"sha256": "0" * 64}])
def test_what_does_not_match_is_not_kept_and_what_was_there_stays(files, content, changes):
    write(files, b"before")

    with pytest.raises(InvalidInput):
        write(files, content, **changes)

    assert read(files) == b"before"


@pytest.mark.parametrize("content", [b"checkpoint", LARGE], ids=["small", "parts"])
def test_a_stream_that_breaks_leaves_nothing(files, content):
    def broken():
        yield from blocks_of(content)
        raise OSError(5, "gone")

    with pytest.raises(OSError, match="gone"):
        files.write(UID, 0, broken(), size_bytes=len(content) + 1, sha256="0" * 64)

    assert not files.holds(UID) or files.numbers(UID) == set()


def test_what_is_not_there_is_told(files):
    with pytest.raises(FileNotFoundError):
        files.open(UID, 0)
    assert (files.sizes(UID), files.numbers(UID), files.holds(UID), files.has(UID, 0, 0)) == ({}, set(), False, False)


@pytest.mark.parametrize("count", [2, 12])
def test_missing_names_what_is_absent_or_has_another_size(files, count):
    for number in range(count - 1):
        write(files, b"four", number=number)

    assert files.missing(UID, {0: 5, **dict.fromkeys(range(1, count), 4)}) == [0, count - 1]


@pytest.mark.parametrize("uid", ["../x", "ckpt_../x", "ckpt_A", "", "ckpt_", "ckpt_x/y", "ckpt_x\n", "/etc", "ckpt_é"])
@pytest.mark.parametrize("call", [lambda f, u: f.open(u, 0), lambda f, u: f.delete(u), lambda f, u: f.sizes(u)])
def test_what_is_no_id_never_becomes_a_place(files, uid, call):
    with pytest.raises(ValueError, match="not the uid"):
        call(files, uid)


@pytest.mark.parametrize("content", [b"", b"checkpoint", LARGE], ids=["empty", "small", "parts"])
@pytest.mark.parametrize("is_announced", [True, False])
def test_what_is_received_is_hashed_and_kept_when_the_block_ends_well(files, content, is_announced):
    with files.receive(UID, 7, blocks_of(content), size_bytes=len(content) if is_announced else None) as received:
        while_recorded = files.being_received(UID)

    assert received == (len(content), hashlib.sha256(content).hexdigest())
    assert (while_recorded, files.being_received(UID)) == ({7}, set())
    assert read(files, number=7) == content
    assert files.abandoned(older_than=NOW) == {}


def test_what_is_cut_off_is_not_kept(files):
    with pytest.raises(BodyCutOff), files.receive(UID, 7, [b"half"], size_bytes=8):
        pass

    assert (files.numbers(UID), files.being_received(UID)) == (set(), set())


def test_a_refusal_while_recording_keeps_nothing(files):
    with pytest.raises(NotFound), files.receive(UID, 7, [b"x"], size_bytes=1):
        raise NotFound("The run was deleted.")

    assert (files.numbers(UID), files.being_received(UID)) == (set(), set())


def test_after_any_other_error_the_file_stays_and_is_told_as_abandoned(files):
    with pytest.raises(OSError, match="lost"), files.receive(UID, 7, [b"x"], size_bytes=1):
        raise OSError("lost")

    assert (files.numbers(UID), files.being_received(UID)) == ({7}, {7})
    assert files.abandoned(older_than=timedelta(hours=1)) == {}
    assert files.collect_incoming(older_than=timedelta(hours=1)) == 0
    assert settled(lambda: files.abandoned(older_than=NOW), {UID: {7}}) == {UID: {7}}
    assert files.collect_incoming(older_than=NOW) == 1
    assert files.being_received(UID) == set()


def settled(probe, wanted):
    """The answer of a store, once it is the wanted one: S3 tells times in whole seconds, some servers rounded up."""
    deadline = time.monotonic() + 30
    while (found := probe()) != wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


@pytest.mark.parametrize("limit", [1024**3, 6 * 1024 * 1024], ids=["at once", "in parts"])
def test_a_linked_file_stays_when_the_first_place_is_removed(files, monkeypatch, limit):
    monkeypatch.setattr(s3, "COPIED_AT_ONCE", limit)
    write(files, LARGE)

    files.link(UID, 0, to_uid=OTHER, to_number=3)
    files.delete(UID)

    assert read(files, OTHER, 3) == LARGE
    assert not files.holds(UID)


def test_nothing_can_be_linked_that_is_not_there(files):
    with pytest.raises(FileNotFoundError):
        files.link(UID, 0, to_uid=OTHER, to_number=0)


def test_deleting_removes_all_of_one_artifact_and_nothing_else_and_twice_is_fine(files):
    for number in range(3):
        write(files, b"x", number=number)
    write(files, b"kept", uid=OTHER)

    files.delete_file(UID, 1)
    files.delete_file(UID, 1)
    after_one = files.numbers(UID)
    files.delete(UID)
    files.delete(UID)

    assert (after_one, files.holds(UID), read(files, OTHER)) == ({0, 2}, False, b"kept")


def test_the_store_lists_its_parts_and_the_artifacts_in_them(files):
    uids = ["ckpt_00000000000000aa", "art_00000000000000ab", "ckpt_00000000000000ba", "ckpt_00000000000000aa"]
    for number, uid in enumerate(uids):
        write(files, b"x", uid=uid, number=number)
    with files.receive(UID, 1, [b"x"], size_bytes=1):
        pass  # has a marker for a moment

    assert files.parts(after="", limit=9) == ["aa", "ab", "ba", "ef"]
    assert files.parts(after="aa", limit=1) == ["ab"]
    known = ["ckpt_00000000000000aa"]
    assert settled(lambda: files.uids_in("aa", older_than=NOW), known) == known
    assert files.uids_in("aa", older_than=timedelta(hours=1)) == []


def test_a_store_that_works_has_no_problems_and_keeps_nothing_of_the_question(files):
    assert files.problems() == []
    assert files.abandoned(older_than=NOW) == {}


@pytest.mark.parametrize("count", [1, 9])
def test_a_bucket_that_is_not_there_is_no_missing_file(s3_files, count):
    location = s3_files.bucket.location
    lost = s3.S3Store(s3_client.Bucket(s3_client.Location("no-such-bucket", location.prefix, location.endpoint)))

    with pytest.raises(StoreUnavailable):
        lost.missing(UID, dict.fromkeys(range(count), 4))


def test_what_is_being_read_is_read_to_its_end_though_somebody_else_got_no_answer(s3_files, monkeypatch):
    write(s3_files, LARGE)
    with s3_files.open(UID, 0) as file:
        first = file.read(1024)
        monkeypatch.setitem(s3_client._away_until, s3_files.bucket.location.endpoint, time.monotonic() + 600)
        rest = file.read()

    assert first + rest == LARGE
    with pytest.raises(StoreUnavailable):
        s3_files.has(UID, 0, len(LARGE))
