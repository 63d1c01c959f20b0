"""How a runner gets its attempt, and what it is told."""

import orjson
import pytest

from runs.attempts import finish_attempt, open_attempt, tracking_token
from runs.models import Attempt, Run
from tests.factories import (
    Caller,
    at_once,
    claim_body,
    everything,
    exit_body,
    fresh,
    new_artifact,
    new_attempt,
    new_project,
    new_run,
    runner_of,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def attempt(run):
    """An attempt that was submitted and that no runner has claimed yet."""
    return open_attempt(run=run, gpu_indexes=[])


@pytest.fixture
def claim(attempt):
    return lambda **changes: runner_of(attempt).call("POST", "/node/claim", claim_body(**changes))


def test_a_claim_is_answered_with_all_that_the_runner_needs(claim, attempt):
    answer = claim()

    told = answer.json()
    assert answer.status_code == 200
    assert told["attempt"] == attempt.uid
    assert told["command"][-1].endswith("/simulate/train.py")
    assert told["config"]["run"] == {"id": attempt.run.uid, "name": "a run", "attempt": 1}
    assert told["config"]["model_parameters"]["max_steps"] == 1000
    assert (told["resume"], told["grace_seconds"], told["log_sequence"]) == (None, 10.0, 0)


def test_a_claim_is_recorded(claim, attempt):
    claim(host="node-7", pid=77)

    stored = fresh(attempt)

    assert (stored.host, stored.runner_pid, stored.claimed_by, stored.phase) == (
        "node-7",
        77,
        "runner-one",
        "preparing",
    )
    assert stored.heartbeat_at == stored.claimed_at is not None


def test_the_same_runner_may_claim_again(claim, attempt):
    claim()
    before = fresh(attempt).claimed_at

    again = claim()

    assert again.status_code == 200
    assert fresh(attempt).claimed_at == before


def test_another_runner_is_refused_and_changes_nothing(claim, attempt):
    claim()
    before = everything()

    answer = claim(instance="runner-two", host="node-2")

    assert (answer.status_code, answer.json()["code"]) == (409, "already_claimed")
    assert everything() == before


def test_an_attempt_that_has_ended_is_not_claimed(claim, attempt):
    finish_attempt(attempt=attempt, report=exit_body(problem="workspace_failed", exit_code=None))
    before = everything()

    answer = claim()

    assert (answer.status_code, answer.json()["code"]) == (409, "fenced")
    assert everything() == before


def test_a_resumed_run_is_told_which_files_to_fetch(project):
    checkpoint = new_artifact(new_run(project, status="completed"), step=7)
    from runs.services import create_run

    resumed = create_run(project=project, by=project.created_by, values={"name": "x"}, resumed_from=checkpoint)
    attempt = open_attempt(run=resumed, gpu_indexes=[])

    told = runner_of(attempt).call("POST", "/node/claim", claim_body()).json()["resume"]

    assert (told["artifact"], told["step"], told["is_directory"]) == (checkpoint.uid, 7, True)
    assert told["files"] == checkpoint.manifest


def test_big_numbers_reach_the_trainer(project):
    run = new_run(project, hyperparameters={"clip": 1e25})
    attempt = open_attempt(run=run, gpu_indexes=[])

    told = runner_of(attempt).call("POST", "/node/claim", claim_body()).json()

    assert told["config"]["hyperparameters"]["clip"] == 1e25


@pytest.mark.parametrize(("reserves", "nodes"), [(True, 2), (False, 1)])
def test_a_claim_tells_on_how_many_nodes_the_trainer_starts(claim, attempt, reserves, nodes):
    recipe = {**attempt.run.recipe_snapshot, "reserves_compute": reserves}
    Run.objects.filter(pk=attempt.run_id).update(compute={"node_count": 2}, recipe_snapshot=recipe)

    assert claim().json()["nodes"] == nodes


def test_a_claim_tells_what_an_mlflow_client_needs(claim, attempt):
    told = claim().json()

    assert told["tracking"] == {
        "run": attempt.run.uid,
        "experiment": attempt.run.project.uid,
        "token": tracking_token(attempt.uid),
    }
    assert tracking_token(attempt.uid) not in str({**told, "tracking": {}})


def test_an_attempt_of_before_there_were_tracking_tokens_gets_none(claim, attempt):
    Attempt.objects.update(tracking_digest=None)

    answer = claim()

    assert answer.status_code == 200
    assert "tracking" not in answer.json()


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        "x",
        None,
        claim_body(instance="short"),
        claim_body(instance="x" * 65),
        claim_body(instance=1),
        claim_body(host="x" * 256),
        claim_body(host=None),
        claim_body(pid=0),
        claim_body(pid=2**63),
        claim_body(pid=1.0),
        claim_body(pid=True),
        claim_body(pid="1"),
        claim_body(boot_id=[]),
        claim_body(host="a\x00b"),
    ],
)
def test_a_bad_claim_is_400_and_changes_nothing(attempt, body):
    before = everything()

    answer = runner_of(attempt).call("POST", "/node/claim", orjson.dumps(body))

    assert answer.status_code == 400
    assert answer.json()["code"] in {"invalid", "parse_error"}
    assert everything() == before


@pytest.mark.parametrize("token", ["", "0" * 64, "x", "é", "0" * 63, "0" * 5000])
def test_a_token_that_is_not_known_is_401(attempt, token):
    answer = Caller(token=token).call("POST", "/node/claim", claim_body())

    assert (answer.status_code, answer.json()["code"]) == (401, "unknown_token")


def test_the_token_of_a_person_opens_nothing_here(as_operator, attempt):
    assert as_operator.call("POST", "/node/claim", claim_body()).status_code == 401


def test_the_token_is_hashed_at_rest(attempt):
    from runs.attempts import attempt_token

    assert attempt_token(attempt.uid) not in repr(everything())
    assert len(attempt.token_digest) == 64


def test_a_session_of_an_operator_opens_nothing_here(client, operator, attempt):
    client.force_login(operator)

    answer = client.post("/node/claim", claim_body(), content_type="application/json")

    assert answer.status_code == 401


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
def test_another_method_is_405(attempt, method):
    answer = runner_of(attempt).call(method, "/node/claim")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.django_db(transaction=True)
def test_of_two_runners_that_claim_at_once_one_wins():
    attempt = open_attempt(run=new_run(new_project()), gpu_indexes=[])

    answers = at_once(
        *(
            lambda name=name: runner_of(attempt).call("POST", "/node/claim", claim_body(instance=name))
            for name in ("runner-a", "runner-b", "runner-c")
        )
    )

    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]


def test_claims_of_two_attempts_do_not_meet(project):
    first, second = new_attempt(project=project), new_attempt(project=project)

    told = runner_of(second).call("POST", "/node/claim", claim_body()).json()

    assert told["attempt"] == second.uid != first.uid
