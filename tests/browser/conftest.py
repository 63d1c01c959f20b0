"""A real browser on a real hub. Without Chromium these tests are skipped, except in CI."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from tests.end_to_end.conftest import prepared, shared_hub  # noqa: F401 - fixtures
from tests.end_to_end.hub import Hub

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
        if message.type == "error":
            self.problems.append(message.text)

    def _note_request(self, request: Request) -> None:
        if not request.url.startswith((self.hub.url, "data:", "blob:")):
            self.problems.append(f"request to {request.url}")

    def open(self, path: str) -> Page:
        """Go to a path of the hub."""
        self.page.goto(self.hub.url + path)
        return self.page


@pytest.fixture
def watched(browser: Browser, shared_hub: Hub) -> Iterator[Watched]:  # noqa: F811
    """A fresh page of nobody."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield Watched(context.new_page(), shared_hub)
    context.close()


@pytest.fixture
def signed_in(watched: Watched) -> Watched:
    """A page of the operator, signed in by a one-time link."""
    watched.page.goto(watched.hub.manage("signinlink").strip())
    return watched
