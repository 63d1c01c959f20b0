"""Lists of runs in a browser: selecting by keyboard, cancelling several, choosing columns; and whom axe would stop."""

from __future__ import annotations

import re
from typing import Any, Literal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Watched

pytestmark = pytest.mark.browser
PATIENCE = 30_000  # ms, on a slow machine


@pytest.fixture
def project(signed_in: Watched) -> dict[str, Any]:
    """A project with three runs, which are short so that they leave room to others."""
    project = signed_in.hub.new_project(name="Sweep", objective="Loss below 1")
    for name in ("one", "two", "three"):
        signed_in.hub.new_run(project, name=name, recipe="simulate", model_parameters={"max_steps": 10})
    return project


def list_of(signed_in: Watched, project: dict[str, Any]) -> Page:
    """Open the list of the project's runs."""
    return signed_in.open(f"/ui/projects/{project['id']}/runs")


def test_two_runs_are_selected_by_keyboard_and_cancelled_after_asking(
    signed_in: Watched, project: dict[str, Any]
) -> None:
    for name in ("long", "longer"):
        signed_in.hub.new_run(project, name=name, recipe="simulate", model_parameters={"max_steps": 2_000_000})
    page = list_of(signed_in, project)
    cancel = page.get_by_role("button", name="Cancel", exact=True)
    expect(cancel).to_be_disabled()

    for name in ("long", "longer"):
        page.get_by_role("checkbox", name=f"Select {name}", exact=True).focus()
        page.keyboard.press("Space")
    expect(page.get_by_text("2 selected")).to_be_visible()
    cancel.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Cancel 2 runs?")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name="Cancel 2 runs").press("Enter")

    expect(page.get_by_role("row").filter(has_text="long")).to_contain_text(["cancel", "cancel"], timeout=PATIENCE)
    expect(page.get_by_role("status").first).to_contain_text(re.compile("asked to save|cancelled"))
    expect(page.get_by_role("row").filter(has_text="three")).not_to_contain_text("cancel")
    assert f"/ui/projects/{project['id']}/runs" in page.url
    assert signed_in.problems == []


def test_all_runs_are_selected_at_once_and_a_range_with_shift(signed_in: Watched, project: dict[str, Any]) -> None:
    page = list_of(signed_in, project)

    page.get_by_role("checkbox", name="Select all runs of this page").check()
    expect(page.get_by_text("3 selected")).to_be_visible()
    page.get_by_role("checkbox", name="Select all runs of this page").uncheck()
    page.get_by_role("checkbox", name="Select three").click()
    page.get_by_role("checkbox", name="Select one").click(modifiers=["Shift"])

    expect(page.get_by_text("3 selected")).to_be_visible()


def test_columns_are_chosen_and_stay(signed_in: Watched, project: dict[str, Any]) -> None:
    page = list_of(signed_in, project)

    page.locator(".column-chooser > summary").press("Enter")
    page.locator(".column-chooser").get_by_label("learning_rate", exact=True).check()
    page.locator(".column-chooser").get_by_label("Recipe", exact=True).uncheck()
    page.get_by_role("button", name="Show these").click()

    expect(page.get_by_role("columnheader", name="learning_rate")).to_be_visible(timeout=PATIENCE)
    page.reload()
    expect(page.get_by_role("columnheader", name="learning_rate")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_role("columnheader", name="Recipe")).to_have_count(0)


def test_the_address_of_a_filter_is_short_and_its_chip_takes_it_off(
    signed_in: Watched, project: dict[str, Any]
) -> None:
    page = list_of(signed_in, project)

    page.get_by_label("Text in name or description, or an id").fill("three")
    page.keyboard.press("Enter")

    page.wait_for_url("**/runs?q=three", timeout=PATIENCE)
    expect(page.get_by_role("checkbox", name="Select three")).to_be_visible()
    expect(page.get_by_role("checkbox", name="Select one")).to_have_count(0)
    page.get_by_role("link", name="Take off: text three").click()
    expect(page.get_by_role("checkbox", name="Select one")).to_be_visible(timeout=PATIENCE)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_of_a_project_are_accessible(
    signed_in: Watched, project: dict[str, Any], scheme: Literal["light", "dark"]
) -> None:
    signed_in.page.emulate_media(color_scheme=scheme)
    base = f"/ui/projects/{project['id']}"
    paths = [base, f"{base}/runs?where=metrics.loss+<+9", f"{base}/releases", f"{base}/versions", "/ui/runs"]

    found = {}
    for path in paths:
        page = signed_in.open(path)
        if page.locator(".column-chooser").count():
            page.locator(".column-chooser > summary").click()
        found[path] = signed_in.violations()

    assert {path: violations for path, violations in found.items() if violations} == {}
    assert signed_in.problems == []
