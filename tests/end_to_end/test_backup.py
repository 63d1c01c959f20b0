"""The drill: a backup taken while a hub works, its machine lost, and the backup restored elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import SETTINGS
from tests.end_to_end.hub import ROOT, SERVER, Hub, eventually
from tests.end_to_end.simulated import assert_whole, parameters

pytestmark = pytest.mark.skipif(
    bool(SERVER) and not (shutil.which("pg_dump") and shutil.which("pg_restore")),
    reason="PostgreSQL's client programs pg_dump and pg_restore are not installed",
)


def new_place(data: Path) -> Hub:
    """An installation in which nothing was ever done."""
    hub = Hub(data=data, environment=dict(SETTINGS))
    data.mkdir(mode=0o700)
    if SERVER:
        hub.on_server("CREATE DATABASE {}", hub.database)
    return hub


def manage(hub: Hub, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "manage.py"), *map(str, arguments)]
    return subprocess.run(
        command, env=hub._environment(), cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


def answers(hub: Hub, path: str) -> dict[str, Any]:
    """Everything that the API says of an ended run, but for the age of its last heartbeat."""
    places = ["", "/events?page_size=100", "/attempts", "/artifacts", "/metrics?key=loss&points=10000"]
    told = {place: hub.call("GET", f"{path}{place}") for place in places}
    assert {place: answer.status for place, answer in told.items()} == dict.fromkeys(places, 200)
    del told[""].body["evidence"]["age_seconds"]
    return {**{place: answer.body for place, answer in told.items()}, "log": hub.all_log_lines(path)}


def files_of(hub: Hub, path: str) -> dict[str, bytes]:
    """The bytes of all artifacts' first files, as they are downloaded."""
    items = hub.call("GET", f"{path}/artifacts").body["items"]
    return {item["id"]: (hub.data / "store" / item["id"][-2:] / item["id"] / "000000").read_bytes() for item in items}


@pytest.fixture
def lost(own_hub: Hub, tmp_path: Path) -> Any:
    """A backup that was taken under load, what the hub had said of its runs, and the hub, whose machine is gone."""
    given = parameters(60)
    ended = own_hub.new_run(own_hub.new_project(name="ended"), model_parameters=given)
    assert own_hub.wait_for_status(ended, "completed", "failed")["status"] == "completed"
    assert_whole(own_hub, ended, given)
    live = parameters(100_000, steps_per_second=200)
    project = own_hub.new_project(name="live")
    restarted = own_hub.new_run(project, model_parameters=live, max_restarts=1)
    failing = own_hub.new_run(project, model_parameters=live, max_restarts=0)
    for path in (restarted, failing):
        own_hub.wait_for_checkpoint(path)
    told, files = answers(own_hub, ended), files_of(own_hub, ended)
    folder = tmp_path / "backup"
    done = manage(own_hub, "backup", folder)
    assert done.returncode == 0, done.stderr
    own_hub.kill_web()
    own_hub.kill_scheduler()
    eventually(own_hub._kill_all, "the end of everything on the lost machine", 30)
    return {"folder": folder, "ended": ended, "told": told, "files": files, "live": (restarted, failing), "of": own_hub}


@pytest.fixture
def elsewhere(tmp_path: Path) -> Any:
    hub = new_place(tmp_path / "elsewhere")
    yield hub
    hub.stop()


def test_a_backup_taken_under_load_is_restored_elsewhere(lost: dict[str, Any], elsewhere: Hub) -> None:
    done = manage(elsewhere, "restore", lost["folder"])

    assert done.returncode == 0, done.stdout + done.stderr
    assert "are whole. Start the hub." in done.stdout
    elsewhere.token = lost["of"].token  # tokens are part of what was restored
    elsewhere.start()
    assert answers(elsewhere, lost["ended"]) == lost["told"]
    assert files_of(elsewhere, lost["ended"]) == lost["files"]
    restarted, failing = lost["live"]
    assert elsewhere.wait_for_status(failing, "failed", seconds=120)["reason"]
    eventually(lambda: len(elsewhere.call("GET", f"{restarted}/attempts").body) == 2, "another attempt", 120)
    again = eventually(
        lambda: (attempt := elsewhere.attempt_of(restarted))["started_at"] and attempt, "its trainer's start", 120
    )
    assert again["number"] == 2
    assert elsewhere.call("GET", f"{restarted}/artifacts?type=checkpoint").body["items"]
    assert elsewhere.call("POST", f"{restarted}/cancel").body["status"] == "cancelled"
    lines = elsewhere.all_log_lines(restarted)
    assert [line["line"] for line in lines] == list(range(len(lines)))


@pytest.fixture
def resting(prepared: Hub, tmp_path: Path) -> Any:
    """A hub that was never started, with a run and an artifact, and a backup of it."""
    hub = prepared.copy(tmp_path / "resting")
    hub.manage("shell", "--command", WITH_ARTIFACT)
    folder = tmp_path / "backup"
    assert manage(hub, "backup", folder).returncode == 0
    yield hub, folder
    hub.stop()


WITH_ARTIFACT = """
from tests.factories import new_artifact, new_run
new_artifact(new_run(status="completed"))
"""


def stored(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "store").rglob("*") if path.is_file())


def test_a_second_backup_copies_what_is_new_alone(resting: Any) -> None:
    hub, folder = resting
    before = {path: path.stat().st_ino for path in stored(folder)}
    hub.manage("shell", "--command", WITH_ARTIFACT.replace('status="completed"', 'status="completed", name="more"'))

    done = manage(hub, "backup", folder)

    assert "4 files of artifacts" in done.stdout
    assert "of which 2 were new" in done.stdout
    after = {path: path.stat().st_ino for path in stored(folder)}
    assert before.items() < after.items()


def test_links_take_no_room_and_deleted_artifacts_leave_with_the_next_backup(resting: Any, tmp_path: Path) -> None:
    hub, _ = resting
    folder = tmp_path / "linked"
    assert manage(hub, "backup", folder, "--link").returncode == 0
    assert all(path.stat().st_nlink == 2 for path in stored(folder))
    hub.manage("shell", "--command", DELETED)

    done = manage(hub, "backup", folder, "--link")

    assert "0 files of artifacts" in done.stdout
    assert "WARNING" not in done.stderr
    assert stored(folder) == []


DELETED = """
from artifacts.erasure import erase_step
from runs.deletion import delete_run
from runs.models import Run
from tests.factories import new_user
run = Run.objects.get(artifacts__isnull=False)
delete_run(run=run, by=new_user("deleter"))
while erase_step(run):
    pass
"""


def test_a_store_that_lost_its_files_takes_nothing_from_the_backup(resting: Any, elsewhere: Hub) -> None:
    hub, folder = resting
    before = content(folder / "store")
    for part in (hub.data / "store").glob("??"):
        shutil.rmtree(part)  # as when its disk is not mounted

    done = manage(hub, "backup", folder)

    assert done.returncode == 0, done.stderr
    assert content(folder / "store") == before
    uid = stored(folder)[0].parent.name
    assert f"WARNING: the store has no files of 1 artifacts that the database lists: {uid}." in done.stderr
    assert manage(elsewhere, "restore", folder).returncode == 0


def test_another_file_of_the_same_size_is_copied_again(resting: Any, tmp_path: Path) -> None:
    hub, folder = resting
    linked = tmp_path / "linked"
    assert manage(hub, "backup", linked, "--link").returncode == 0
    file = stored(hub.data)[0]
    other, written_at = bytes(file.stat().st_size), file.stat().st_mtime
    file.unlink()  # its number is given out again
    file.write_bytes(other)

    assert "1 were new" in manage(hub, "backup", folder).stdout
    assert (folder / "store" / file.relative_to(hub.data / "store")).read_bytes() == other
    os.utime(file, (written_at, written_at))
    assert "1 were new" in manage(hub, "backup", linked, "--link").stdout
    assert (linked / "store" / file.relative_to(hub.data / "store")).samefile(file)


def test_secrets_and_database_are_for_their_owner_alone(resting: Any) -> None:
    _, folder = resting

    assert folder.stat().st_mode & 0o077 == 0
    assert [path.stat().st_mode & 0o077 for path in (folder / "secrets").iterdir()] == [0]


def test_restore_refuses_an_installation_that_holds_something(resting: Any) -> None:
    hub, folder = resting

    done = manage(hub, "restore", folder)

    assert done.returncode == 1
    assert "not empty" in done.stderr


def change_dump(folder: Path) -> None:
    dump = folder / ("database.dump" if SERVER else "trainhub.sqlite3")
    dump.write_bytes(dump.read_bytes()[:-1] + b"?")


def change_secret(folder: Path) -> None:
    (folder / "secrets" / "secret_key").write_text("x" * 60)


def take_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def make_newer(folder: Path) -> None:
    told = json.loads((folder / "manifest.json").read_text())
    told["migrations"].append("runs.9999_from_the_future")
    (folder / "manifest.json").write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (change_dump, "does not match its SHA-256"),
        (change_secret, "does not match its SHA-256"),
        (take_manifest, "holds no whole backup"),
        (make_newer, "of a newer version"),
    ],
)
def test_a_backup_that_is_not_whole_is_refused_and_nothing_is_changed(
    resting: Any, elsewhere: Hub, spoil: Any, said: str
) -> None:
    _, folder = resting
    spoil(folder)

    done = manage(elsewhere, "restore", folder)

    assert (done.returncode, said in done.stderr) == (1, True), done.stderr
    assert not (elsewhere.data / "trainhub.sqlite3").exists() or SERVER or not tables(elsewhere)
    assert stored(elsewhere.data) == []


def tables(hub: Hub) -> list[str]:
    with closing(sqlite3.connect(hub.data / "trainhub.sqlite3")) as file:
        return [name for (name,) in file.execute("SELECT name FROM sqlite_master")]


def test_an_artifact_that_rotted_in_the_backup_is_named_and_marked(resting: Any, elsewhere: Hub) -> None:
    _, folder = resting
    rotten = stored(folder)[0]
    rotten.write_bytes(bytes(rotten.stat().st_size))

    done = manage(elsewhere, "restore", folder)

    assert done.returncode == 1
    assert f"{rotten.parent.name}: model.bin is missing or damaged." in done.stdout
    state = elsewhere.manage(
        "shell", "--command", "from artifacts.models import *; print(Artifact.objects.get().state)"
    )
    assert state.split()[-1] == "corrupt"


def test_a_backup_is_not_made_where_something_else_lies(resting: Any, tmp_path: Path) -> None:
    hub, _ = resting
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()

    assert "something else than a backup: thesis.tex" in manage(hub, "backup", tmp_path / "full").stderr
    assert "outside the data folder" in manage(hub, "backup", hub.data / "backup").stderr


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def dump_fails(hub: Hub, tmp_path: Path) -> None:
    """Break what copies the database: pg_dump itself, or the folder's place for the copy."""
    if SERVER:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "pg_dump").write_text("#!/bin/sh\necho the disk is full >&2\nexit 1\n")
        (tmp_path / "bin" / "pg_dump").chmod(0o755)
        hub.environment["PATH"] = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    else:
        (hub.data / "trainhub.sqlite3").write_bytes(b"no database" * 1000)
        for ending in ("-wal", "-shm"):
            (hub.data / f"trainhub.sqlite3{ending}").unlink(missing_ok=True)


def last_part_fails(hub: Hub, tmp_path: Path) -> None:
    """Make the file unreadable that is copied last."""
    (hub.data / "executors.toml").mkdir()


@pytest.mark.parametrize("spoil", [dump_fails, last_part_fails])
def test_a_backup_that_fails_leaves_the_earlier_one_whole(
    resting: Any, elsewhere: Hub, tmp_path: Path, spoil: Any
) -> None:
    hub, folder = resting
    before = content(folder)
    shutil.rmtree(next((hub.data / "store").glob("??")))  # what is gone from the hub stays in the earlier backup
    spoil(hub, tmp_path)

    done = manage(hub, "backup", folder)

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert before.items() <= content(folder).items()
    assert manage(elsewhere, "restore", folder).returncode == 0


def test_the_file_of_executors_comes_back_unless_there_is_another(resting: Any, elsewhere: Hub, tmp_path: Path) -> None:
    hub, folder = resting
    declared = '[executors.local]\nkind = "local"\nslots = 3\n'
    (hub.data / "executors.toml").write_text(declared)
    assert manage(hub, "backup", folder).returncode == 0
    drill = new_place(tmp_path / "drill")
    (drill.data / "executors.toml").write_text(declared.replace("3", "1"))

    for one in (elsewhere, drill):
        assert manage(one, "restore", folder).returncode == 0

    assert (elsewhere.data / "executors.toml").read_text() == declared
    assert "slots = 1" in (drill.data / "executors.toml").read_text()
    drill.stop()
    (hub.data / "executors.toml").unlink()
    assert manage(hub, "backup", folder).returncode == 0
    assert not (folder / "executors.toml").exists()


def test_a_drill_with_the_bucket_of_the_hub_that_goes_on_is_refused(resting: Any, elsewhere: Hub) -> None:
    _, folder = resting
    elsewhere.environment["TRAINHUB_S3"] = "s3://models/hub"

    refused = manage(elsewhere, "restore", folder)

    assert (refused.returncode, "--with-bucket" in refused.stderr) == (1, True), refused.stderr
    assert stored(elsewhere.data) == []
    assert manage(elsewhere, "restore", folder, "--with-bucket").returncode == 0


def test_what_was_not_compared_is_counted_and_what_a_client_was_told_is_stored_is_compared(
    resting: Any, elsewhere: Hub, tmp_path: Path
) -> None:
    hub, _ = resting
    hub.manage("shell", "--command", IN_BUCKET_AND_FROM_CLIENT)
    folder = tmp_path / "more"
    assert manage(hub, "backup", folder).returncode == 0
    told = hub.manage(
        "shell", "--command", "from artifacts.models import *; print(Artifact.objects.get(name='log').uid)"
    )
    shutil.rmtree(folder / "store" / told.split()[-1][-2:] / told.split()[-1])

    done = manage(elsewhere, "restore", folder)

    assert done.returncode == 1
    assert f"{told.split()[-1]}: model.bin is missing or damaged." in done.stdout
    assert "1 artifacts in an object store were not compared" in done.stdout


IN_BUCKET_AND_FROM_CLIENT = """
from artifacts.models import *
from tests.factories import new_artifact, new_run
run = new_run(status="completed", name="more")
Artifact.objects.filter(pk=new_artifact(run, name="bucket").pk).update(store="s3")
Artifact.objects.filter(pk=new_artifact(run, name="log").pk).update(state="writing", is_from_client=True)
"""
