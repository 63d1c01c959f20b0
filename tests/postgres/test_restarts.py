"""The database crashes and comes back under load: nothing that was acknowledged is lost, and nothing is there twice."""

from __future__ import annotations

import os
from typing import Any

from tests.end_to_end.hub import Hub, eventually
from tests.end_to_end.simulated import assert_whole, parameters
from tests.engines.postgres import Postgres
from tests.postgres.load import Load

MODES = ("immediate", "fast", "immediate")
RESTARTS = int(os.environ.get("TRAINHUB_TEST_RESTARTS", len(MODES)))  # more of them take longer
RECOVERY_SECONDS = 10.0
TRACKING = "/mlflow/api/2.0/mlflow"
# An attempt that no scheduler looks after: its executor is not configured, and its heartbeat is never too old.
OPEN_ATTEMPT = """
from django.utils import timezone
from runs.attempts import attempt_token, claim_attempt, open_attempt, record_start
from runs.models import Attempt, Run
run = Run.objects.get(name="by hand")
attempt = open_attempt(run=run, gpu_indexes=[])
Attempt.objects.update(executor="elsewhere", submitted_at=timezone.now())
claim_attempt(attempt=attempt, claim={"instance": "test", "host": "test", "pid": 1, "boot_id": ""})
record_start(attempt=attempt, trainer_pid=1)
print(attempt_token(attempt.uid))
"""


def open_by_hand(hub: Hub, project: dict[str, Any]) -> tuple[str, str]:
    """A run whose runner is the test: its path and the attempt's token."""
    hub.kill_scheduler()
    path = hub.new_run(project, name="by hand")
    token = hub.manage("shell", "--verbosity", "0", "--command", OPEN_ATTEMPT).split()[-1]
    hub.start_scheduler()
    return path, token


def restart(server: Postgres, load: Load, number: int) -> None:
    server.stop(MODES[number % len(MODES)])
    eventually(lambda: load.statuses["/health/ready", 503] > number, "that the hub notices", 30)
    server.start()
    assert load.wait_for_more() < RECOVERY_SECONDS


def points_of(hub: Hub, run: str, key: str) -> list[int]:
    answer = hub.call("GET", f"{TRACKING}/metrics/get-history?run_id={run}&metric_key={key}&max_results=25000")
    return [point["step"] for point in answer.body["metrics"]]


def names_of_projects(hub: Hub) -> list[str]:
    return [project["name"] for project in hub.call("GET", "/projects").body]


def test_restarts_under_load_lose_and_double_nothing(hub: Hub, server: Postgres) -> None:
    project = hub.new_project()
    by_hand, token = open_by_hand(hub, project)
    given = parameters(400 * max(1, RESTARTS // 3))
    simulated = hub.new_run(project, model_parameters=given)
    hub.wait_for_step(simulated, 20)
    tracked = hub.call("POST", f"{TRACKING}/runs/create", {"experiment_id": project["id"]}).body["run"]["info"][
        "run_id"
    ]
    load = Load(hub)
    writers = [
        *(load.creator("one"), load.creator("two")),
        *(load.tracker("loss", tracked), load.tracker("accuracy", tracked)),
        load.sender("line", token),
        *(load.reader("/health/ready"), load.reader("/runs"), load.reader("/ui/sign-in", Accept="text/html")),
    ]

    with load.running(*writers):
        load.wait_for_more()
        for number in range(RESTARTS):
            restart(server, load, number)

    assert load.faults == []
    names = names_of_projects(hub)
    for key in ("one", "two"):
        created = [name for name in names if name.startswith(f"{key}-")]
        assert len(set(created)) == len(created)
        assert {f"{key}-{number}" for number in load.acknowledged[key]} <= set(created)
    for key in ("loss", "accuracy"):
        stored = points_of(hub, tracked, key)
        assert len(set(stored)) == len(stored)
        assert set(load.acknowledged[key]) <= set(stored)
    lines = hub.messages(by_hand)
    assert lines == [f"line {number}" for number in range(1, len(lines) + 1)]
    assert len(lines) >= len(load.acknowledged["line"])
    assert hub.wait_for_status(simulated, "completed", "failed")["status"] == "completed"
    assert_whole(hub, simulated, given)
    logs = (hub.data / "web.log").read_text() + (hub.data / "scheduler.log").read_text()
    assert "Traceback" not in logs
