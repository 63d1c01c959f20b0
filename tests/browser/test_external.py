"""An external run in a browser: its charts while it logs, its parameters, its end, and the links that clients print."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Watched
from tests.end_to_end.hub import Hub
from tests.external import METRICS, SCHEMA, log_external_run

pytestmark = pytest.mark.browser
LONG = 30_000  # ms; a machine that is busy with other tests is slow
DATASET = """
from runs.models import Run, RunDataset
RunDataset.objects.get_or_create(run=Run.objects.get(uid={run!r}), name="articles", digest="a1b2", schema={schema!r})
"""


@dataclass(frozen=True)
class External:
    """A run that a client made on a hub."""

    hub: Hub
    project: str
    run: str

    def post(self, route: str, **body: Any) -> None:
        post(self.hub, route, body)

    @property
    def page(self) -> str:
        return f"/ui/runs/{self.run}"


def post(hub: Hub, route: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = hub.call("POST", f"/mlflow/api/2.0/mlflow/{route}", body)
    assert answer.status == 200, answer.body
    return dict(answer.body)


@pytest.fixture
def external(signed_in: Watched) -> External:
    """A run with 150 parameters, 6 metrics of 1,000 points, tags, a dataset and 5 nested runs, that goes on."""
    hub = signed_in.hub
    project = hub.new_project(name="External")["id"]
    began = int(time.time() * 1000) - 1_000_000
    run = log_external_run(lambda route, body: post(hub, route, body), project, began_ms=began)
    hub.manage("shell", "-c", DATASET.format(run=run, schema=SCHEMA))
    return External(hub, project, run)


def test_the_page_draws_what_the_client_logs_while_it_logs(signed_in: Watched, external: External) -> None:
    page = signed_in.open(external.page)
    expect(page.locator("#chart-count")).to_have_text(f"{len(METRICS) - 1} charts", timeout=LONG)

    now = int(time.time() * 1000)
    external.post("runs/log-metric", run_id=external.run, key="reward", value=7.5, timestamp=now, step=1500)

    expect(page.locator("#chart-count")).to_have_text(f"{len(METRICS)} charts", timeout=LONG)
    expect(page.locator(".vitals")).to_contain_text("1,500", timeout=LONG)
    expect(page.locator("#run-headline")).to_contain_text("as its tracking client reported")
    external.post("runs/update", run_id=external.run, status="FINISHED", end_time=now)
    expect(page.locator("#run-headline")).to_contain_text("completed", timeout=LONG)
    expect(page.get_by_role("link", name="End here")).to_have_count(0)
    assert signed_in.problems == []


def test_a_parameter_is_found_by_its_name_or_value_and_a_long_one_opened(
    signed_in: Watched, external: External
) -> None:
    page = signed_in.open(external.page)
    rows = page.locator("#config-table tr[data-entry]")
    expect(rows.locator("visible=true")).to_have_count(150)

    page.get_by_role("searchbox", name="Find").fill("argument_07")
    expect(page.get_by_text("10 found")).to_be_visible()
    expect(rows.locator("visible=true")).to_have_count(10)
    page.get_by_role("searchbox", name="Find").fill("THIRD third")
    page.get_by_text("1,213 characters").click()
    expect(page.locator("#config-table pre").locator("visible=true")).to_be_in_viewport()
    page.get_by_role("searchbox", name="Find").fill("")
    expect(rows.locator("visible=true")).to_have_count(150)
    assert signed_in.problems == []


def test_a_run_is_ended_here_without_a_reload(signed_in: Watched, external: External) -> None:
    page = signed_in.open(external.page)

    page.locator("#run-cancel").click()
    dialog = page.get_by_role("dialog", name="End this run here")
    expect(dialog.get_by_text("trainhub cannot stop it:")).to_be_visible(timeout=LONG)
    dialog.get_by_role("button", name="End it here").click()

    expect(page.locator("#receipt")).to_contain_text("Nothing was stopped", timeout=LONG)
    expect(page.locator("#run-headline")).to_contain_text("cancelled")
    expect(page.locator("#run-story li").first).to_contain_text("Ended here on request.")
    assert signed_in.problems == []


@pytest.mark.parametrize("mount", ["/mlflow", "/mlflow/"])
def test_the_links_that_clients_print_lead_to_the_pages(signed_in: Watched, external: External, mount: str) -> None:
    page = signed_in.open(f"{mount}#/experiments/{external.project}/runs/{external.run}")
    expect(page).to_have_url(f"{external.hub.url}{external.page}", timeout=LONG)

    page = signed_in.open(f"{mount}#/experiments/{external.project}")
    expect(page).to_have_url(f"{external.hub.url}/ui/projects/{external.project}", timeout=LONG)


@pytest.mark.parametrize(
    "fragment",
    [
        "/experiments/0/runs///evil.example", "/experiments/0/runs/run_../../admin", "//evil.example",
        "javascript:alert(1)", "/experiments/proj_0123456789abcde%2f", "/models/a",
    ],
)  # fmt: skip
def test_no_other_link_leads_anywhere(signed_in: Watched, fragment: str) -> None:
    page = signed_in.open(f"/mlflow#{fragment}")

    expect(page.locator("#unknown-link")).to_be_visible()
    assert page.url.startswith(f"{signed_in.hub.url}/mlflow#")
    assert signed_in.problems == []


def test_who_is_not_signed_in_comes_to_the_run_after_signing_in(watched: Watched) -> None:
    page = watched.open("/mlflow#/experiments/proj_0123456789abcdef/runs/run_0123456789abcdef")

    expect(page).to_have_url(re.compile(r"/ui/sign-in\?next=/ui/runs/run_0123456789abcdef$"), timeout=LONG)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_of_external_runs_are_accessible_and_fit(
    signed_in: Watched, external: External, scheme: Literal["light", "dark"], width: int
) -> None:
    page = signed_in.page
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    project = f"/ui/projects/{external.project}"

    for path in (external.page, project, f"{project}/runs?parent={external.run}", "/ui/tokens", "/", "/mlflow"):
        signed_in.open(path)
        assert (path, page.evaluate("document.documentElement.scrollWidth - innerWidth")) == (path, 0)
        assert (path, signed_in.violations()) == (path, [])
