"""Home, projects, account and errors in a real browser: accessible in light and dark, live, and calm when refused."""

from __future__ import annotations

import re
from typing import Literal

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import Watched

pytestmark = pytest.mark.browser
HOME = re.compile(r"//[^/]+/$")
SLOW = 30_000  # ms; a machine with two busy cores takes its time


def create_project(signed_in: Watched, name: str) -> str:
    """Create a project by the form; return the path of its page."""
    page = signed_in.open("/ui/projects/new")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_text(f"The project {name} was created.")).to_be_visible(timeout=SLOW)
    return page.url.removeprefix(signed_in.hub.url)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_are_accessible(signed_in: Watched, scheme: Literal["light", "dark"]) -> None:
    project = create_project(signed_in, f"In {scheme}")
    signed_in.page.emulate_media(color_scheme=scheme)
    own = [f"{project}/edit", f"{project}/members", f"{project}/members/operator/remove"]
    others = [
        "/",
        "/ui/projects",
        "/ui/projects?q=nothing",
        "/ui/tokens",
        "/ui/password",
        "/ui/nothing",
        "/ui/sign-out",
    ]

    found = {}
    for path in [*own, *others]:
        signed_in.open(path)
        found[path] = signed_in.violations()

    assert {path: violations for path, violations in found.items() if violations} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_ways_in_are_accessible(watched: Watched, scheme: Literal["light", "dark"]) -> None:
    watched.page.emulate_media(color_scheme=scheme)
    page = watched.open("/ui/sign-in")
    page.get_by_label("Username").fill("nobody")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("correct username and password", timeout=SLOW)
    refused = watched.violations()
    watched.open("/ui/sign-in/link?link=nonsense")

    assert (refused, watched.violations()) == ([], [])


def test_a_poll_that_is_refused_leaves_the_page_as_it_is(signed_in: Watched) -> None:
    page = signed_in.open("/")
    expect(page.get_by_text("Running").first).to_be_visible(timeout=SLOW)

    def refuse(route: Route) -> None:
        is_poll = route.request.headers.get("hx-request")
        route.fulfill(status=500, content_type="text/html", body="<h1>broken</h1>") if is_poll else route.continue_()

    page.route(HOME, refuse)
    expect(page.locator("#stale")).to_be_visible(timeout=SLOW)

    expect(page.locator("#overview .figures")).to_be_visible()
    expect(page.get_by_text("broken")).to_have_count(0)
    page.unroute(HOME)
    expect(page.locator("#stale")).to_be_hidden(timeout=SLOW)


def test_a_form_that_is_too_large_is_answered_with_a_page(signed_in: Watched) -> None:
    page = signed_in.open("/ui/projects/new")
    page.get_by_label("Name", exact=True).fill("Too large")
    page.evaluate("document.getElementById('id_description').value = 'x'.repeat(9_000_000)")

    page.get_by_role("button", name="Create").click()

    expect(page.get_by_role("heading", name="Too large")).to_be_visible(timeout=SLOW)


def test_a_new_token_is_copied_by_its_button(signed_in: Watched) -> None:
    signed_in.page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=signed_in.hub.url)
    page = signed_in.open("/ui/tokens")
    page.get_by_label("Name").fill("for a notebook")
    page.get_by_role("button", name="Make a token").click()

    page.get_by_role("button", name="Copy", exact=True).click()

    expect(page.get_by_role("button", name="Copied")).to_be_visible(timeout=SLOW)
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#new-token").text_content()
    assert signed_in.problems == []


def test_a_role_is_given_and_taken_by_keyboard_and_mouse(signed_in: Watched) -> None:
    project = create_project(signed_in, "With people")
    page = signed_in.open(f"{project}/members")
    page.get_by_label("User name").fill("nobody-at-all")
    page.keyboard.press("Enter")
    expect(page.get_by_text("There is no such active user.")).to_be_visible(timeout=SLOW)

    page.get_by_label("Role of operator").select_option("viewer")
    page.get_by_role("button", name="Change").click()

    expect(page.get_by_role("alert")).to_contain_text("keeps at least one admin", timeout=SLOW)


def test_projects_are_filtered_and_ordered_by_the_form(signed_in: Watched) -> None:
    create_project(signed_in, "Zebra list")
    create_project(signed_in, "Aardvark list")
    page = signed_in.open("/ui/projects")
    page.get_by_role("searchbox").or_(page.get_by_label("Name, description or base model")).first.fill("list")
    page.get_by_label("Order").select_option("name")
    page.get_by_role("button", name="Show").click()

    expect(page).to_have_url(re.compile("q=list"), timeout=SLOW)
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.locator("tbody tr").first).to_contain_text("Aardvark list")
