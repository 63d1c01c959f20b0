"""A real browser on a real hub. Without Chromium these tests are skipped, except in CI."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from tests.end_to_end.conftest import prepared, shared_hub  # noqa: F401 - fixtures
from tests.end_to_end.hub import Hub

AXE = Path(sys.prefix) / "axe.min.js"  # comes with `make` from package-lock.json
# What htmx writes of a poll that was under way when somebody left the page. A poll that failed has words of its own.
LEFT_BEHIND = ("htmx:sendAbort", "htmx:afterRequest")
# A browser that asks nobody anything, and runs as root in a container.
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, headless."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None and not os.environ.get("CI"):
        pytest.skip("Chromium is not installed (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


class Watched:
    """A page, and what went wrong in it: errors of scripts and of the content policy, requests to other hosts."""

    def __init__(self, page: Page, hub: Hub) -> None:
        self.page, self.hub = page, hub
        self.problems: list[str] = []
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", self._note_request)

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(LEFT_BEHIND):
            self.problems.append(message.text)

    def _note_request(self, request: Request) -> None:
        if not request.url.startswith((self.hub.url, "data:", "blob:")):
            self.problems.append(f"request to {request.url}")

    def violations(self) -> list[str]:
        """Return what axe finds against WCAG 2.2, A and AA."""
        self.page.evaluate(AXE.read_text())
        self.page.evaluate(
            "scrollTo(0, 0)"
        )  # a control that is scrolled half behind the bar at the top is not too small
        found = self.page.evaluate(
            "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})"
        )
        return [f"{one['id']}: {node['html'][:200]}" for one in found["violations"] for node in one["nodes"]]

    def sign_out(self) -> None:
        """Sign out by the person's menu."""
        self.page.locator(".topbar .menu > summary").click()
        self.page.get_by_role("button", name="Sign out").click()

    def open(self, path: str) -> Page:
        """Go to a path of the hub."""
        self.page.goto(self.hub.url + path)
        return self.page


@pytest.fixture
def watched(browser: Browser, shared_hub: Hub) -> Iterator[Watched]:  # noqa: F811
    """A fresh page of nobody. Runs that the test leaves behind are cancelled: trainings take much of a machine."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    others = shared_hub.live_runs()
    yield Watched(context.new_page(), shared_hub)
    context.close()
    for path in shared_hub.live_runs() - others:
        shared_hub.call("POST", f"{path}/cancel", headers={"Prefer": "wait=0"})


@pytest.fixture(scope="session")
def operator_cookies(browser: Browser, shared_hub: Hub) -> list[Any]:  # noqa: F811
    """The cookies of the operator, who signed in by a one-time link once for all tests."""
    context = browser.new_context()
    context.new_page().goto(shared_hub.manage("signinlink").strip())
    cookies = context.cookies()
    context.close()
    return cookies


@pytest.fixture
def signed_in(watched: Watched, operator_cookies: list[Any]) -> Watched:
    """A page of the operator. Signing out would end the session of other tests too."""
    watched.page.context.add_cookies(operator_cookies)
    return watched
