"""The main job by mouse and keyboard: sign in, create, launch, watch, cancel, tag, resume, sign out."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Watched

pytestmark = pytest.mark.browser


def launch_simulation(signed_in: Watched) -> None:
    """Create a project and launch a simulated run in it, by the forms."""
    page = signed_in.open("/ui/projects/new")
    page.get_by_label("Name", exact=True).fill("By hand")
    page.get_by_role("button", name=re.compile("Create|Save")).click()
    page.get_by_role("link", name=re.compile("Launch")).first.click()
    page.get_by_label("Name", exact=True).fill("first")
    page.get_by_label("Model parameters").fill('{"max_steps": 10000, "eval_interval": 100}')
    page.get_by_role("button", name="Launch").click()


def test_a_run_is_launched_watched_cancelled_tagged_and_resumed(signed_in: Watched) -> None:
    page = signed_in.page
    launch_simulation(signed_in)

    expect(page.locator("#run-status")).to_contain_text("running", timeout=30_000)
    expect(page.locator("#log")).to_contain_text("Step", timeout=30_000)
    expect(page.get_by_text("Checkpoint @ step").first).to_be_visible(timeout=30_000)
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("button", name="Cancel the run").click()
    expect(page.get_by_text("recorded after the request")).to_be_visible(timeout=30_000)
    page.locator("#run-status").get_by_role("link", name=re.compile("Checkpoint @ step")).click()
    page.get_by_label("Tag", exact=True).select_option("release")
    page.get_by_label("Notes").fill("BLEU 32.5 on the hold-out set")
    page.get_by_role("button", name="Tag").click()
    expect(page.get_by_text("BLEU 32.5 on the hold-out set").first).to_be_visible()
    page.get_by_role("link", name="Resume from here").click()
    page.get_by_role("button", name=re.compile("Resume")).click()
    expect(page.get_by_text("Resumed from")).to_be_visible(timeout=30_000)
    page.get_by_role("button", name=re.compile("Sign out")).click()

    assert "/ui/sign-in" in page.url
    assert signed_in.problems == []


def test_the_main_job_works_without_javascript(browser: Browser, signed_in: Watched) -> None:
    state = signed_in.page.context.storage_state()
    context = browser.new_context(java_script_enabled=False, storage_state=state)
    plain = Watched(context.new_page(), signed_in.hub)

    launch_simulation(plain)

    expect(plain.page.locator("#run-status")).to_be_visible()
    plain.page.get_by_role("link", name="Cancel").click()
    plain.page.get_by_role("button", name="Cancel the run").click()
    expect(plain.page.get_by_text("Receipt of the cancel")).to_be_visible(timeout=30_000)
    context.close()


@pytest.mark.parametrize("path", ["/", "/ui/projects", "/ui/runs", "/ui/tokens", "/docs", "/admin/", "/ui/sign-in"])
def test_a_page_breaks_no_policy_and_asks_no_other_host(signed_in: Watched, path: str) -> None:
    page = signed_in.open(path)

    page.wait_for_load_state("networkidle")

    assert signed_in.problems == []


def test_the_browsable_api_creates_a_project_for_a_signed_in_person(signed_in: Watched) -> None:
    page = signed_in.open("/projects")

    page.locator("textarea[name=_content]").fill('{"name": "from the browsable page"}')
    page.get_by_role("button", name="POST").click()

    expect(page.get_by_text("HTTP 201 Created")).to_be_visible()


def test_a_link_signs_in_once(watched: Watched) -> None:
    link = watched.hub.manage("signinlink").strip()
    watched.page.goto(link)
    watched.page.get_by_role("button", name=re.compile("Sign out")).click()

    answer = watched.page.goto(link)

    assert answer is not None
    assert answer.status == 403


def test_nobody_sees_anything_without_signing_in(watched: Watched) -> None:
    watched.open("/ui/projects")

    assert "/ui/sign-in" in watched.page.url
