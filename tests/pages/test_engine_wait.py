"""A run whose job waits in its engine's queue: the page, the lists and the API say why."""

import pytest

from runs.lifecycle import Status
from tests.runs.builders import new_live_run

UNCLAIMED = {"claimed_at": None, "claimed_by": "", "started_at": None, "heartbeat_at": None, "phase": ""}
REASON = "Resources: It waits for <b>nodes</b> to become free."
ESCAPED = "Resources: It waits for &lt;b&gt;nodes&lt;/b&gt; to become free."


@pytest.fixture
def waiting(project):
    told = {"engine_state": "PENDING", "engine_reason": REASON, "nodes": []}
    return new_live_run(Status.STARTING, project=project, executor="cluster", attempt={**UNCLAIMED, **told}).run


def test_the_runs_page_says_why(client, viewer, waiting):
    client.force_login(viewer)
    page = client.get(f"/ui/runs/{waiting.uid}").content.decode()
    assert f'<h2 id="notice-title"><bdi>{ESCAPED}</bdi></h2>' in page
    assert "Its job is <bdi>PENDING</bdi> in the queue of <bdi>cluster</bdi>" in page


def test_the_list_says_why(client, viewer, waiting):
    client.force_login(viewer)
    assert ESCAPED in client.get(f"/ui/projects/{waiting.project.uid}/runs").content.decode()


def test_the_api_says_why(as_viewer, waiting):
    path = f"/projects/{waiting.project.uid}/runs"
    assert as_viewer.get(f"{path}/{waiting.uid}").json()["waiting_reason"] == REASON
    assert as_viewer.get(path).json()["items"][0]["waiting_reason"] == REASON
    attempt = as_viewer.get(f"{path}/{waiting.uid}/attempts").json()[0]
    assert (attempt["engine_state"], attempt["engine_reason"], attempt["nodes"]) == ("PENDING", REASON, [])


def test_a_run_that_has_been_claimed_waits_no_more(as_viewer, project):
    run = new_live_run(Status.STARTING, project=project, attempt={"engine_reason": REASON}).run
    assert as_viewer.get(f"/projects/{project.uid}/runs/{run.uid}").json()["waiting_reason"] == ""
