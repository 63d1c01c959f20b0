"""Measures the pages: `make bench-pages`. Server time with a full database; weight and charts in a real browser.

It fills a database (10,000 runs, a log of 10,000,000 lines, 100 metrics of 1,000,000 points each), starts a hub on it
as `make up` does, and asks for every kind of page: over plain HTTP for the server's time, in headless Chromium for
what is transferred and for when the run's page can be used. What it made is removed at the end unless --data names a
folder.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from benchmarks.databases import SQLITE
from benchmarks.filled import filled, say
from benchmarks.hub import Hub
from benchmarks.load import Load, Sender, measure_elsewhere
from benchmarks.report import Report
from benchmarks.telemetry import started

SERVER_LIMIT_MS, FIRST_LIMIT_KB, LATER_LIMIT_KB, USABLE_LIMIT_S = 60.0, 300.0, 60.0, 1.5
CHART_LIBRARY = re.compile(r"/vendor/uPlot\.")  # counted apart, as the aim does
SETTLE_MS = 1500  # after the load event, so that what a page asks for by script is counted
_CELL_SECONDS = 20.0
BROWSER_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
# Usable: every chart in view is drawn, and the main thread had time for something else.
_USABLE = """
() => new Promise((resolve, reject) => {
  const look = () => {
    if (performance.now() > 30000) { reject(new Error("no chart was drawn")); return; }
    const panels = [...document.querySelectorAll("figure.panel")];
    const seen = panels.filter((one) => one.getBoundingClientRect().top < innerHeight);
    const isDrawn = seen.length && seen.every((one) => one.querySelector("canvas"));
    if (isDrawn) requestIdleCallback(() => resolve(performance.now()), { timeout: 5000 });
    else requestAnimationFrame(look);
  };
  look();
})
"""


@dataclass(frozen=True)
class Scale:
    """How much is filled and how often is asked."""

    runs: int = 10_000
    lines: int = 10_000_000
    metrics: int = 100
    points: int = 1_000_000
    requests: int = 100
    visits: int = 5


FULL = Scale()
SMALL = Scale(runs=300, lines=5_000, metrics=12, points=2_000, requests=5, visits=1)


@dataclass
class Visit:
    """Bytes over the wire during one visit of a page: of the chart library, and of everything else."""

    library: float = 0.0
    other: float = 0.0
    urls: dict[str, str] = field(default_factory=dict)

    def note_response(self, event: dict[str, Any]) -> None:
        """Remember whose bytes come."""
        self.urls[event["requestId"]] = event["response"]["url"]

    def note_end(self, event: dict[str, Any]) -> None:
        """Count what came, headers included; nothing comes for what the browser still had."""
        if CHART_LIBRARY.search(self.urls.get(event["requestId"], "")):
            self.library += event["encodedDataLength"]
        else:
            self.other += event["encodedDataLength"]


def fill(hub: Hub, scale: Scale) -> dict[str, Any]:
    """Fill the database; return where what was filled is found."""
    many = filled(hub, "runs", count=scale.runs, metrics=20)
    log = filled(hub, "lines", count=scale.lines)
    charts = filled(hub, "metrics", metrics=scale.metrics, count=scale.points)
    return {"project": many["project"], "log": log["run"], "charts": charts["run"]}


def page_paths(hub: Hub, places: dict[str, Any]) -> dict[str, str]:
    """Return every kind of page with its path."""
    log, charts = (f"/ui/runs/{places[name].rpartition('/')[2]}" for name in ("log", "charts"))
    project = f"/ui/projects/{places['project']}"
    newest = [run["id"] for run in hub.must("GET", "/runs?page_size=5")["items"]]
    total = hub.must("GET", f"{places['log']}/logs?page_size=1")["total"]
    return {
        "home": "/",
        "projects": "/ui/projects",
        "project": project,
        "launch": f"{project}/launch",
        "members": f"{project}/members",
        "runs": "/ui/runs",
        "runs, ordered by a metric": "/ui/runs?order=metrics.loss",
        "run with many metrics": charts,
        "run with a long log": log,
        "timeline": f"{log}/timeline",
        "artifacts": f"{log}/artifacts",
        "log, first page": f"{log}/log",
        "log, middle": f"{log}/log?page={total // 400}",
        "compare five runs": f"/ui/compare?{urlencode([('run', run) for run in newest])}",
        "tokens": "/ui/tokens",
    }


def sign_in(hub: Hub) -> str:
    """Return the Cookie header of a signed-in operator."""
    link = urlsplit(hub.python("manage.py", "signinlink").strip())
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=30)
    connection.request("GET", f"{link.path}?{link.query}")
    cookies = connection.getresponse().headers.get_all("Set-Cookie") or []
    connection.close()
    return "; ".join(cookie.partition(";")[0] for cookie in cookies)


def measure_server(report: Report, hub: Hub, paths: dict[str, str], scale: Scale) -> None:
    """Ask for every page on one kept connection."""
    headers = {"Cookie": sign_in(hub), "Accept": "text/html"}
    loads = [
        Load(hub.port, path, [Sender()], _CELL_SECONDS, scale.requests, expect="</html>", headers=headers)
        for path in paths.values()
    ]
    for name, figures in zip(paths, measure_elsewhere(*loads), strict=True):
        report.add(f"{name}, p50", "ms", [figures.p50_ms], at_most=SERVER_LIMIT_MS)
        report.add_part("p99", "ms", [figures.p99_ms])


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, headless. Raises: RuntimeError without it."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise RuntimeError("Chromium is not installed (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=BROWSER_ARGUMENTS)
        yield browser
        browser.close()


def visit(page: Page, url: str) -> Visit:
    """Open a page and count what comes over the wire."""
    seen, session = Visit(), page.context.new_cdp_session(page)
    session.on("Network.responseReceived", seen.note_response)
    session.on("Network.loadingFinished", seen.note_end)
    session.send("Network.enable")
    page.goto(url, wait_until="load")
    page.wait_for_timeout(SETTLE_MS)
    session.detach()
    return seen


def measure_weight(report: Report, browser: Browser, hub: Hub, paths: dict[str, str]) -> None:
    """Visit every page with an empty cache, and once more."""
    state = signed_in_state(browser, hub)
    for name, path in paths.items():
        context = browser.new_context(storage_state=state, viewport={"width": 1440, "height": 900})
        first, later = (visit(context.new_page(), f"http://127.0.0.1:{hub.port}{path}") for _ in range(2))
        context.close()
        report.add(f"{name}, first visit", "kB", [first.other / 1000], at_most=FIRST_LIMIT_KB)
        report.add_part("chart library", "kB", [first.library / 1000])
        report.add(f"{name}, later visit", "kB", [(later.other + later.library) / 1000], at_most=LATER_LIMIT_KB)


def signed_in_state(browser: Browser, hub: Hub) -> Any:
    """Return the cookies of a signed-in operator as Playwright takes them."""
    context: BrowserContext = browser.new_context()
    context.new_page().goto(hub.python("manage.py", "signinlink").strip())
    state = context.storage_state()
    context.close()
    return state


def measure_usable(report: Report, browser: Browser, hub: Hub, path: str, visits: int) -> None:
    """Measure from the start of the navigation until the charts in view are drawn and the page reacts."""
    state, seconds = signed_in_state(browser, hub), []
    for _ in range(visits):
        context = browser.new_context(storage_state=state, viewport={"width": 1440, "height": 900})
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{hub.port}{path}", wait_until="load")
        seconds.append(page.evaluate(_USABLE) / 1000)
        context.close()
    report.add("run with many metrics, usable, empty cache", "s", seconds, at_most=USABLE_LIMIT_S)


def measure(report: Report, scale: Scale, folder: Path | None) -> None:
    """Fill, start, measure."""
    with Hub(SQLITE, folder) as hub:
        hub.prepare()
        places = fill(hub, scale)
        with started(hub), chromium() as browser:
            paths = page_paths(hub, places)
            say("server time")
            measure_server(report, hub, paths, scale)
            say("weight")
            measure_weight(report, browser, hub, paths)
            say("charts")
            measure_usable(report, browser, hub, paths["run with many metrics"], scale.visits)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print. A missed aim is no error; a wrong answer is."""
    parser = argparse.ArgumentParser(prog="make bench-pages", description=__doc__)
    parser.add_argument("--small", action="store_true", help="a small database: only to see it work")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="keep the filled database there, use it again")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all samples to FILE")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    report = Report(server="pages")
    try:
        measure(report, SMALL if options.small else FULL, options.data.absolute() if options.data else None)
    finally:
        print(report.table())
        if options.json:
            options.json.write_text(json.dumps(report.as_json(), indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
