"""Two runs side by side in a real browser: overlaid charts, one legend, differences, files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Watched
from tests.end_to_end.hub import Hub

pytestmark = pytest.mark.browser

TIMEOUT = 30_000  # ms
FIRST, SECOND = "#3b7ddd", "#d9720a"  # the colours of the first two runs
# Whether the chart of a metric has a line of a colour; the edges of lines are blended and not looked at.
HAS_LINE = """([metric, colour, isWanted]) => {
  const canvas = document.querySelector(`[data-metric="${metric}"] canvas`);
  if (!canvas) return false;
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const wanted = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  let count = 0;
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 3] > 200 && wanted.every((part, index) => Math.abs(part - data[at + index]) < 16)) count += 1;
  }
  return isWanted === count > 3;
}"""


@pytest.fixture(scope="session")
def pair(shared_hub: Hub) -> list[str]:
    """The ids of two simulated runs that have ended, of different rate and length."""
    project = shared_hub.new_project(name="Compared")
    paths = [
        shared_hub.new_run(
            project,
            name=f"{steps} steps",
            model_parameters={"max_steps": steps, "steps_per_second": 100},
            hyperparameters={"learning_rate": steps / 1000},
        )
        for steps in (40, 80)
    ]
    return [shared_hub.wait_for_status(path, "completed")["id"] for path in paths]


def address(pair: list[str], more: str = "") -> str:
    return "/ui/compare?" + "&".join(f"run={uid}" for uid in pair) + more


def expect_line(page: Page, metric: str, colour: str, *, is_there: bool = True) -> None:
    page.wait_for_function(HAS_LINE, arg=[metric, colour, is_there], timeout=TIMEOUT)


def test_both_runs_are_drawn_in_one_chart_and_switched_in_all_of_them(signed_in: Watched, pair: list[str]) -> None:
    page = signed_in.open(address(pair))
    for metric in ("loss", "accuracy"):
        expect_line(page, metric, FIRST)
        expect_line(page, metric, SECOND)

    page.locator("#legend").get_by_role("button", name="40 steps").click()

    for metric in ("loss", "accuracy"):
        expect_line(page, metric, FIRST, is_there=False)
        expect_line(page, metric, SECOND)
    expect(page.locator("#legend").get_by_role("button", name="40 steps")).to_have_attribute("aria-pressed", "false")
    assert signed_in.problems == []


def test_the_view_stands_in_the_address_and_comes_back_with_it(signed_in: Watched, pair: list[str]) -> None:
    page = signed_in.open(address(pair))
    page.get_by_label("Across").select_option("relative")
    page.get_by_label("Log scale").check()

    page.goto(page.url)

    expect(page.get_by_label("Across")).to_have_value("relative", timeout=TIMEOUT)
    expect(page.get_by_label("Log scale")).to_be_checked()
    assert page.url.endswith("x=relative&log=1")
    expect_line(page, "loss", SECOND)
    assert signed_in.problems == []


def test_values_stand_beside_the_pointer(signed_in: Watched, pair: list[str]) -> None:
    page = signed_in.open(address(pair))
    expect_line(page, "loss", SECOND)

    page.locator('[data-metric="loss"] .u-over').hover(position={"x": 60, "y": 60})

    values = page.locator('[data-metric="loss"] .compare-values')
    expect(values).to_contain_text("40 steps", timeout=TIMEOUT)
    expect(values).to_contain_text("80 steps")


def test_rows_that_agree_are_shown_on_request(signed_in: Watched, pair: list[str]) -> None:
    page = signed_in.open(address(pair))
    table = page.locator(".compare-table")
    expect(table.get_by_role("row", name="learning_rate")).to_be_visible()
    expect(table.get_by_role("row", name="batch_size")).to_have_count(0)

    page.get_by_role("link", name="All").click()

    expect(table.get_by_role("row", name="batch_size")).to_be_visible(timeout=TIMEOUT)


def test_the_table_is_downloaded_as_it_is_shown(signed_in: Watched, pair: list[str], tmp_path: Path) -> None:
    page = signed_in.open(address(pair))

    with page.expect_download(timeout=TIMEOUT) as started:
        page.get_by_role("link", name="CSV").click()

    assert started.value.suggested_filename == "comparison.csv"
    started.value.save_as(tmp_path / "comparison.csv")
    lines = (tmp_path / "comparison.csv").read_text(encoding="utf-8-sig").splitlines()
    assert lines[0] == f"group,name,measure,{pair[0]},{pair[1]}"
    assert "hyperparameters,learning_rate,,0.04,0.08" in lines


def test_the_link_is_copied(signed_in: Watched, pair: list[str]) -> None:
    signed_in.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = signed_in.open(address(pair, "&q=looked+for"))

    page.get_by_role("button", name="Copy link").click()

    expect(page.locator("#copied")).to_have_text("Link copied", timeout=TIMEOUT)
    assert page.evaluate("navigator.clipboard.readText()") == signed_in.hub.url + address(pair)


def test_runs_are_chosen_and_drawn_without_javascript(browser: Browser, signed_in: Watched, pair: list[str]) -> None:
    state = signed_in.page.context.storage_state()
    context = browser.new_context(java_script_enabled=False, storage_state=state)
    plain = Watched(context.new_page(), signed_in.hub)
    page = plain.open("/ui/compare?q=steps")

    page.get_by_label("40 steps").check()
    page.get_by_label("80 steps").check()
    page.get_by_role("button", name="Compare ticked runs").click()

    drawing = page.get_by_role("img", name="loss of all runs")
    drawing.scroll_into_view_if_needed()
    expect(drawing).to_be_visible()
    expect(page.locator(".compare-table").get_by_role("row", name="learning_rate")).to_be_visible()
    expect(page.locator("#charts")).to_be_hidden()
    assert plain.problems == []
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("is_empty", [False, True])
def test_the_page_is_accessible(
    signed_in: Watched, pair: list[str], is_empty: bool, scheme: Literal["light", "dark"]
) -> None:
    signed_in.page.emulate_media(color_scheme=scheme)
    page = signed_in.open("/ui/compare" if is_empty else address(pair, "&differences=0"))
    page.wait_for_load_state("networkidle")

    assert signed_in.violations() == []
