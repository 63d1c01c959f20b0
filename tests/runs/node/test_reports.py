"""What runners report: start, heartbeats, the end."""

import orjson
import pytest

from runs.attempts import finish_attempt, open_attempt
from runs.services import cancel_run
from tests.factories import (
    everything,
    exit_body,
    fresh,
    heartbeat_body,
    kinds,
    new_attempt,
    new_run,
    now_ms,
    runner_of,
)

pytestmark = pytest.mark.django_db
STOPPED = {"was_stopped": True, "exit_code": None, "signal": 15}


@pytest.fixture
def attempt(project):
    return new_attempt(project=project)


@pytest.fixture
def send(attempt):
    return lambda place, body: runner_of(attempt).call("POST", f"/node/{place}", body)


def test_the_start_of_the_trainer_makes_the_run_running_once(project):
    attempt = open_attempt(run=new_run(project), gpu_indexes=[])
    runner = runner_of(attempt)

    answers = [runner.call("POST", "/node/started", {"trainer_pid": 7, "started_at_ms": 0}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert fresh(attempt.run).status == "running"
    assert kinds(attempt.run) == ["queued", "starting", "running"]


def test_a_heartbeat_is_recorded(send, attempt):
    answer = send("heartbeat", heartbeat_body(progress=0.25))

    assert answer.json() == {"order": None, "grace_seconds": 10.0}
    assert fresh(attempt).heartbeat_at > attempt.heartbeat_at
    assert fresh(attempt.run).progress == 0.25


def test_the_exit_report_says_how_far_a_trainer_came_that_did_not_finish(send, attempt):
    send("heartbeat", heartbeat_body(progress=0.25))
    send("exit", exit_body(exit_code=1, progress=0.5))
    assert fresh(attempt.run).progress == 0.5


def test_an_exit_report_without_progress_leaves_it(send, attempt):
    send("heartbeat", heartbeat_body(progress=0.25))
    send("exit", exit_body(exit_code=1))
    assert fresh(attempt.run).progress == 0.25


def test_a_heartbeat_without_progress_leaves_it(send, attempt):
    send("heartbeat", heartbeat_body(progress=0.25))
    send("heartbeat", heartbeat_body(progress=None))

    assert fresh(attempt.run).progress == 0.25


def test_the_answer_to_a_heartbeat_carries_the_order_to_cancel(send, attempt, admin):
    cancel_run(run=attempt.run, by=admin)

    assert [send("heartbeat", heartbeat_body()).json()["order"] for _ in range(2)] == ["cancel", "cancel"]


def test_the_signal_is_noted_once(send, attempt, admin):
    cancel_run(run=attempt.run, by=admin)
    send("heartbeat", heartbeat_body(phase="stopping"))
    send("heartbeat", heartbeat_body(phase="stopping"))
    send("exit", exit_body(**STOPPED))

    assert kinds(attempt.run)[3:] == ["cancelling", "signalled", "cancelled"]


@pytest.mark.parametrize(("ahead_ms", "shown"), [(0, None), (-3_600_000, -3600.0), (86_400_000, 86400.0)])
def test_a_clock_that_differs_is_shown_and_changes_nothing_else(send, attempt, ahead_ms, shown):
    send("heartbeat", heartbeat_body(sent_at_ms=now_ms() + ahead_ms))

    assert fresh(attempt).clock_skew_seconds == pytest.approx(shown, abs=2)
    assert fresh(attempt.run).status == "running"


@pytest.mark.parametrize(
    ("report", "status", "reason"),
    [
        ({}, "completed", "finished"),
        ({"exit_code": 3}, "failed", "trainer_failed"),
        ({"exit_code": None, "signal": 11}, "failed", "trainer_killed"),
        ({"exit_code": None, "signal": 9, "out_of_memory": True}, "failed", "out_of_memory"),
        ({**STOPPED}, "failed", "stopped_outside"),
        ({"exit_code": None, "runner_died": True}, "failed", "runner_died"),
        ({"exit_code": None, "problem": "command_not_found"}, "failed", "start_failed"),
        ({"exit_code": None, "problem": "resume_damaged"}, "failed", "checkpoint_damaged"),
    ],
)
def test_the_exit_report_ends_the_run_with_its_reason(send, attempt, report, status, reason):
    answer = send("exit", exit_body(**report))

    run = fresh(attempt.run)
    assert (answer.status_code, answer.json()) == (200, {"status": status})
    assert (run.status, run.reason, fresh(attempt).reason) == (status, reason, reason)
    assert kinds(run)[-1] == status


@pytest.mark.parametrize(
    ("report", "status"),
    [
        (STOPPED, "cancelled"),
        ({"was_stopped": True, "was_killed": True, "exit_code": None, "signal": 9}, "cancelled"),
        ({"exit_code": None, "runner_died": True}, "cancelled"),
        ({}, "completed"),
        ({"exit_code": 1}, "failed"),
    ],
)
def test_a_run_that_is_cancelling_ends_as_it_really_did(send, attempt, admin, report, status):
    cancel_run(run=attempt.run, by=admin)

    assert send("exit", exit_body(**report)).json() == {"status": status}


def test_the_last_words_of_the_trainer_are_kept(send, attempt):
    send("exit", exit_body(exit_code=1, message="RuntimeError: CUDA out of memory"))

    assert fresh(attempt.run).reason_detail == "Exit code 1. RuntimeError: CUDA out of memory"


def test_an_exit_reported_twice_ends_once(send, attempt):
    send("exit", exit_body())
    before = everything()

    again = send("exit", exit_body(exit_code=1))

    assert (again.status_code, again.json()) == (200, {"status": "completed"})
    assert everything() == before


@pytest.mark.parametrize(
    ("place", "body"),
    [
        ("started", {"trainer_pid": 7, "started_at_ms": 0}),
        ("heartbeat", heartbeat_body()),
        ("logs", {"sequence": 1, "lines": [{"time": 0, "level": 1, "stream": 0, "text": "late"}]}),
        ("metrics", {"sequence": 1, "metrics": {"loss": {"step": [1], "time": [1], "value": [1]}}}),
    ],
)
@pytest.mark.parametrize("max_restarts", [0, 1])
def test_an_attempt_that_is_over_is_fenced_and_changes_nothing(project, place, body, max_restarts):
    attempt = new_attempt(new_run(project, max_restarts=max_restarts))
    finish_attempt(attempt=attempt, report=exit_body(exit_code=1))
    before = everything()

    answer = runner_of(attempt).call("POST", f"/node/{place}", body)

    assert (answer.status_code, answer.json()["code"]) == (409, "fenced")
    assert everything() == before


def test_the_old_attempt_cannot_end_the_new_one(project):
    old = new_attempt(new_run(project, max_restarts=1))
    finish_attempt(attempt=old, report=exit_body(exit_code=1))
    new = new_attempt(fresh(old.run))

    answer = runner_of(old).call("POST", "/node/exit", exit_body())

    assert answer.json() == {"status": "running"}
    assert (fresh(new).ended_at, fresh(new.run).status) == (None, "running")


@pytest.mark.parametrize(
    ("place", "body"),
    [
        ("started", {}),
        ("started", {"trainer_pid": 0}),
        ("started", {"trainer_pid": 2**31 + 1}),
        ("started", {"trainer_pid": True}),
        ("heartbeat", {}),
        ("heartbeat", heartbeat_body(phase="sleeping")),
        ("heartbeat", heartbeat_body(phase=["training"])),
        ("heartbeat", heartbeat_body(phase={})),
        ("heartbeat", heartbeat_body(phase=None)),
        ("heartbeat", heartbeat_body(progress=1.01)),
        ("heartbeat", heartbeat_body(progress=-0.01)),
        ("heartbeat", heartbeat_body(progress="0.5")),
        ("heartbeat", heartbeat_body(progress=True)),
        ("heartbeat", heartbeat_body(progress=[])),
        ("heartbeat", heartbeat_body(progress=1e300)),
        ("heartbeat", heartbeat_body(sent_at_ms=-1)),
        ("heartbeat", heartbeat_body(sent_at_ms=2**63)),
        ("heartbeat", heartbeat_body(sent_at_ms=None)),
        ("exit", {}),
        ("exit", exit_body(exit_code=2**31)),
        ("exit", exit_body(exit_code="0")),
        ("exit", exit_body(signal=256)),
        ("exit", exit_body(signal=-1)),
        ("exit", exit_body(was_stopped=1)),
        ("exit", exit_body(runner_died=None)),
        ("exit", exit_body(progress=2)),
        ("exit", exit_body(problem="boredom")),
        ("exit", exit_body(problem=["resume_damaged"])),
        ("exit", exit_body(message="x" * 1001)),
        ("exit", exit_body(message=None)),
        ("exit", exit_body(ended_at_ms=2**60)),
        ("exit", [exit_body()]),
    ],
)
def test_a_bad_report_is_400_and_changes_nothing(send, attempt, place, body):
    before = everything()

    answer = send(place, body)

    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid"
    assert everything() == before


@pytest.mark.parametrize("place", ["claim", "started", "heartbeat", "logs", "metrics", "exit", "artifacts"])
@pytest.mark.parametrize(
    "body",
    [b"{", b"\xff\xfe", b"null", b"[]", b'{"a": NaN}', b'{"a": 1e999}', b'{"a": "\\ud800"}', b'{"a": "\\u0000"}', b"1"],
)
def test_what_is_no_json_object_is_400_and_changes_nothing(send, attempt, place, body):
    before = everything()

    answer = send(place, body)

    assert answer.status_code == 400
    assert answer.json()["code"] in {"invalid", "parse_error"}
    assert everything() == before


@pytest.mark.parametrize("place", ["claim", "started", "heartbeat", "logs", "metrics", "exit", "artifacts"])
def test_a_body_that_is_too_large_is_413_with_the_limit(send, attempt, settings, place):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    before = everything()

    answer = send(place, b" " * 1001)

    assert (answer.status_code, answer.json()["code"], answer.json()["limit"]) == (413, "too_large", 1000)
    assert everything() == before


def test_deep_nesting_is_400(send):
    answer = send("heartbeat", b'{"a": ' + b"[" * 500 + b"]" * 500 + b"}")

    assert (answer.status_code, answer.json()["code"]) == (400, "parse_error")
    assert orjson.loads(answer.content)["detail"].startswith("The body is nested deeper")
