"""The page of a run in a browser: cancelled by keyboard and live, its story, its differences, who may act."""

from __future__ import annotations

import re
from typing import Any, Literal

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Watched
from tests.end_to_end.hub import Hub

pytestmark = pytest.mark.browser
LONG = 30_000  # ms; a machine that is busy with other tests is slow
ENDLESS = {"max_steps": 1_000_000, "eval_interval": 50}

VIEWER = """
from django.contrib.auth import get_user_model
from projects.models import Membership, Project
user, _ = get_user_model().objects.get_or_create(username="vera")
Membership.objects.get_or_create(user=user, project=Project.objects.get(uid="{project}"))
"""


def page_of(path: str) -> str:
    """Return the page of a run by its path in the API."""
    return f"/ui/runs/{path.rpartition('/')[2]}"


def new_run(hub: Hub, **values: Any) -> str:
    """A simulated run in a project of its own; returns its path in the API."""
    return hub.new_run(hub.new_project(name="Run page"), **{"recipe": "simulate", **values})


def test_a_run_is_cancelled_by_keyboard_and_its_receipt_comes_without_a_reload(signed_in: Watched) -> None:
    path = new_run(signed_in.hub, model_parameters=ENDLESS)
    signed_in.hub.wait_for_checkpoint(path)
    page = signed_in.open(page_of(path))
    page.evaluate("window.isTheSamePage = true")

    page.locator("#run-cancel").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Cancel this run")
    expect(dialog.get_by_text("Kept in any case")).to_be_visible(timeout=LONG)
    dialog.get_by_role("button", name="Cancel the run").focus()
    page.keyboard.press("Enter")

    expect(dialog).to_be_hidden(timeout=LONG)
    expect(page.get_by_text("recorded after the request")).to_be_visible(timeout=LONG)
    expect(page.locator("#run-headline")).to_contain_text("cancelled", timeout=LONG)
    expect(page.locator("#run-cancel")).to_have_count(0)
    expect(page.locator("#run-story li").first).to_contain_text("Cancelled on request.")
    expect(page).to_have_title(re.compile(r"^cancelled · "))
    assert page.evaluate("window.isTheSamePage") is True
    assert signed_in.problems == []


def test_escape_leaves_the_run_alone(signed_in: Watched) -> None:
    path = new_run(signed_in.hub, model_parameters=ENDLESS)
    signed_in.hub.wait_for_status(path, "running")
    page = signed_in.open(page_of(path))

    page.locator("#run-cancel").click()
    expect(page.get_by_role("dialog")).to_be_visible(timeout=LONG)
    page.keyboard.press("Escape")

    expect(page.get_by_role("dialog")).to_be_hidden()
    assert signed_in.hub.run(path)["status"] == "running"
    signed_in.hub.call("POST", f"{path}/cancel")


def test_the_timeline_grows_and_what_is_open_stays_open(signed_in: Watched) -> None:
    path = new_run(signed_in.hub, model_parameters=ENDLESS)
    signed_in.hub.wait_for_status(path, "running")
    page = signed_in.open(page_of(path))
    started = page.locator("#run-story li", has_text="The trainer started").locator("details")

    started.locator("summary").click()
    before = page.locator("#run-story li").count()

    expect(page.locator("#run-story li").nth(before + 1)).to_be_attached(timeout=LONG)
    expect(started.get_by_text("trainer pid")).to_be_visible()
    identities = page.locator("#run-story li").evaluate_all("entries => entries.map((entry) => entry.id)")
    assert len(identities) == len(set(identities))
    signed_in.hub.call("POST", f"{path}/cancel")


def test_differences_of_a_resumed_run_are_shown_alone(signed_in: Watched) -> None:
    hub = signed_in.hub
    path = new_run(hub, model_parameters={"max_steps": 20, "eval_interval": 10})
    hub.wait_for_status(path, "completed")
    checkpoint = hub.wait_for_checkpoint(path)["id"]
    changes = {"model_parameters": {"max_steps": 40}}
    child = hub.call("POST", f"{path}/resume?source_artifact_id={checkpoint}", changes).body["id"]
    page = signed_in.open(f"/ui/runs/{child}")
    config = page.locator("#config")
    steps = config.get_by_role("row", name=re.compile("max_steps"))

    expect(steps).to_contain_text("parent 20")
    expect(config.get_by_role("row", name=re.compile("steps_per_second"))).to_be_visible()
    config.get_by_role("link", name=re.compile("Only differences")).click()

    expect(config.get_by_role("row", name=re.compile("steps_per_second"))).to_be_hidden()
    expect(steps).to_be_visible()
    assert page.url.endswith("?config=differences#config")


def test_a_viewer_sees_no_button_and_why(watched: Watched) -> None:
    path = new_run(watched.hub, model_parameters={"max_steps": 20, "eval_interval": 10})
    watched.hub.wait_for_status(path, "completed")
    watched.hub.manage("shell", "-c", VIEWER.format(project=path.split("/")[2]))
    watched.page.goto(watched.hub.manage("signinlink", "vera").strip().splitlines()[-1])

    page = watched.open(page_of(path))

    expect(page.get_by_text("Editors of the project cancel, resume and repeat its runs.")).to_be_visible()
    expect(page.locator("#run-cancel, #run-resume, #run-repeat")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_runs_in_every_state_are_accessible(signed_in: Watched, scheme: Literal["light", "dark"]) -> None:
    hub = signed_in.hub
    failed = new_run(hub, model_parameters={"max_steps": 200, "fail_at_step": 30})
    running = new_run(hub, model_parameters=ENDLESS)
    hub.wait_for_status(failed, "failed")
    hub.wait_for_checkpoint(running)
    signed_in.page.emulate_media(color_scheme=scheme)

    signed_in.open(page_of(failed))
    assert signed_in.violations() == []
    signed_in.open(page_of(running))
    assert signed_in.violations() == []
    signed_in.page.locator("#run-cancel").click()
    expect(signed_in.page.get_by_role("dialog")).to_be_visible(timeout=LONG)
    assert signed_in.violations() == []
    signed_in.page.get_by_role("button", name="Cancel the run").click()
    expect(signed_in.page.get_by_text("recorded after the request")).to_be_visible(timeout=LONG)
    assert signed_in.violations() == []
