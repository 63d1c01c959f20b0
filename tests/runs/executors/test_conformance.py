"""What every executor promises, held against each of them."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runs.executors.base import Executor, SubmitRefused

TEN = [f"att_{number}_" for number in range(10)]


def submit(bench, name="att_one", **values):
    handle = bench.executor.submit(bench.request(name, **values))
    bench.wait_for_runner(name)
    return handle


def state(bench, handle):
    return bench.executor.poll({"asked": handle})["asked"].state


def test_it_has_all_parts_of_the_contract(bench):
    for name in ("capacity", "submit", "poll", "cancel", "problems", "choices", "recover"):
        assert getattr(bench.executor, name).__doc__
        assert hasattr(Executor, name)
    assert bench.executor.name
    assert bench.executor.problems() == []
    assert bench.executor.capacity().slots >= 1


def test_submit_starts_one_runner_and_gives_a_handle_that_fits_its_column(bench):
    handle = submit(bench)

    assert 0 < len(handle) <= 500
    assert state(bench, handle) == "running"
    assert len(bench.starts("att_one")) == 1


def test_submit_twice_finds_the_first(bench):
    handle = submit(bench)

    assert bench.executor.submit(bench.request("att_one")) == handle

    assert state(bench, handle) == "running"
    assert len(bench.starts("att_one")) == 1


def test_submit_after_a_lost_answer_finds_the_first(bench):
    handle = submit(bench)
    bench.executor = bench.new_executor()

    assert bench.executor.submit(bench.request("att_one")) == handle

    assert len(bench.starts("att_one")) == 1


def test_submit_of_an_attempt_that_has_ended_starts_nothing(bench):
    handle = submit(bench)
    bench.finish("att_one")

    assert bench.executor.submit(bench.request("att_one")) == handle

    assert state(bench, handle) == "ended"
    assert len(bench.starts("att_one")) == 1


def test_submits_at_once_start_one_runner(bench):
    with ThreadPoolExecutor(8) as pool:
        handles = set(pool.map(lambda _: bench.new_executor().submit(bench.request("att_one")), range(8)))

    bench.wait_for_runner("att_one")
    assert len(handles) == 1
    assert state(bench, handles.pop()) == "running"
    assert len(bench.starts("att_one")) == 1


@pytest.mark.parametrize("name", ["../out", "a/b", "a b", "a\nb", "", "-x", "."])
def test_a_name_that_is_no_uid_is_refused(bench, name):
    with pytest.raises(SubmitRefused):
        bench.executor.submit(bench.request(name))


def test_ten_handles_are_polled_in_one_call(bench):
    handles = {f"asked {name}": bench.executor.submit(bench.request(name)) for name in TEN}
    for name in TEN:
        bench.wait_for_runner(name)
    bench.kill(*TEN[:5])

    states = bench.executor.poll(handles)

    assert [states[f"asked {name}"].state for name in TEN] == ["ended"] * 5 + ["running"] * 5


def test_a_runner_may_ask_long_for_a_hub_that_is_away_when_it_starts(bench):
    submit(bench)

    assert json.loads((bench.request("att_one").folder / "job.json").read_text())["claim_seconds"] == 3600


def test_poll_of_nothing_is_nothing(bench):
    assert bench.executor.poll({}) == {}


def test_a_runner_that_ended_by_itself_has_ended(bench):
    handle = submit(bench)
    bench.finish("att_one")

    assert state(bench, handle) == "ended"


def test_a_runner_that_was_killed_has_ended(bench):
    handle = submit(bench)
    bench.kill("att_one")

    assert state(bench, handle) == "ended"
    assert state(bench, handle) == "ended"


def test_a_job_that_nobody_knows_is_not_called_alive(bench):
    found = bench.executor.poll({"asked": "att_unknown"})["asked"]

    assert found.state in {"ended", "unknown"}
    assert found.detail


def test_cancel_asks_the_runner_and_leaves_it_the_time(bench):
    handle = submit(bench)

    bench.executor.cancel(handle)

    bench.wait_for_signal("att_one", 1)
    assert state(bench, handle) == "running"


def test_cancel_twice_is_fine(bench):
    handle = submit(bench)

    bench.executor.cancel(handle)
    bench.wait_for_signal("att_one", 1)
    bench.executor.cancel(handle)

    bench.wait_for_signal("att_one", 2)
    assert state(bench, handle) == "running"


def test_hard_cancel_ends_everything(bench):
    handle = submit(bench)

    bench.executor.cancel(handle, hard=True)

    bench.wait_for_end("att_one")
    assert state(bench, handle) == "ended"


@pytest.mark.parametrize("hard", [False, True])
def test_cancel_of_what_is_gone_is_success(bench, hard):
    handle = submit(bench)
    bench.kill("att_one")

    bench.executor.cancel(handle, hard=hard)
    bench.executor.cancel("att_unknown", hard=hard)

    assert state(bench, handle) == "ended"


def test_cancel_of_one_leaves_the_others_alone(bench):
    one, other = submit(bench, "att_one"), submit(bench, "att_other")

    bench.executor.cancel(one, hard=True)

    bench.wait_for_end("att_one")
    assert state(bench, other) == "running"
    assert bench.signals("att_other") == []


def test_the_runner_learns_nothing_of_the_hubs_environment(bench, monkeypatch):
    secrets = {
        "TRAINHUB_SECRET_KEY": "hush1",
        "DATABASE_URL": "hush2",
        "AWS_SECRET_ACCESS_KEY": "hush3",
        "ODD": "hush4",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    submit(bench)

    pid = bench.wait_for_runner("att_one")
    environment = Path(f"/proc/{pid}/environ").read_bytes()
    variables = {entry.partition(b"=")[0].decode() for entry in environment.split(b"\0") if entry}

    assert b"hush" not in environment
    assert variables.isdisjoint(secrets)
    assert not {name for name in variables if name.startswith(("TRAINHUB_", "DJANGO_"))} - {"TRAINHUB_LOCK_FD"}


def test_the_attempts_token_is_in_no_process_list(bench):
    submit(bench)

    pid = bench.wait_for_runner("att_one")
    seen = Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()

    assert bench.request("att_one").token.encode() not in seen
