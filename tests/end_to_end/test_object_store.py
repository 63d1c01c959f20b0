"""Whole trainings whose artifacts go to a real S3 server: straight from the node, through every kind of trouble."""

from __future__ import annotations

import hashlib
import io
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.hub import Hub, eventually, kill
from tests.end_to_end.test_checkpoints import SMALL
from tests.engines.object_store import S3Server
from tests.engines.s3_proxy import S3Proxy

SLOW = 180.0  # seconds, on a loaded machine


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[S3Proxy]:
    """The way from nodes and browsers to the server."""
    proxy = S3Proxy(s3_server.variables["AWS_ENDPOINT_URL_S3"])
    yield proxy
    proxy.close()


@pytest.fixture
def hub(idle_hub: Hub, s3_server: S3Server, proxy: S3Proxy) -> Hub:
    """A hub of the test's own that keeps artifacts in a bucket."""
    idle_hub.environment |= {
        **s3_server.settings(),
        "TRAINHUB_S3_PUBLIC_ENDPOINT": proxy.url,
        "TRAINHUB_S3_PART_MIB": "5",
    }
    return idle_hub.start()


def launch(hub: Hub, **parameters: Any) -> str:
    return hub.new_run(hub.new_project(), recipe="heavy", model_parameters=parameters)


def said(hub: Hub, path: str, what: str) -> str:
    """Return the hash that the trainer printed after `what`."""
    return str(hub.wait_for_line(path, what, SLOW)["message"].rsplit(" ", 1)[-1])


def resume(hub: Hub, path: str, checkpoint: str, **parameters: Any) -> str:
    body = {"model_parameters": {"mib": 0, "then": "finish", **parameters}}
    answer = hub.call("POST", f"{path}/resume?source_artifact_id={checkpoint}", body)
    assert answer.status == 201, answer.body
    return f"{path.rpartition('/')[0]}/{answer.body['id']}"


def verified(hub: Hub, path: str) -> dict[str, Any]:
    """Wait until the run's checkpoint is verified and return it."""

    def is_verified() -> Any:
        items = hub.call("GET", f"{path}/artifacts?type=checkpoint").body["items"]
        return items and items[0]["state"] == "verified" and items[0]

    found: dict[str, Any] = eventually(is_verified, "a verified checkpoint", SLOW)
    return found


def test_a_real_training_is_cancelled_tagged_downloaded_and_resumed(hub: Hub, proxy: S3Proxy) -> None:
    path = hub.new_run(hub.new_project(), recipe="tiny-gpt", model_parameters={**SMALL, "max_steps": 100_000})
    hub.wait_for_step(path, 10, SLOW)
    hub.call("POST", f"{path}/cancel")
    run = hub.wait_for_status(path, "cancelled", seconds=SLOW)

    checkpoint = run["receipt"]["checkpoint"]
    artifact = f"{path}/artifacts/{checkpoint['id']}"
    tagged = hub.call("POST", f"{artifact}/tag", {"tag": "candidate", "notes": "from the bucket"})
    files = hub.call("GET", artifact).body["files"]
    fetched = [fetch(hub, f"{artifact}/files/{index}") for index in range(len(files))]
    resumed = hub.call("POST", f"{path}/resume?source_artifact_id={checkpoint['id']}", {"model_parameters": SMALL})

    assert (checkpoint["state"], checkpoint["is_final"], tagged.status) == ("verified", True, 200)
    assert [hashlib.sha256(content).hexdigest() for content, _ in fetched] == [file["sha256"] for file in files]
    assert {url.startswith(proxy.url) for _, url in fetched} == {True}
    assert not list((hub.data / "store").glob("*/*"))
    again = f"{path.rpartition('/')[0]}/{resumed.body['id']}"
    hub.wait_for_step(again, checkpoint["step"] + 1, SLOW)
    hub.call("POST", f"{again}/cancel")


def fetch(hub: Hub, path: str) -> tuple[bytes, str]:
    """Return a file and the address that it came from, redirects followed without the hub's token."""

    class Follow(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
            return urllib.request.Request(newurl)

    request = urllib.request.Request(hub.url + path, headers={"Authorization": f"Bearer {hub.token}"})
    with urllib.request.build_opener(Follow).open(request, timeout=60) as answer:
        return answer.read(), answer.geturl()


def test_odd_names_and_empty_files_go_and_come_back(hub: Hub) -> None:
    path = launch(hub, mib=1, then="finish")
    hub.wait_for_status(path, "completed", seconds=SLOW)
    uid = verified(hub, path)["id"]

    tar, _ = fetch(hub, f"{path}/artifacts/{uid}/download")
    resumed = resume(hub, path, uid)

    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        names = archive.getnames()
    assert names == [f"{uid}/{name}" for name in ("empty", "nested/état 😀 (1) %41+b.json", "weights.bin")]
    assert said(hub, resumed, "resumed from") == said(hub, path, "saved")


def part_numbers(proxy: S3Proxy) -> list[int]:
    return sorted(number for _, number in proxy.stored if number)


def test_a_killed_runner_is_followed_by_one_that_sends_the_other_parts(hub: Hub, proxy: S3Proxy) -> None:
    proxy.gate.clear()
    proxy.let_through = 5
    path = launch(hub, mib=40)
    eventually(lambda: len(part_numbers(proxy)) >= 2, "some parts", SLOW)
    [kill(pid) for pid in hub.runner_pids()]
    proxy.let_through = 0
    proxy.gate.set()

    checkpoint = verified(hub, path)

    assert part_numbers(proxy) == list(range(1, 9))
    hub.wait_for_status(path, "failed", seconds=SLOW)
    resumed = resume(hub, path, checkpoint["id"])
    assert said(hub, resumed, "resumed from") == said(hub, path, "saved")


def test_a_killed_hub_changes_nothing_but_the_time(hub: Hub, proxy: S3Proxy) -> None:
    proxy.gate.clear()
    proxy.let_through = 5
    path = launch(hub, mib=40)
    eventually(lambda: len(part_numbers(proxy)) >= 2, "some parts", SLOW)
    hub.kill_web()
    hub.kill_scheduler()
    proxy.gate.set()
    hub.start()

    checkpoint = verified(hub, path)

    assert part_numbers(proxy) == list(range(1, 9))
    assert checkpoint["size_bytes"] == 40 * 2**20 + 2
    assert hub.run(path)["status"] == "running"
    hub.call("POST", f"{path}/cancel")


def test_revoked_credentials_are_told_in_the_log_and_the_upload_goes_on_with_new_ones(hub: Hub, proxy: S3Proxy) -> None:
    good = hub.environment["AWS_SECRET_ACCESS_KEY"]
    proxy.gate.clear()
    proxy.let_through = 4
    path = launch(hub, mib=40)
    eventually(lambda: len(part_numbers(proxy)) >= 2, "some parts", SLOW)
    hub.kill_web()
    hub.environment["AWS_SECRET_ACCESS_KEY"] = "revoked"
    hub.start_web()
    proxy.gate.set()
    told = hub.wait_for_line(path, "Artifacts cannot be stored now", SLOW)
    while_revoked = hub.run(path)["status"]
    hub.kill_web()
    hub.environment["AWS_SECRET_ACCESS_KEY"] = good
    hub.start_web()

    checkpoint = verified(hub, path)

    assert (told["level"], while_revoked, checkpoint["size_bytes"]) == ("WARNING", "running", 40 * 2**20 + 2)
    assert "revoked" not in told["message"]
    assert "403" in told["message"]
    assert part_numbers(proxy) == list(range(1, 9))
    hub.wait_for_line(path, "Artifacts are stored again", SLOW)
    hub.call("POST", f"{path}/cancel")


def test_a_store_that_is_away_is_503_for_people_and_the_run_goes_on(hub: Hub, proxy: S3Proxy) -> None:
    path = launch(hub, mib=1)
    uid = verified(hub, path)["id"]
    hub.kill_web()
    hub.environment |= dict.fromkeys(("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"), "http://127.0.0.1:9")
    hub.start_web()
    steps = hub.series(path, "loss")["step"][-1]

    answer = hub.call("GET", f"{path}/artifacts/{uid}/files/2")

    assert (answer.status, answer.body["code"], answer.headers["Retry-After"]) == (503, "store_unavailable", "2")
    hub.wait_for_step(path, steps + 1, SLOW)
    assert hub.run(path)["status"] == "running"
    hub.call("POST", f"{path}/cancel")


def test_no_credential_reaches_a_node_or_a_log(hub: Hub, s3_server: S3Server) -> None:
    path = launch(hub, mib=6)
    uid = verified(hub, path)["id"]
    hub.call("GET", f"{path}/artifacts/{uid}/files/2")
    secret = s3_server.variables["AWS_SECRET_ACCESS_KEY"]

    environments = [Path(f"/proc/{pid}/environ").read_bytes() for pid in hub.processes()]
    written = [file for file in [*hub.data.rglob("*.log"), *hub.data.glob("attempts/**/*")] if file.is_file()]

    assert environments
    assert not any(b"AWS_" in environment for environment in environments)
    assert written
    assert [file.name for file in written if secret.encode() in file.read_bytes()] == []
    hub.call("POST", f"{path}/cancel")


def test_files_of_before_the_bucket_stay_readable(hub: Hub) -> None:
    store = hub.environment.pop("TRAINHUB_STORE")
    hub.kill_web()
    hub.kill_scheduler()
    hub.start()
    old = launch(hub, mib=1, then="finish")
    before = verified(hub, old)
    hub.environment["TRAINHUB_STORE"] = store
    hub.kill_web()
    hub.kill_scheduler()
    hub.start()

    resumed = resume(hub, old, before["id"], mib=1)

    assert said(hub, resumed, "resumed from") == said(hub, old, "saved")
    new = verified(hub, resumed)
    assert len(list((hub.data / "store").glob("*/*"))) == len([before])
    assert new["size_bytes"] == before["size_bytes"]


def test_a_deleted_run_leaves_nothing_in_the_bucket(hub: Hub, s3_server: S3Server) -> None:
    path = launch(hub, mib=6, then="finish")
    verified(hub, path)
    hub.wait_for_status(path, "completed", seconds=SLOW)

    listed = hub.manage("shell", "-c", LIST)
    hub.manage("shell", "-c", ERASE)

    assert listed.splitlines()[-1] != "0"
    assert hub.manage("shell", "-c", LIST).splitlines()[-1] == "0"


LIST = """
from artifacts.storage import MARK
from artifacts.storage.choice import s3_store
bucket = s3_store().bucket
print(len([found for found in bucket.objects(bucket.prefix) if found["Key"] != f"{bucket.prefix}{MARK}"]))
"""
ERASE = """
from artifacts.erasure import erase_step
from runs.models import Run
run = Run.objects.get()
while erase_step(run):
    pass
"""
