"""Artifacts in a browser: a release tagged by keyboard, a download that arrives whole, previews, lineage."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Watched
from tests.end_to_end.hub import Hub

pytestmark = pytest.mark.browser
LONG = 30_000  # ms: the machine may be busy


@pytest.fixture(scope="module")
def path(shared_hub: Hub) -> str:
    """The API's path of a finished, simulated run with checkpoints and evaluations."""
    project = shared_hub.new_project(name="Artifacts")
    steps = {"max_steps": 40, "eval_interval": 10}
    path = shared_hub.new_run(project, name="first", recipe="simulate", model_parameters=steps)
    shared_hub.wait_for_status(path, "completed", seconds=120)
    return path


def artifacts_of(hub: Hub, path: str, kind: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = hub.call("GET", f"{path}/artifacts?type={kind}").body["items"]
    return items


def run_page(path: str) -> str:
    return f"/ui/runs/{path.rsplit('/', 1)[-1]}"


def test_a_release_is_tagged_with_notes_by_keyboard(signed_in: Watched, path: str) -> None:
    newest = artifacts_of(signed_in.hub, path, "checkpoint")[-1]
    page = signed_in.open(f"{run_page(path)}/artifacts")

    page.get_by_role("button", name=f"Tag {newest['name']}", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible(timeout=LONG)
    page.keyboard.type("r")  # the choice has the focus
    page.keyboard.press("Tab")
    page.keyboard.type("best of <b>all</b>")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    expect(page.get_by_text("is tagged release")).to_be_visible(timeout=LONG)
    signed_in.open(f"/ui/artifacts/{newest['id']}")
    history = page.locator(".tag-history")
    expect(history).to_contain_text("put on by")
    expect(history).to_contain_text("best of <b>all</b>")
    assert signed_in.problems == []


def test_a_downloaded_file_has_the_bytes_of_its_hash(signed_in: Watched, path: str) -> None:
    newest = artifacts_of(signed_in.hub, path, "checkpoint")[-1]
    (file, *_) = signed_in.hub.call("GET", f"{path}/artifacts/{newest['id']}").body["files"]
    page = signed_in.open(f"/ui/artifacts/{newest['id']}")

    with page.expect_download(timeout=LONG) as started:
        page.get_by_role("link", name=f"Download {file['name']}", exact=True).click()

    arrived = Path(started.value.path())
    assert hashlib.sha256(arrived.read_bytes()).hexdigest() == file["sha256"]


def test_an_evaluation_is_a_table(signed_in: Watched, path: str) -> None:
    evaluation = artifacts_of(signed_in.hub, path, "evaluation")[-1]
    page = signed_in.open(f"{run_page(path)}/artifacts")

    page.get_by_role("link", name=evaluation["name"], exact=True).click()

    expect(page.locator(".json-facts")).to_contain_text(re.compile("step|loss"), timeout=LONG)


def test_the_lineage_leads_from_a_run_to_its_project(signed_in: Watched, path: str) -> None:
    page = signed_in.open(f"{run_page(path)}/lineage")

    expect(page.locator(".lineage-node.current")).to_contain_text("first", timeout=LONG)
    page.locator(".lineage-node.project").focus()
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", level=1)).to_contain_text("Artifacts", timeout=LONG)
    assert "/ui/projects/" in page.url
    assert signed_in.problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_of_artifacts_are_accessible(signed_in: Watched, path: str, scheme: Literal["light", "dark"]) -> None:
    signed_in.page.emulate_media(color_scheme=scheme)
    shown = [artifacts_of(signed_in.hub, path, kind)[-1]["id"] for kind in ("checkpoint", "evaluation")]
    places = [f"{run_page(path)}/artifacts", f"{run_page(path)}/lineage", *(f"/ui/artifacts/{uid}" for uid in shown)]

    found = [violation for place in places if signed_in.open(place) for violation in signed_in.violations()]

    assert found == []
