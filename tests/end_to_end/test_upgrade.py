"""Upgrades and several web servers: what runs goes on, and who is signed in stays so."""

from __future__ import annotations

import http.cookiejar
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from runner.protocol import VERSION
from tests.end_to_end.hub import ROOT, Hub, eventually, free_port, is_alive
from tests.end_to_end.simulated import assert_whole, parameters

CODE = ("trainhub", "projects", "runs", "artifacts", "mlflow_api", "runner", "recipes", "templates", "static")


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """The code of an older version: this one's, but for the versions of the product and of the runners' protocol."""
    for name in CODE:
        left_out = shutil.ignore_patterns(".venv*", "__pycache__")
        shutil.copytree(ROOT / name, tmp_path / "older" / name, ignore=left_out)
    for name in ("manage.py", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path / "older" / name)
    for path, now, then in (
        ("runner/protocol.py", f"VERSION: Final = {VERSION}", f"VERSION: Final = {VERSION - 1}"),
        ("trainhub/__init__.py", "__version__ = ", '__version__ = "0.0.9"  # '),
    ):
        text = (tmp_path / "older" / path).read_text()
        assert now in text
        (tmp_path / "older" / path).write_text(text.replace(now, then))
    return tmp_path / "older"


def up(hub: Hub, code: Path) -> subprocess.Popen[bytes]:
    """Start a version of the hub as its unit does, and wait until it answers."""
    environment = {**hub._environment(), "PYTHONPATH": str(code)}
    with (hub.data / "up.log").open("ab") as log:
        started = subprocess.Popen(
            [sys.executable, str(code / "manage.py"), "up", "--quiet"],
            env=environment, cwd=code, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    eventually(hub.is_up, "the hub's first answer", 120)
    return started


def test_an_upgrade_leaves_a_run_and_its_older_runner_alone(idle_hub: Hub, older: Path) -> None:
    hub, given = idle_hub, parameters(600)
    (hub.data / "quickstart-made").touch()  # no run but the one of this test
    first = up(hub, older)
    path = hub.new_run(hub.new_project(), model_parameters=given)
    hub.wait_for_step(path, given["eval_interval"])
    (runner,) = hub.runner_pids()
    assert Path(f"/proc/{runner}/environ").read_bytes().decode().count(f"PYTHONPATH={older}\0") == 1

    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == 0
    assert is_alive(runner)
    hub.keeper = up(hub, ROOT)

    assert hub.run(path)["status"] == "running"
    assert hub.runner_pids() == [runner]
    assert hub.wait_for_status(path, "completed", "failed", seconds=120)["status"] == "completed"
    assert_whole(hub, path, given)
    assert len(hub.call("GET", f"{path}/attempts").body) == 1
    checks = eventually(
        lambda: {one["about"]: one for one in hub.call("GET", "/health/details").body["checks"]}, "the checks"
    )
    assert checks["tables"]["level"] == "ok"
    assert "0.0.9" not in checks["scheduler"]["seen"]


def test_two_web_servers_of_one_hub_share_sessions_runs_and_signals(prepared: Hub, tmp_path: Path) -> None:
    hub = prepared.copy(tmp_path / "hub", with_pages=True)
    first, second = free_port(), free_port()
    hub.environment |= {"TRAINHUB_URL": f"http://127.0.0.1:{first}", "TRAINHUB_NODE_URL": f"http://127.0.0.1:{second}"}
    other = Hub(data=hub.data, port=second, environment=hub.environment, token=hub.token, database=hub.database)
    hub.port = first
    try:
        hub.start()
        other.start_web()
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        link = hub.manage("signinlink").strip()
        assert link.startswith(hub.url)
        browser.open(link, timeout=60).read()

        page = browser.open(f"{other.url}/ui/health", timeout=60)

        assert (page.status, page.url) == (200, f"{other.url}/ui/health")
        path = hub.new_run(hub.new_project(), model_parameters=parameters(100_000))
        other.wait_for_step(path, 20)
        hub.kill_web()  # the runner speaks to the other one
        other.wait_for_step(path, 200)
        assert other.call("POST", f"{path}/cancel").body["status"] == "cancelled"
        assert "trainhub_http_request_duration_seconds" in other.call("GET", "/health/metrics").body
    finally:
        other.kill_web()
        hub.stop()
