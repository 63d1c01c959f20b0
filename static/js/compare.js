// The charts of a comparison: a panel for each metric, a line for each run, one legend and one view for all.
//
// The server wrote the panels and the legend; a panel asks for its points when it is seen. The view (x, log, smooth)
// stands in the address, so that a shared link shows the same.

import { makeChart } from "./chart.js";
import { describeX } from "./chart_axes.js";
import { addWindow } from "./chart_data.js";
import { withUnit } from "./numbers.js";
import { nearest } from "./series.js";

const POINTS = 600; // of a line: about one for every pixel of a panel
const LIVE_MS = 10_000; // between looks for new points of runs that still train
const MAX_VALUES = 12; // beside the cursor
const AXES = ["step", "relative", "time"];

const charts = document.getElementById("charts");
const form = document.getElementById("chart-view");
const copy = document.getElementById("copy-link");
const runs = Array.from(document.querySelectorAll("#legend li"), (item) => ({ ...item.dataset, item, isHidden: false }));
const ranges = { step: null, relative: null, time: null }; // what is zoomed to, for each kind of x
const view = readView();

function readView() {
  const query = new URLSearchParams(location.search), smooth = Number(query.get("smooth"));
  return {
    x: AXES.includes(query.get("x")) ? query.get("x") : "step",
    smoothing: smooth > 0 && smooth < 1 ? smooth : 0,
    logScale: query.get("log") === "1",
  };
}

/** The address with the view in it, as far as it is not the usual one. */
function withView(address) {
  const url = new URL(address, location.href);
  for (const [name, value] of [["x", view.x === "step" ? "" : view.x], ["smooth", view.smoothing || ""], ["log", view.logScale ? "1" : ""]]) {
    if (value) url.searchParams.set(name, value); else url.searchParams.delete(name);
  }
  return url.href;
}

class Panel {
  constructor(element) {
    this.element = element;
    this.metric = element.dataset.metric;
    this.unit = element.dataset.unit;
    this.isSeen = false;
    this.isStale = true;
    this.note = element.appendChild(document.createElement("p"));
    this.note.className = "empty-note";
    this.note.textContent = "Loading…";
    this.place = element.appendChild(document.createElement("div"));
    this.values = element.appendChild(document.createElement("ul"));
    this.values.className = "compare-values";
    this.values.hidden = true;
    this.place.addEventListener("mousemove", (event) => this.#showValues(event));
    this.place.addEventListener("mouseleave", () => { this.values.hidden = true; });
  }

  /** Samples of a machine are counted from 0 in each attempt: they only mean something over time. */
  get axis() {
    return this.element.dataset.system && view.x === "step" ? "relative" : view.x;
  }

  /** Show what the view and the legend say, and ask for points when those at hand are others. */
  async refresh({ isStale = false } = {}) {
    this.isStale ||= isStale;
    this.chart?.setOptions({ range: ranges[this.axis], logScale: view.logScale, smoothing: view.smoothing });
    if (!this.isSeen || !this.isStale) return;
    this.isStale = false;
    this.waiting?.abort();
    this.waiting = new AbortController();
    try {
      const answer = await fetch(this.#address(), { signal: this.waiting.signal, headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      this.#draw(await answer.json());
    } catch (error) {
      if (error.name === "AbortError") return;
      this.isStale = true; // tried again when it is seen again, or at the next change of the view
      this.#say("The points could not be loaded.");
    }
  }

  #address() {
    const query = new URLSearchParams({ key: this.metric, points: POINTS, x: this.axis });
    for (const run of runs) query.append("run", run.run);
    const range = ranges[this.axis];
    if (range) addWindow(query, this.axis, range);
    return `${charts.dataset.source}?${query}`;
  }

  #draw({ x, runs: answers }) {
    if (x !== this.axis) return; // an answer to an earlier question
    const lines = runs.filter((run) => answers[run.run]?.series[this.metric]).map((run) => {
      const series = answers[run.run].series[this.metric];
      return {
        label: run.label, key: this.metric, run: run.run, x: series[x], y: series.value, special: series.special,
        colour: run.colour, dash: Boolean(run.dash), hidden: run.isHidden,
      };
    });
    const removed = runs.filter((run) => answers[run.run]?.removed_at).length;
    this.#say(!lines.length ? "No points here." : removed ? `The history of ${removed} of the runs was removed.` : "");
    this.chart ??= makeChart(this.place, {
      title: `${this.metric} of ${runs.length} runs`, unit: this.unit, legend: false, height: 220, lines: [], xAxis: x,
      onZoom: (range) => zoom(this.axis, range),
    });
    this.chart.setOptions({
      lines, xAxis: x, range: ranges[x], logScale: view.logScale, smoothing: view.smoothing, sync: `compare-${x}`,
    });
    this.place.hidden = !lines.length;
    this.values.hidden = true; // they were of other points
  }

  /** Show or hide the lines as the legend has it. */
  toggle() {
    const hidden = new Map(runs.map((run) => [run.run, run.isHidden]));
    this.chart?.setOptions({ lines: this.chart.options.lines.map((line) => ({ ...line, hidden: hidden.get(line.run) })) });
  }

  #say(text) {
    this.note.textContent = text;
    this.note.hidden = !text;
  }

  /** The values at the pointer, greatest first, beside it. */
  #showValues(event) {
    const left = this.chart?.uplot?.cursor.left ?? -1;
    this.values.hidden = left < 0;
    if (left < 0) return;
    const at = this.chart.uplot.posToVal(left, "x");
    const near = this.chart.options.lines.filter((line) => !line.hidden && line.x.length).map((line) => ({ line, place: nearest(line.x, at) }));
    near.sort((a, b) => (b.line.y[b.place] ?? -Infinity) - (a.line.y[a.place] ?? -Infinity));
    const title = document.createElement("li");
    title.textContent = describeX(Math.round(at), this.axis);
    this.values.replaceChildren(title, ...near.slice(0, MAX_VALUES).map(({ line, place }) => this.#valueItem(line, place)));
    const box = this.element.getBoundingClientRect(), isLeft = event.clientX - box.left > box.width / 2;
    this.values.style.left = isLeft ? "" : `${event.clientX - box.left + 14}px`;
    this.values.style.right = isLeft ? `${box.right - event.clientX + 14}px` : "";
  }

  #valueItem(line, place) {
    const item = document.createElement("li"), swatch = document.createElement("span"), name = document.createElement("bdi");
    const value = document.createElement("b");
    swatch.className = line.dash ? "swatch dashed" : "swatch";
    swatch.style.borderTopColor = line.colour;
    name.textContent = line.label;
    value.textContent = line.special?.[place] ?? withUnit(line.y[place], this.unit, 5);
    item.append(swatch, name, value);
    return item;
  }
}

const panels = Array.from(charts.querySelectorAll(".compare-panel"), (element) => new Panel(element));

function zoom(axis, range) {
  ranges[axis] = range;
  form.elements.all.disabled = !AXES.some((one) => ranges[one]);
  for (const panel of panels) if (panel.axis === axis) panel.refresh({ isStale: true });
}

function drawWhenSeen() {
  const byElement = new Map(panels.map((panel) => [panel.element, panel]));
  const watch = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const panel = byElement.get(target);
      panel.isSeen = isIntersecting;
      if (isIntersecting) panel.refresh();
    }
  }, { rootMargin: "200px" });
  for (const panel of panels) watch.observe(panel.element);
}

/** The names of the legend become buttons that switch a run on and off in all panels. */
function makeLegend() {
  for (const run of runs) {
    const button = document.createElement("button");
    button.type = "button";
    button.title = "Show or hide this run in all charts";
    button.setAttribute("aria-pressed", "true");
    button.append(...run.item.childNodes);
    button.addEventListener("click", () => {
      run.isHidden = !run.isHidden;
      button.setAttribute("aria-pressed", String(!run.isHidden));
      for (const panel of panels) panel.toggle();
    });
    run.item.replaceChildren(button);
  }
}

function showView() {
  form.elements.x.value = view.x;
  form.elements.log.checked = view.logScale;
  form.elements.smooth.value = view.smoothing;
  form.elements["smooth-value"].value = view.smoothing;
}

function watchView() {
  showView();
  form.hidden = false;
  form.elements.all.disabled = true;
  form.elements.all.addEventListener("click", () => { for (const axis of AXES) if (ranges[axis]) zoom(axis, null); });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => {
    const isOtherX = view.x !== form.elements.x.value;
    Object.assign(view, { x: form.elements.x.value, logScale: form.elements.log.checked, smoothing: Number(form.elements.smooth.value) });
    showView();
    keepView();
    for (const panel of panels) panel.refresh({ isStale: isOtherX });
  });
}

/** The address, and the links to other comparisons, take the view along. */
function keepView() {
  history.replaceState(null, "", withView(location.href));
  for (const link of document.querySelectorAll("#table a[href*='?']")) link.href = withView(link.href);
}

async function copyLink() {
  const address = withView(copy.dataset.path), said = document.getElementById("copied");
  try {
    await navigator.clipboard.writeText(address);
    said.textContent = "Link copied";
  } catch { // not a secure page, or not allowed: the address bar has it
    history.replaceState(null, "", address);
    said.textContent = "Copy it from the address bar";
  }
}

if (copy) {
  copy.hidden = false;
  copy.addEventListener("click", copyLink);
}
charts.hidden = false;
makeLegend();
if (panels.length) {
  watchView();
  if (location.search.match(/[?&](x|log|smooth)=/)) keepView();
  drawWhenSeen();
}
if (charts.dataset.live) {
  setInterval(() => {
    if (document.hidden) return;
    for (const panel of panels) if (!ranges[panel.axis]) panel.refresh({ isStale: true });
  }, LIVE_MS);
}
