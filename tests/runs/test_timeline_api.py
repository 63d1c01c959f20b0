"""The timeline and the attempts of a run."""

import pytest

from runs.attempts import finish_attempt
from tests.factories import exit_body, fresh, new_artifact, new_attempt, new_run, run_path

pytestmark = pytest.mark.django_db


def test_the_timeline_tells_the_life_of_a_run_in_order(as_viewer, project):
    run = new_run(project, status="completed")

    shown = as_viewer.call("GET", f"{run_path(run)}/events").json()

    assert [(item["kind"], item["actor"], item["attempt"]) for item in shown["items"]] == [
        ("queued", "ada", None),
        ("starting", "scheduler", None),
        ("running", "runner", 1),
        ("completed", "runner", 1),
    ]
    assert (shown["total"], shown["page"], shown["page_size"]) == (4, 1, 50)


def test_every_transition_says_from_where_and_why(as_viewer, project):
    run = new_run(project, status="failed")

    last = as_viewer.call("GET", f"{run_path(run)}/events").json()["items"][-1]

    assert (last["reason"], last["message"]) == ("trainer_failed", "Exit code 1.")
    assert last["evidence"].items() >= {"from": "running", "exit_code": 1, "attempt": 1}.items()
    assert last["at"].endswith("Z")


def test_the_timeline_is_paged(as_viewer, project):
    run = new_run(project, status="completed")

    shown = as_viewer.call("GET", f"{run_path(run)}/events?page=2&page_size=3").json()

    assert ([item["kind"] for item in shown["items"]], shown["total"]) == (["completed"], 4)


@pytest.mark.parametrize("query", ["page=0", "page_size=0", "page=", "page=1&page=x"])
def test_bad_paging_is_400(as_viewer, run, query):
    assert as_viewer.call("GET", f"{run_path(run)}/events?{query}").status_code == 400


def test_a_run_without_attempts_has_an_empty_list(as_viewer, run):
    assert as_viewer.call("GET", f"{run_path(run)}/attempts").json() == []


def test_a_restart_is_a_second_attempt_from_the_newest_checkpoint(as_viewer, project):
    first = new_attempt(new_run(project, max_restarts=1))
    checkpoint = new_artifact(first.run)
    finish_attempt(attempt=first, report=exit_body(exit_code=1, message="CUDA error"))
    new_attempt(fresh(first.run))

    shown = as_viewer.call("GET", f"{run_path(first.run)}/attempts").json()

    assert [(item["number"], item["reason"], item["resumed_from"]) for item in shown] == [
        (1, "trainer_failed", None),
        (2, "", checkpoint.uid),
    ]
    assert (shown[0]["exit_code"], shown[0]["message"]) == (1, "Exit code 1. CUDA error")


def test_no_answer_shows_a_token_or_a_handle(as_viewer, project):
    attempt = new_attempt(project=project)

    answer = as_viewer.call("GET", f"{run_path(attempt.run)}/attempts")

    assert attempt.token_digest.encode() not in answer.content
    assert {"handle", "claimed_by", "token_digest"}.isdisjoint(answer.json()[0])
