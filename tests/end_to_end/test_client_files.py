"""Files of tracking clients on the wire: streamed, chunked, broken off, and with little memory however large."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.hub import Hub, eventually
from tests.end_to_end.simulated import parameters

PROXY = "/mlflow/api/2.0/mlflow-artifacts/artifacts"
BLOCK = 1024 * 1024
LARGE_BLOCKS = 200
MAX_GROWTH_BYTES = 20 * BLOCK  # of all web processes together, while a file of 200 MiB passes


@pytest.fixture
def root(shared_hub: Hub) -> str:
    """The path of the artifacts of a new external run."""
    project = shared_hub.new_project()
    made = shared_hub.call("POST", "/mlflow/api/2.0/mlflow/runs/create", {"experiment_id": project["id"]})
    info = made.body["run"]["info"]
    return f"{PROXY}/{info['artifact_uri'].removeprefix('mlflow-artifacts:/')}"


def listed(hub: Hub, root: str) -> dict[str, int | None]:
    """Return sizes by name."""
    files = hub.call("GET", f"{PROXY}?path={root.removeprefix(f'{PROXY}/')}").body["files"]
    return {file["path"]: file.get("file_size") for file in files}


def request_head(hub: Hub, method: str, path: str, *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{hub.port}", f"Authorization: Bearer {hub.token}", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def exchange(hub: Hub, sent: bytes) -> bytes:
    """Send bytes, say that no more follow, and return all that comes back."""
    with socket.create_connection(("127.0.0.1", hub.port), timeout=30) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def status_of(answer: bytes) -> int:
    found = re.match(rb"HTTP/1.1 (\d+)", answer)
    assert found, answer
    return int(found[1])


def left_aside(hub: Hub) -> list[Path]:
    return [*(hub.data / "store" / "incoming").glob("*")]


def test_a_chunked_body_needs_no_length(shared_hub: Hub, root: str) -> None:
    head = request_head(shared_hub, "PUT", f"{root}/chunked.bin", "Transfer-Encoding: chunked", "Connection: close")
    answer = exchange(shared_hub, head + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
    empty = request_head(shared_hub, "PUT", f"{root}/empty.bin", "Transfer-Encoding: chunked", "Connection: close")

    assert status_of(answer) == status_of(exchange(shared_hub, empty + b"0\r\n\r\n")) == 200
    assert listed(shared_hub, root) == {"chunked.bin": 11, "empty.bin": 0}
    assert shared_hub.call("GET", f"{root}/chunked.bin").body == "hello world"


def test_an_empty_file_needs_neither_length_nor_chunks(shared_hub: Hub, root: str) -> None:
    head = request_head(shared_hub, "PUT", f"{root}/empty", "Connection: close")
    zero = request_head(shared_hub, "PUT", f"{root}/zero", "Content-Length: 0", "Connection: close")

    assert status_of(exchange(shared_hub, head)) == status_of(exchange(shared_hub, zero)) == 200
    assert listed(shared_hub, root) == {"empty": 0, "zero": 0}


def test_a_client_that_asks_first_is_told_to_go_on(shared_hub: Hub, root: str) -> None:
    head = request_head(
        shared_hub, "PUT", f"{root}/asked", "Expect: 100-continue", "Content-Length: 5", "Connection: close"
    )
    with socket.create_connection(("127.0.0.1", shared_hub.port), timeout=30) as connection:
        connection.sendall(head)
        assert b"100 Continue" in connection.recv(4096)
        connection.sendall(b"hello")
        assert status_of(connection.recv(4096)) == 200
    assert listed(shared_hub, root) == {"asked": 5}


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ("Content-Length: 1000000", b"x" * 500_000),
        ("Transfer-Encoding: chunked", b"5\r\nhello\r\n6\r\n wor"),
        ("Transfer-Encoding: chunked", b"5\r\nhello\r\nzz\r\n"),
    ],
)
def test_what_breaks_off_is_not_kept(shared_hub: Hub, root: str, header: str, body: bytes) -> None:
    shared_hub.call("PUT", f"{root}/file", b"before")
    answer = exchange(shared_hub, request_head(shared_hub, "PUT", f"{root}/file", header, "Connection: close") + body)

    assert not answer or status_of(answer) == 400
    eventually(lambda: not left_aside(shared_hub), "nothing aside")
    assert shared_hub.call("GET", f"{root}/file").body == "before"


@pytest.mark.parametrize(
    "way", ["../../x", "%2e%2e/%2e%2e/x", "..%2f..%2fx", "%252e%252e/x", "a//b", "a%00b", "a%5c..%5cb"]
)
def test_hostile_paths_are_refused_as_they_come(shared_hub: Hub, root: str, way: str) -> None:
    head = request_head(shared_hub, "PUT", f"{root}/{way}", "Content-Length: 4", "Connection: close")

    assert status_of(exchange(shared_hub, head + b"evil")) == 400
    assert listed(shared_hub, root) == {}


def test_a_managed_run_goes_on_from_a_checkpoint_that_a_client_put(shared_hub: Hub, root: str) -> None:
    run_id = root.split("/")[-2]
    for state in (b"not yet", b'{"step": 5, "seed": "x"}'):  # replaced files lie under numbers of their own
        for name in ("a.bin", "state.json", "z.bin"):
            assert shared_hub.call("PUT", f"{root}/checkpoints/step-5/{name}", state).status == 200
    shared_hub.call("POST", "/mlflow/api/2.0/mlflow/runs/update", {"run_id": run_id, "status": "FINISHED"})
    path = f"/projects/{root.split('/')[-3]}/runs/{run_id}"
    checkpoint = shared_hub.wait_for_checkpoint(path)
    body = {"recipe": "simulate", "model_parameters": parameters(max_steps=8)}

    answer = shared_hub.call("POST", f"{path}/resume?source_artifact_id={checkpoint['id']}", body)

    assert answer.status == 201, answer.body
    resumed = f"{path.rpartition('/')[0]}/{answer.body['id']}"
    assert shared_hub.wait_for_status(resumed, "completed", "failed")["status"] == "completed"
    shared_hub.wait_for_line(resumed, "Resuming after step 5")


def test_a_head_has_the_length_and_no_bytes(shared_hub: Hub, root: str) -> None:
    shared_hub.call("PUT", f"{root}/file.txt", b"content")
    answer = exchange(shared_hub, request_head(shared_hub, "HEAD", f"{root}/file.txt", "Connection: close"))

    assert status_of(answer) == 200
    assert b"Content-Length: 7\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


def test_a_refused_upload_hears_why(shared_hub: Hub, root: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", shared_hub.port, timeout=30)
    headers = {"Authorization": f"Bearer {shared_hub.token}", "Content-Length": str(20 * BLOCK)}
    connection.request("PUT", f"{root}/a/../b", body=blocks(20), headers=headers)
    answer = connection.getresponse()

    assert (answer.status, b"Invalid path" in answer.read()) == (400, True)
    connection.close()


def blocks(count: int) -> Iterator[bytes]:
    """Yield blocks that differ."""
    for number in range(count):
        yield number.to_bytes(8) * (BLOCK // 8)


def peak_bytes(hub: Hub) -> dict[int, int]:
    """Return the largest resident size so far of each process of the web server."""
    assert hub.web
    children = Path(f"/proc/{hub.web.pid}/task/{hub.web.pid}/children").read_text().split()
    found = {}
    for pid in (hub.web.pid, *map(int, children)):
        peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        assert peak
        found[pid] = int(peak[1]) * 1024
    return found


def transfer(hub: Hub, method: str, path: str, body: Any = None, length: int = 0) -> tuple[int, str, int]:
    """Make a request by blocks; return the status, the SHA-256 of what came back and its length."""
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)
    headers = {"Authorization": f"Bearer {hub.token}", **({"Content-Length": str(length)} if body is not None else {})}
    connection.request(method, path, body=body, headers=headers)
    answer = connection.getresponse()
    digest, count = hashlib.sha256(), 0
    while block := answer.read(BLOCK):
        digest.update(block)
        count += len(block)
    connection.close()
    return answer.status, digest.hexdigest(), count


def test_a_large_file_takes_no_memory(own_hub: Hub) -> None:
    project = own_hub.new_project()
    made = own_hub.call("POST", "/mlflow/api/2.0/mlflow/runs/create", {"experiment_id": project["id"]})
    path = f"{PROXY}/{project['id']}/{made.body['run']['info']['run_id']}/artifacts/large.bin"
    for _ in range(8):  # each process has done all of this before it is measured
        assert transfer(own_hub, "PUT", path, blocks(2), 2 * BLOCK)[0] == transfer(own_hub, "GET", path)[0] == 200
    before = peak_bytes(own_hub)

    length = LARGE_BLOCKS * BLOCK
    status, _, _ = transfer(own_hub, "PUT", path, blocks(LARGE_BLOCKS), length)
    read = transfer(own_hub, "GET", path)

    whole = hashlib.sha256()
    for block in blocks(LARGE_BLOCKS):
        whole.update(block)
    grown = {pid: peak - before[pid] for pid, peak in peak_bytes(own_hub).items()}
    assert (status, read) == (200, (200, whole.hexdigest(), length))
    assert sum(grown.values()) < MAX_GROWTH_BYTES, grown


def test_an_upload_whose_hub_is_killed_leaves_nothing_and_can_be_sent_again(own_hub: Hub) -> None:
    project = own_hub.new_project()
    made = own_hub.call("POST", "/mlflow/api/2.0/mlflow/runs/create", {"experiment_id": project["id"]})
    root = f"{PROXY}/{project['id']}/{made.body['run']['info']['run_id']}/artifacts"
    own_hub.call("PUT", f"{root}/kept", b"acknowledged")
    with socket.create_connection(("127.0.0.1", own_hub.port), timeout=30) as connection:
        connection.sendall(
            request_head(own_hub, "PUT", f"{root}/half", "Content-Length: 9000000") + os.urandom(5_000_000)
        )
        eventually(lambda: left_aside(own_hub), "the begun file")
        own_hub.kill_web()
    own_hub.start_web()

    assert listed(own_hub, root) == {"kept": 12}
    assert own_hub.call("PUT", f"{root}/half", b"whole").status == 200
    assert listed(own_hub, root) == {"kept": 12, "half": 5}
    assert own_hub.call("GET", f"{root}/kept").body == "acknowledged"
