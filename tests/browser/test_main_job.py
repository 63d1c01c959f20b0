"""The main job by mouse and keyboard: from the sign-in link to a released checkpoint."""

from __future__ import annotations

import re
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Watched

pytestmark = pytest.mark.browser
LONG = 60_000  # ms; a machine that is busy with other tests is slow
TINY = {
    "Layers n_layer": "1",
    "Width n_embd": "32",
    "Steps max_steps": "100000",
    "Report every": "1",
    "Save every": "50",
}


def launch_simulation(signed_in: Watched) -> None:
    """Create a project and launch a simulated run in it, by the forms."""
    page = signed_in.open("/ui/projects/new")
    page.get_by_label("Name", exact=True).fill("By hand")
    page.get_by_role("button", name=re.compile("Create|Save")).click()
    page.get_by_role("link", name=re.compile("Launch")).first.click()
    page.get_by_label("Name", exact=True).fill("first")
    page.get_by_label("Steps max_steps").fill("10000")
    page.get_by_label("Evaluate every").fill("100")
    page.get_by_role("button", name="Launch").click()


def launch_tiny_gpt(page: Page) -> None:
    """Create a project and launch a small real training in it, by the forms."""
    page.get_by_label("Name", exact=True).fill("A model that writes Python")
    page.get_by_role("button", name=re.compile("Create|Save")).click()
    page.get_by_role("link", name=re.compile("Launch")).first.click()
    page.get_by_role("radio", name=re.compile("Tiny GPT")).check()
    expect(page.get_by_label("Layers n_layer")).to_be_visible(timeout=LONG)
    page.get_by_label("Name", exact=True).fill("baseline")
    for label, value in TINY.items():
        page.get_by_label(label).fill(value)
    page.get_by_role("button", name="Launch").click()


def see_loss_fall(page: Page) -> None:
    """Wait until the live chart's newest loss is clearly below ln 256, where a model of bytes begins."""
    newest = page.locator("figure.panel").filter(has=page.get_by_role("heading", name="loss", exact=True))
    expect(newest.locator("canvas").first).to_be_visible(timeout=LONG)
    expect(newest.locator(".newest")).to_have_text(re.compile(r"^[0-3](\.\d+)?$"), timeout=LONG)


def follow_and_search_log(page: Page) -> None:
    """Open the log at its end, then look for words in it."""
    page.locator("#log").get_by_role("link", name="Whole log").click()
    expect(page.locator(".is-following")).to_be_attached(timeout=LONG)
    page.get_by_label("Search the log").fill("Model:")
    page.keyboard.press("Enter")
    expect(page.locator("#log mark").first).to_have_text("Model:", timeout=LONG)


def test_the_main_job_from_the_link_to_the_release(watched: Watched) -> None:
    page = watched.page
    page.goto(watched.hub.manage("signinlink").strip())
    page.get_by_role("link", name="New project").first.click()
    launch_tiny_gpt(page)
    parent = page.url
    expect(page.locator("#run-headline")).to_contain_text("running", timeout=LONG)
    see_loss_fall(page)
    follow_and_search_log(page)

    page.goto(parent)
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("button", name="Cancel the run").click()
    expect(page.get_by_text("recorded after the request")).to_be_visible(timeout=LONG)
    page.locator("#run-status").get_by_role("link", name=re.compile("Checkpoint @ step")).click()
    checkpoint = page.url
    page.get_by_role("link", name="Resume from here").click()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("Resumed from").first).to_be_visible(timeout=LONG)
    resumed = page.url
    expect(page.locator("#run-headline")).to_contain_text("running", timeout=LONG)

    runs = [url.rpartition("/")[2].partition("#")[0] for url in (parent, resumed)]
    page.goto(f"{watched.hub.url}/ui/compare?run={runs[0]}&run={runs[1]}")
    expect(page.locator("canvas").first).to_be_visible(timeout=LONG)

    page.goto(checkpoint)
    page.get_by_label("Tag", exact=True).select_option("release")
    page.get_by_label("Notes").fill("Halves the loss on the hold-out set")
    page.get_by_role("button", name="Tag").click()
    expect(page.get_by_text("Halves the loss on the hold-out set").first).to_be_visible()
    watched.sign_out()

    assert "/ui/sign-in" in page.url
    assert watched.problems == []


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/ui/projects", "/ui/projects/new", "/ui/runs", "/ui/tokens", "/ui/password"])
def test_a_page_is_accessible(signed_in: Watched, path: str, scheme: Literal["light", "dark"]) -> None:
    signed_in.page.emulate_media(color_scheme=scheme)
    signed_in.open(path)

    assert signed_in.violations() == []


def test_the_browsable_api_creates_a_project_for_a_signed_in_person(signed_in: Watched) -> None:
    page = signed_in.open("/projects")

    page.locator("textarea[name=_content]").fill('{"name": "from the browsable page"}')
    page.get_by_role("button", name="POST").click()

    expect(page.get_by_text("HTTP 201 Created")).to_be_visible()


def test_a_link_signs_in_once(watched: Watched) -> None:
    link = watched.hub.manage("signinlink").strip()
    watched.page.goto(link)
    watched.sign_out()

    answer = watched.page.goto(link)

    assert answer is not None
    assert answer.status == 403


def test_nobody_sees_anything_without_signing_in(watched: Watched) -> None:
    watched.open("/ui/projects")

    assert "/ui/sign-in" in watched.page.url
