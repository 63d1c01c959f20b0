"""The charts of a run's page: by mouse and keyboard, live, heard, and without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import Watched
from tests.end_to_end.hub import Hub, eventually

pytestmark = pytest.mark.browser
SLOW = 30_000  # ms: two busy cores


@pytest.fixture(scope="module")
def charted_run(shared_hub: Hub) -> str:
    """The path of the page of a run with known metrics."""
    code = "from tests.browser.charted import make_charted_run; print(make_charted_run())"
    return f"/ui/runs/{shared_hub.manage('shell', '-c', code).split()[-1]}"


@pytest.fixture
def charts(signed_in: Watched, charted_run: str) -> Iterator[Page]:
    """The run's page with its first charts drawn; what went wrong in it fails the test."""
    page = signed_in.open(charted_run)
    expect(panel_of(page, "loss").locator("canvas")).to_be_visible(timeout=SLOW)
    yield page
    assert signed_in.problems == []


def panel_of(page: Page, title: str) -> Locator:
    return page.locator("figure.panel").filter(has=page.locator("h4").get_by_text(title, exact=True))


def point_at(page: Page, panel: Locator, share: float) -> None:
    """Move the mouse to a share of the plot's width."""
    panel.scroll_into_view_if_needed()
    x, y, width, height = panel.evaluate(
        "(panel) => { const box = panel.querySelector('.u-over').getBoundingClientRect();"
        " return [box.x, box.y, box.width, box.height]; }"
    )
    page.mouse.move(x + width * share, y + height / 2, steps=3)


def see_at(page: Page, panel: Locator, share: float, text: str, *, where: Locator | None = None) -> None:
    """Point at a panel until the legend there, or `where`, names the place; charts may still be on their way."""
    cell = (where or panel).locator(".chart-legend .at")

    def is_named() -> bool:
        point_at(page, panel, share)
        return any(re.search(text, found) for found in cell.all_inner_texts())

    eventually(is_named, f"{text} at the cursor", 30)


def drag(page: Page, panel: Locator, start: float, end: float) -> None:
    point_at(page, panel, start)
    page.mouse.down()
    point_at(page, panel, end)
    page.mouse.up()


def zoom_of(page: Page) -> list[int]:
    """The range that the address names."""
    expect(page).to_have_url(re.compile("zoom="), timeout=SLOW)
    return [int(x) for x in page.url.partition("zoom=")[2].split("%2C")]


def test_metrics_stand_in_panels_with_their_numbers(charts: Page) -> None:
    expect(charts.locator("#chart-count")).to_have_text("4 charts")
    expect(charts.locator(".chart-section summary")).to_have_text(["Metrics1", "rewards2", "System1"])
    expect(panel_of(charts, "loss").locator(".chart-legend bdi")).to_have_text(["loss", "val_loss"])
    expect(panel_of(charts, "loss").locator(".summary")).to_contain_text("loss: newest 1 at step 1000, least 1 at step")
    expect(panel_of(charts, "GPU utilisation").locator(".newest")).to_have_text("50 %")


def test_cursor_shows_values_in_all_panels(charts: Page) -> None:
    loss, chosen = panel_of(charts, "loss"), panel_of(charts, "rewards/chosen")

    see_at(charts, loss, 0.78, r"step 7[6-9]\d", where=chosen)

    expect(loss.locator(".at")).to_have_text(re.compile(r"step 7[6-9]\d"))
    expect(loss.locator(".value").nth(1)).to_have_text("300")


def test_dragging_zooms_all_charts_and_asks_for_that_range(charts: Page) -> None:
    with charts.expect_request(re.compile(r"/metrics\?.*first_step=2\d\d&last_step=4\d\d"), timeout=SLOW):
        drag(charts, panel_of(charts, "loss"), 0.25, 0.45)

    low, high = zoom_of(charts)
    assert (230 < low < 270, 430 < high < 470) == (True, True)
    panel_of(charts, "loss").locator(".u-over").dblclick()
    expect(charts).not_to_have_url(re.compile("zoom="))


def test_a_zoomed_address_is_shown_again(charts: Page, charted_run: str) -> None:
    charts.goto(charts.url.partition("#")[0] + "#zoom=100,200&x=relative")
    charts.reload()

    expect(charts.get_by_label("Along")).to_have_value("relative")
    expect(charts.get_by_role("button", name="Whole range")).to_be_enabled()


def test_keys_and_buttons_move_and_zoom(charts: Page) -> None:
    plot = panel_of(charts, "loss").locator(".chart-plot")
    plot.press("+")
    low, high = zoom_of(charts)
    plot.press("ArrowRight")

    assert zoom_of(charts)[0] > low
    charts.get_by_role("button", name="Zoom in").click()
    assert zoom_of(charts)[1] - zoom_of(charts)[0] < high - low
    plot.press("0")
    expect(charts).not_to_have_url(re.compile("zoom="))


def test_log_scale_and_smoothing_are_kept_for_the_next_visit(charts: Page, charted_run: str) -> None:
    charts.get_by_label("Log scale").check()
    charts.get_by_label("Smoothing").fill("0.9")
    expect(panel_of(charts, "loss").locator(".value").first).to_have_text(re.compile(r"^\d.* \(1\)$"))

    charts.goto(charts.url.partition("#")[0])

    expect(charts.get_by_label("Log scale")).to_be_checked()
    expect(charts.locator("#chart-weight")).to_have_text("0.9")
    charts.get_by_role("button", name="Reset", exact=True).click()
    expect(charts.get_by_label("Log scale")).not_to_be_checked()


def test_charts_are_drawn_along_relative_time(charts: Page) -> None:
    with charts.expect_request(re.compile("x=relative"), timeout=SLOW):
        charts.get_by_label("Along").select_option("relative")

    see_at(charts, panel_of(charts, "loss"), 0.5, r"8 min \d+ s")


def test_filter_leaves_the_charts_whose_names_match(charts: Page) -> None:
    charts.get_by_label("Filter").fill("reward|gpu")

    expect(charts.locator("#chart-count")).to_have_text("3 of 4 charts")
    expect(panel_of(charts, "loss")).to_be_hidden()
    charts.get_by_label("Filter").fill("(")
    expect(charts.locator("#chart-count")).to_have_text("0 of 4 charts")


def test_points_are_shown_as_a_table_and_downloaded(charts: Page) -> None:
    panel = panel_of(charts, "loss")
    panel.get_by_role("button", name="Points as a table").click()
    expect(panel.get_by_role("table")).to_contain_text("val_loss")

    with charts.expect_download(timeout=SLOW) as download:
        panel.get_by_role("button", name="Download as CSV").click()

    rows = download.value.path().read_text().splitlines()
    assert rows[0] == "metric,step,time,value"
    assert len(rows) == 1 + 1000 + 10
    assert [row.rpartition(",")[2] for row in rows[499:502]] == ["502", "NaN", "500"]


def test_a_chart_fills_the_screen_and_goes_back(charts: Page) -> None:
    panel_of(charts, "loss").get_by_role("button", name="Full screen").click()
    expect(charts.get_by_role("dialog").locator("canvas")).to_be_visible()

    charts.get_by_role("button", name="Close").click()

    expect(charts.locator(".chart-grid canvas").first).to_be_visible()
    expect(charts.get_by_role("dialog")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_charts_are_accessible(signed_in: Watched, charted_run: str, scheme: Literal["light", "dark"]) -> None:
    signed_in.page.emulate_media(color_scheme=scheme)
    page = signed_in.open(charted_run)
    expect(panel_of(page, "loss").locator("canvas")).to_be_visible(timeout=SLOW)

    assert signed_in.violations() == []


def test_a_running_run_is_drawn_further(signed_in: Watched) -> None:
    hub = signed_in.hub
    path = hub.new_run(hub.new_project(), model_parameters={"max_steps": 100_000, "steps_per_second": 40})
    hub.wait_for_step(path, 10)
    page = signed_in.open(f"/ui/runs/{path.rpartition('/')[2]}")
    summary = panel_of(page, "loss").locator(".summary")
    expect(panel_of(page, "loss").locator("canvas")).to_be_visible(timeout=SLOW)
    before = summary.inner_text()

    with page.expect_request(re.compile("start_time="), timeout=SLOW):
        expect(summary).not_to_have_text(before, timeout=SLOW)

    hub.call("POST", f"{path}/cancel", headers={"Prefer": "wait=0"})


def test_the_loss_is_drawn_without_javascript(browser: Browser, signed_in: Watched, charted_run: str) -> None:
    state = signed_in.page.context.storage_state()
    context = browser.new_context(java_script_enabled=False, storage_state=state)
    page = context.new_page()

    page.goto(signed_in.hub.url + charted_run)

    expect(page.get_by_role("img", name=re.compile("Loss from 1 to 1000"))).to_be_visible()
    expect(page.locator("#metric-list")).to_contain_text("rewards/rejected")
    expect(page.locator("#chart-tools")).to_be_hidden()
    context.close()


# --- What the modules compute ---------------------------------------------------------------------
def computed(page: Page, module: str, expression: str) -> Any:
    return page.evaluate(f"import('/static/js/{module}.js').then((module) => {expression})")


@pytest.mark.parametrize(
    ("module", "expression", "result"),
    [
        ("series", "module.smooth([1, null, 1, 1], 0.9)", [1, None, 1, 1]),
        ("series", "module.smooth([0, 3], 0.5)", [0, 2]),
        ("series", "module.smooth([5, NaN, Infinity, 5], 0.5)", [5, None, None, 5]),
        ("series", "module.smooth([0, 3], 0.5, [0, 1], 1)[1] > 2.99", True),
        ("series", "module.smooth([1, 2], 0)", [1, 2]),
        ("series", "module.align([{x: [1, 3], y: [1, null]}, {x: [2, 3], y: [5, 6]}])[0]", [1, 2, 3]),
        ("series", "module.align([{x: [1, 3], y: [1, null]}, {x: [2, 3], y: [5, 6]}])[1][1] === undefined", True),
        ("series", "module.align([{x: [1, 3], y: [1, null]}, {x: [2, 3], y: [5, 6]}])[1][2] === null", True),
        ("series", "[0, 1.4, 1.6, 9].map((x) => module.nearest([0, 1, 2], x))", [0, 1, 2, 2]),
        ("series", "module.nearest([], 1)", -1),
        ("series", "['=1+1', '-x', 'a,\"b', -1.5].map(module.csvCell)", ["'=1+1", "'-x", '"a,""b"', "-1.5"]),
        ("numbers", "[0.82134, 12345, 1.5e7, 0.00001234].map((x) => module.shortNumber(x))",
         ["0.8213", "12.35k", "15M", "1.23e-5"]),
        ("numbers", "[0, 350, 4000, 200000, 7500000].map(module.duration)",
         ["0 s", "350 ms", "4 s", "3 min 20 s", "2 h 5 min"]),
        ("numbers", "[module.withUnit(0.934, 'percent'), module.withUnit(6.2e10, 'bytes'), module.withUnit(null)]",
         ["93.4 %", "62 GB", "–"]),
        ("chart_options", "module.matcher('(').test('a(b')", True),
    ],
)  # fmt: skip
def test_numbers_behind_the_charts(watched: Watched, module: str, expression: str, result: Any) -> None:
    page = watched.open("/ui/sign-in")

    assert computed(page, module, expression) == result


def test_newer_points_replace_what_is_known_since_then(watched: Watched) -> None:
    page = watched.open("/ui/sign-in")
    columns = """(steps, value) => module.columnsOf({step: steps, time: steps.map((s) => s * 10),
        value: steps.map(() => value), attempt: steps.map(() => 1), special: {}}, 'step')"""

    found = computed(
        page,
        "chart_data",
        f"(make => {{ const all = module.withNewer(make([1, 2, 3], 0), make([3, 4], 9), 30, 'step');"
        f" return [all.step, all.value, module.summarize(all).newestStep]; }})({columns})",
    )

    assert found == [[1, 2, 3, 4], [0, 0, 9, 9], 4]
