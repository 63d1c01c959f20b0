"""The launch form in a browser: by mouse, by keyboard, with and without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Watched

pytestmark = pytest.mark.browser
SLOW = 30_000  # ms, for a machine that does much else
DEFAULTS = {"learning_rate": 0.0005}


@pytest.fixture
def place(signed_in: Watched) -> str:
    """The path of the launch page of a project with default hyperparameters of its own."""
    project = signed_in.hub.new_project(name="Launched", default_hyperparameters=DEFAULTS)
    return f"/ui/projects/{project['id']}/launch"


def runs_of(watched: Watched, place: str) -> int:
    project = place.split("/")[3]
    return int(watched.hub.call("GET", f"/projects/{project}/runs").body["total"])


def choose(page: Page, recipe: str, field: str) -> None:
    """Choose a recipe and wait until its fields are there."""
    page.get_by_role("radio", name=recipe).check()
    expect(page.get_by_label(field)).to_be_visible(timeout=SLOW)


def test_a_run_is_set_up_checked_and_launched_by_mouse(signed_in: Watched, place: str) -> None:
    page = signed_in.open(f"{place}?recipe=simulate")
    page.get_by_label("Name", exact=True).fill("kept")
    choose(page, "Tiny GPT", "Layers")
    assert page.url.endswith("?recipe=tiny-gpt")
    expect(page.get_by_label("Name", exact=True)).to_have_value("kept")

    page.get_by_label("Learning rate").fill("1e-3")
    expect(page.locator("#differences")).to_have_text(
        re.compile(r"learning_rate\s+1e-3\s+\(recipe default 0.003, project 0.0005\)")
    )
    page.get_by_label("Learning rate").fill("0.003")
    expect(page.locator("#no-differences")).to_be_visible()
    page.get_by_label("GPUs per node").fill("8")
    page.get_by_role("button", name="Check").click()

    expect(page.locator("#plan")).to_contain_text("Needs 1 × 8 GPUs, this executor has 0.", timeout=SLOW)
    expect(page.locator("#plan-title")).to_be_focused(timeout=SLOW)
    page.get_by_label("GPUs per node").fill("4")
    expect(page.locator("#plan-is-old")).to_be_visible()
    assert runs_of(signed_in, place) == 0
    page.get_by_role("button", name="Launch").click()

    expect(page.get_by_text("The run is queued")).to_be_visible(timeout=SLOW)
    assert signed_in.problems == []


CLUSTER = """
[executors.local]
kind = "local"
[executors.cluster]
kind = "slurm"
nodes = 2
gpus = 8
partition = ["gpu", "debug"]
programs = "/nowhere"
"""


@pytest.fixture
def cluster(signed_in: Watched) -> Iterator[None]:
    """A cluster that is declared while the hub runs; its programs are not there."""
    file = signed_in.hub.data / "executors.toml"
    file.write_text(CLUSTER)
    yield
    file.unlink()


@pytest.mark.usefixtures("cluster")
def test_another_executor_offers_what_can_be_chosen_there(signed_in: Watched, place: str) -> None:
    page = signed_in.open(f"{place}?recipe=simulate")
    page.get_by_label("Name", exact=True).fill("kept")
    page.get_by_label("Executor", exact=True).select_option("cluster")
    expect(page.get_by_label("Partition")).to_be_visible(timeout=SLOW)
    expect(page.get_by_label("Name", exact=True)).to_have_value("kept")
    expect(page.get_by_label("Executor", exact=True)).to_have_value("cluster")
    page.get_by_label("Partition").select_option("debug")
    page.get_by_role("button", name="Check").click()
    expect(page.locator("#plan")).to_contain_text("It would wait.", timeout=SLOW)
    expect(page.locator("#plan")).to_contain_text("debug")

    page = signed_in.open("/ui/executors")
    expect(page.get_by_role("heading", name="cluster")).to_be_visible(timeout=SLOW)
    expect(page.get_by_text("Nothing can start here now.")).to_be_visible()
    assert signed_in.problems == []


def test_a_mistake_is_shown_beside_its_field_and_has_the_focus(signed_in: Watched, place: str) -> None:
    page = signed_in.open(f"{place}?recipe=tiny-gpt")
    page.get_by_label("Name", exact=True).fill("wrong")
    page.get_by_label("Learning rate").fill("7")
    page.get_by_role("button", name="Check").click()

    expect(page.get_by_text("7 is greater than the maximum of 1")).to_be_visible(timeout=SLOW)
    expect(page.get_by_label("Learning rate")).to_be_focused(timeout=SLOW)
    assert page.locator("#plan").count() == 0


@pytest.mark.parametrize("has_scripts", [True, False])
def test_a_double_click_starts_one_run(browser: Browser, signed_in: Watched, place: str, has_scripts: bool) -> None:
    state = signed_in.page.context.storage_state()
    context = browser.new_context(java_script_enabled=has_scripts, storage_state=state)
    page = Watched(context.new_page(), signed_in.hub).open(place)
    page.get_by_label("Name", exact=True).fill("twice")
    page.get_by_label("Steps max_steps").fill("5")

    page.get_by_role("button", name="Launch").dblclick()

    expect(page.locator("#run-status")).to_be_visible(timeout=SLOW)
    assert runs_of(signed_in, place) == 1
    context.close()


def test_a_run_is_launched_by_keyboard_alone(signed_in: Watched, place: str) -> None:
    page = signed_in.open(f"{place}?recipe=simulate")
    page.get_by_role("radio", name="Simulation").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label("Layers")).to_be_visible(timeout=SLOW)
    expect(page.get_by_role("radio", name="Tiny GPT")).to_be_focused(timeout=SLOW)
    expect(page.locator("#run-form[data-alive]")).to_be_visible(timeout=SLOW)
    page.keyboard.press("ArrowUp")
    expect(page.get_by_label("steps_per_second")).to_be_visible(timeout=SLOW)
    expect(page.get_by_role("radio", name="Simulation")).to_be_focused(timeout=SLOW)
    expect(page.locator("#run-form[data-alive]")).to_be_visible(timeout=SLOW)
    page.keyboard.press("Tab")
    page.keyboard.type("by keyboard")

    page.keyboard.press("Enter")  # looks, does not launch
    expect(page.locator("#plan-title")).to_be_focused(timeout=SLOW)
    assert runs_of(signed_in, place) == 0
    page.get_by_role("button", name="Launch").focus()
    page.keyboard.press("Enter")

    expect(page.locator("#run-status")).to_be_visible(timeout=SLOW)
    assert runs_of(signed_in, place) == 1


def test_everything_works_without_scripts(browser: Browser, signed_in: Watched, place: str) -> None:
    state = signed_in.page.context.storage_state()
    context = browser.new_context(java_script_enabled=False, storage_state=state)
    page = Watched(context.new_page(), signed_in.hub).open(place)
    page.get_by_label("Name", exact=True).fill("plain")
    page.get_by_role("radio", name="Tiny GPT").check()
    page.get_by_role("button", name="Choose", exact=True).click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("plain", timeout=SLOW)
    page.get_by_label("Layers").fill("2")
    page.get_by_role("button", name="Check").click()

    expect(page.locator("#plan")).to_contain_text("6: every 250 steps up to step 1,500", timeout=SLOW)
    expect(page.locator("#differences")).to_contain_text("n_layer")
    page.get_by_role("button", name="Launch").click()

    expect(page.locator("#run-status")).to_be_visible(timeout=SLOW)
    assert runs_of(signed_in, place) == 1
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_form_plan_and_mistakes_are_accessible(
    signed_in: Watched, place: str, scheme: Literal["light", "dark"]
) -> None:
    signed_in.page.emulate_media(color_scheme=scheme)
    page = signed_in.open(f"{place}?recipe=simulate")
    page.get_by_label("Name", exact=True).fill("seen")
    page.get_by_label("Steps max_steps").fill("7")
    page.get_by_role("button", name="Check").click()
    expect(page.locator("#plan")).to_be_visible(timeout=SLOW)
    assert signed_in.violations() == []

    page.get_by_label("Learning rate").fill("-1")
    page.get_by_role("button", name="Check").click()
    expect(page.locator(".invalid-text")).to_be_visible(timeout=SLOW)
    assert signed_in.violations() == []
