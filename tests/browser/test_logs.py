"""The log in a real browser: followed, scrolled, searched, picked; and by pages without a script."""

from __future__ import annotations

import re
from typing import Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import Watched
from tests.end_to_end.hub import Hub

pytestmark = pytest.mark.browser
SLOW = 30_000  # ms; the machine may have two cores that many tests share


def launch(hub: Hub, **parameters: object) -> tuple[str, str]:
    """Start a simulated run that writes much; return its path in the API and that of its log's page."""
    parameters = {"eval_interval": 5, "checkpoint_interval": 1_000_000, **parameters}
    path = hub.new_run(hub.new_project(), model_parameters=parameters)
    return path, f"/ui/runs/{path.rpartition('/')[2]}/log"


@pytest.fixture(scope="module")
def finished(shared_hub: Hub) -> str:
    """The log's page of a run that has ended; with 20 lines a page it has many pages."""
    path, place = launch(shared_hub, max_steps=1500, steps_per_second=1000)
    shared_hub.wait_for_status(path, "completed")
    return f"{place}?page_size=20"


def rows(page: Page) -> Locator:
    return page.locator("#log tr[id]")


def test_the_whole_log_is_scrolled_over(signed_in: Watched, finished: str) -> None:
    page = signed_in.open(finished)
    expect(page.locator("#line-0")).to_be_visible(timeout=SLOW)

    page.locator("#log").press("End")
    expect(page.get_by_text("Finished after step 1500")).to_be_in_viewport(timeout=SLOW)
    page.locator("#log").press("Home")
    expect(page.locator("#line-0")).to_be_in_viewport(timeout=SLOW)
    page.locator("#log-place").fill("150")
    expect(page.locator("#line-150")).to_be_in_viewport(timeout=SLOW)

    assert rows(page).count() < 250
    assert signed_in.problems == []


def test_a_growing_log_is_followed_until_somebody_scrolls_up(signed_in: Watched) -> None:
    _, place = launch(signed_in.hub, max_steps=1_000_000, steps_per_second=50)
    page = signed_in.open(f"{place}?page_size=20")
    expect(page.locator(".is-following")).to_be_attached(timeout=SLOW)
    expect(rows(page).last).to_have_id(re.compile(r"^line-([6-9]\d|\d{3,})$"), timeout=SLOW)
    expect(rows(page).last).to_be_in_viewport(timeout=SLOW)

    page.locator("#log").hover()
    page.mouse.wheel(0, -600)
    resume = page.locator("#log-resume")
    expect(resume).to_contain_text(re.compile(r"Paused – \d+ new lines?: Resume"), timeout=SLOW)
    resume.click()

    expect(resume).to_be_hidden(timeout=SLOW)
    expect(page.locator(".is-following")).to_be_attached(timeout=SLOW)
    assert signed_in.problems == []


def test_matches_are_gone_through_in_both_directions(signed_in: Watched, finished: str) -> None:
    page = signed_in.open(finished)
    page.get_by_label("Search the log").fill("Finished after")
    page.get_by_label("What to show of a search").select_option("context")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("tr.target mark")).to_have_text("Finished after", timeout=SLOW)

    page.get_by_label("Search the log").fill("Step [12]0 ")
    page.get_by_label("Regular expression").check()
    page.get_by_role("button", name="Show").click()
    expect(page.locator("tr.target mark")).to_have_text("Step 10 ", timeout=SLOW)
    expect(page.locator("#match-place")).to_have_text("1 of 2 matches")
    page.get_by_role("link", name="Next match").click()
    expect(page.locator("tr.target mark")).to_have_text("Step 20 ", timeout=SLOW)
    page.locator("#log").press("N")
    expect(page.locator("tr.target mark")).to_have_text("Step 10 ", timeout=SLOW)
    page.locator("#log").press("N")

    expect(page.locator("#log-notices")).to_contain_text("No other match back to the beginning", timeout=SLOW)
    assert signed_in.problems == []


def test_picked_lines_have_an_address(signed_in: Watched, finished: str) -> None:
    page = signed_in.open(finished)
    page.get_by_role("link", name="3", exact=True).click()
    page.get_by_role("link", name="6", exact=True).click(modifiers=["Shift"])

    expect(page.locator("#log-picked")).to_contain_text("Lines 3 to 6")
    assert page.url.endswith("?page_size=20&line=3#L3-L6")
    page.reload()
    expect(page.locator("#log tr.picked")).to_have_count(4, timeout=SLOW)
    assert signed_in.problems == []


def test_lines_wrap_or_not(signed_in: Watched, finished: str) -> None:
    page = signed_in.open(finished)
    page.get_by_role("link", name="Do not wrap").click()

    expect(page.locator("#log")).to_have_class("loglines unwrapped", timeout=SLOW)
    expect(page.get_by_role("link", name="Wrap lines")).to_be_visible()


def test_without_a_script_the_log_has_pages(browser: Browser, signed_in: Watched, finished: str) -> None:
    state = signed_in.page.context.storage_state()
    context = browser.new_context(java_script_enabled=False, storage_state=state)
    page = Watched(context.new_page(), signed_in.hub).open(finished)

    page.get_by_role("link", name="Next", exact=True).click()
    expect(page.locator("#line-20")).to_be_visible()
    page.get_by_label("Line", exact=True).fill("105")
    page.get_by_role("button", name="Go").first.click()
    expect(page.locator("#line-105.target")).to_be_in_viewport()
    page.get_by_role("link", name="110", exact=True).click()
    expect(page.locator("#line-110.target")).to_be_in_viewport()
    page.get_by_label("Search the log").fill("finished")
    page.get_by_role("button", name="Show").click()

    expect(page.locator("#log mark")).to_have_text("Finished")
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_log_is_accessible(signed_in: Watched, finished: str, scheme: Literal["light", "dark"]) -> None:
    signed_in.page.emulate_media(color_scheme=scheme)
    page = signed_in.open(f"{finished}&q=Step&show=context&line=8")
    expect(page.locator("#log-keys")).to_be_visible(timeout=SLOW)

    assert signed_in.violations() == []
