// The charts of a run's page: a panel for each group of metrics, drawn when it is seen, and kept up to date.
//
// What there is to draw is read from the table of newest values (#metric-list), which the server groups by panel.

import { bounded, MetricSource } from "./chart_data.js";
import { DEFAULTS, keepOptions, matcher, readOptions } from "./chart_options.js";
import { Panel } from "./chart_panel.js";

const POLL_MS = 3000;
const LIST_EVERY = 4; // polls: the list tells which metrics are new and whether the run has ended
const WHOLE_EVERY = 20; // polls: everything is asked for anew, which finds points that came late or were undone
const OVERLAP_MS = 10_000; // of a poll with the one before: points of several processes arrive out of order
const NEWER_POINTS = 1000;

class Charts {
  constructor(root) {
    this.root = root;
    this.list = document.getElementById("metric-list");
    this.source = new MetricSource(root.dataset.api, "stitched" in root.dataset);
    this.options = readOptions();
    this.otherZoom = null; // of what the runner measures, while the others are along steps
    this.panels = [];
    this.sections = new Map();
    this.polls = 0;
    this.observer = new IntersectionObserver((entries) => this.#onSeen(entries), { rootMargin: "150px" });
    this.stale = document.getElementById("stale");
    document.getElementById("all-metrics").open = false;
    this.#readList();
    this.#wireTools();
    this.#showTools();
    this.#schedule();
  }

  // --- Panels --------------------------------------------------------------------------------------
  /** Make the panels that are not there yet; one that gets more lines is made anew. */
  #readList() {
    const described = readPanels(this.list), before = new Map(this.panels.map((panel) => [panel.id, panel]));
    this.panels = described.map((one) => before.get(one.id) ?? this.#makePanel(one));
    for (const panel of before.values()) if (!this.panels.includes(panel)) panel.leave();
    for (const panel of this.panels) this.#section(panel.section).append(panel.figure);
    document.getElementById("chart-tools").hidden = !this.panels.length;
    this.#filter();
  }

  #makePanel(described) {
    const panel = new Panel(document.getElementById("panel-template"), described, this);
    Object.assign(panel, { id: described.id, section: described.section });
    this.observer.observe(panel.figure);
    return panel;
  }

  #section(name) {
    if (!this.sections.has(name)) {
      const section = document.getElementById("section-template").content.firstElementChild.cloneNode(true);
      section.querySelector("h3").textContent = name;
      document.getElementById("chart-sections").append(section);
      this.sections.set(name, section);
    }
    return this.sections.get(name).querySelector(".chart-grid");
  }

  #onSeen(entries) {
    for (const { target, isIntersecting } of entries) {
      const panel = this.panels.find(({ figure }) => figure === target);
      if (panel) panel.isSeen = isIntersecting;
    }
    this.refresh();
  }

  #filter() {
    const pattern = matcher(this.options.filter), matches = (panel) => [panel.title, ...panel.keys].some((name) => pattern.test(name));
    for (const panel of this.panels) panel.figure.hidden = !matches(panel);
    const shown = this.panels.filter(({ figure }) => !figure.hidden);
    for (const [name, section] of this.sections) {
      const count = shown.filter((panel) => panel.section === name).length;
      section.hidden = !count;
      section.querySelector("summary span").textContent = count;
    }
    const all = this.panels.length, charts = all === 1 ? "chart" : "charts";
    document.getElementById("chart-count").textContent = shown.length === all ? (all ? `${all} ${charts}` : "") : `${shown.length} of ${all} ${charts}`;
  }

  // --- Points --------------------------------------------------------------------------------------
  rangeOf(axis) { return axis === this.options.x ? this.options.zoom : this.otherZoom; }

  get seen() { return this.panels.filter((panel) => panel.isSeen && !panel.figure.hidden); }

  /** Ask for what is seen and not here, soon: whatever else is called for in this moment goes along. */
  refresh() {
    if (this.isDue) return;
    this.isDue = true;
    queueMicrotask(() => { this.isDue = false; this.#load(); });
  }

  #load() {
    const due = this.seen.filter((panel) => panel.loaded !== panel.wanted && panel.asked !== panel.wanted);
    for (const wanted of new Set(due.map((panel) => panel.wanted))) {
      const panels = due.filter((panel) => panel.wanted === wanted);
      for (const panel of panels) panel.asked = wanted;
      this.#loadAlike(panels, wanted);
    }
  }

  /** Ask for panels that want the same window of points. */
  async #loadAlike(panels, wanted) {
    const [{ axis, range, points }] = panels;
    const done = (found) => {
      const now = newestTime(found);
      for (const panel of panels.filter((one) => one.asked === wanted && one.keys.some((key) => found.has(key)))) {
        panel.take(found, wanted, range);
        for (const line of panel.lines) if (found.has(line.key)) line.seenUntil = now;
      }
    };
    try {
      await this.source.load(panels.flatMap((panel) => panel.keys), { axis, range, points }, done);
      this.#tellStale(false);
    } catch {
      for (const panel of panels) if (panel.asked === wanted) panel.asked = "";
      this.#tellStale(true);
      this.#schedule();
    }
  }

  /** The points of one panel for another use, as columns by key; null when the hub does not answer. */
  async ask(panel, points) {
    const found = new Map();
    try {
      await this.source.load(panel.keys, { axis: panel.axis, range: panel.range, points }, (some) => some.forEach((columns, key) => found.set(key, columns)));
      return found;
    } catch {
      this.#tellStale(true);
      return null;
    }
  }

  // --- Live ----------------------------------------------------------------------------------------
  get isEnded() { return "ended" in this.list.dataset; }

  #schedule() {
    clearTimeout(this.timer);
    if (this.isEnded && !this.isStale) return;
    this.timer = setTimeout(() => this.#poll(), POLL_MS);
  }

  async #poll() {
    if (!document.hidden) {
      const wasEnded = this.isEnded;
      try {
        this.polls += 1;
        if (this.polls % LIST_EVERY === 1 || !this.panels.length) await this.#pollList();
        // The last points come with the end, whatever was asked for before.
        if (this.polls % WHOLE_EVERY === 0 || (this.isEnded && !wasEnded)) for (const panel of this.panels) { panel.loaded = ""; panel.asked = ""; }
        else if (!this.isEnded) await this.#pollPoints();
        this.#tellStale(false);
        this.refresh();
      } catch {
        this.#tellStale(true);
      }
    }
    this.#schedule();
  }

  async #pollList() {
    const response = await fetch(this.root.dataset.list, { headers: { Accept: "text/html" } });
    if (!response.ok || response.redirected) throw new Error("The list of metrics cannot be read");
    const list = new DOMParser().parseFromString(await response.text(), "text/html").getElementById("metric-list");
    this.list.replaceWith(list);
    this.list = list;
    this.#readList();
  }

  /** One question for all that is seen: what came since they were last asked for. */
  async #pollPoints() {
    const panels = this.seen.filter((panel) => panel.loaded === panel.wanted);
    const lines = panels.flatMap((panel) => panel.lines).slice(0, 100);
    if (!lines.length) return;
    const since = Math.max(1, Math.min(...lines.map((line) => line.seenUntil)) - OVERLAP_MS);
    const axis = panels.some((panel) => panel.axis === "step") ? "step" : "relative";
    const answer = new Map();
    await this.source.load(lines.map(({ key }) => key), { axis, since, points: NEWER_POINTS, atOnce: 100 }, (found) => found.forEach((columns, key) => answer.set(key, columns)));
    const now = newestTime(answer);
    for (const panel of panels) {
      if (panel.loaded !== panel.wanted) continue; // the reader chose otherwise meanwhile
      panel.takeNewer(answer, since);
      for (const line of panel.lines) if (answer.has(line.key)) line.seenUntil = Math.max(line.seenUntil, now);
    }
  }

  #tellStale(isStale) {
    this.isStale = isStale;
    if (this.stale) this.stale.hidden = !isStale;
  }

  // --- Tools ---------------------------------------------------------------------------------------
  #wireTools() {
    const form = document.getElementById("chart-tools"), set = (changes) => this.set(changes);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.elements.filter.addEventListener("input", (event) => set({ filter: event.target.value }));
    form.elements.x.addEventListener("change", (event) => set({ x: event.target.value, zoom: null }));
    form.elements.log.addEventListener("change", (event) => set({ log: event.target.checked }));
    form.elements.smoothing.addEventListener("input", (event) => set({ smoothing: Number(event.target.value) }));
    const acts = {
      left: () => this.#step(-0.25, 1), right: () => this.#step(0.25, 1), in: () => this.#step(0, 0.5), out: () => this.#step(0, 2),
      all: () => { this.otherZoom = null; set({ zoom: null }); }, reset: () => { this.otherZoom = null; set(DEFAULTS); },
    };
    form.addEventListener("click", (event) => acts[event.target.closest("[data-act]")?.dataset.act]?.());
    window.addEventListener("hashchange", () => { if (location.hash.includes("=")) this.set({ ...DEFAULTS, ...readOptions() }); });
    document.addEventListener("visibilitychange", () => { if (!document.hidden && !this.isEnded) { clearTimeout(this.timer); this.#poll(); } });
  }

  #showTools() {
    const { elements } = document.getElementById("chart-tools"), { options } = this;
    if (elements.filter.value !== options.filter) elements.filter.value = options.filter;
    elements.x.value = options.x;
    elements.log.checked = options.log;
    elements.smoothing.value = options.smoothing;
    document.getElementById("chart-weight").textContent = options.smoothing;
    const tool = (act) => this.root.querySelector(`#chart-tools [data-act=${act}]`);
    tool("all").disabled = !options.zoom && !this.otherZoom;
    tool("reset").disabled = Object.keys(DEFAULTS).every((name) => options[name] === DEFAULTS[name]) && !this.otherZoom;
  }

  /** Change options, draw at once what is here, and ask for the rest. */
  set(changes) {
    const before = this.options;
    this.options = { ...before, ...changes };
    if (this.options.x !== before.x) {
      this.otherZoom = null;
      for (const panel of this.panels) panel.forget();
    }
    this.#filter();
    this.#redraw();
  }

  /** Zoom all charts along the axis of the one that was used. */
  zoom(chosen, panel) {
    const range = chosen && bounded(panel.axis, chosen);
    if (panel.axis === this.options.x) this.options = { ...this.options, zoom: range };
    else this.otherZoom = range;
    this.#redraw();
  }

  #redraw() {
    this.#showTools();
    keepOptions(this.options);
    for (const panel of this.seen) panel.draw();
    this.refresh();
  }

  /** Move or scale the range of all charts; from everything when nothing is zoomed. */
  #step(share, scale) {
    const used = this.panels.filter((panel) => panel.axis === this.options.x);
    const shown = used.map((panel) => panel.chart?.shownRange).filter(Boolean);
    if (!shown.length) return;
    const from = Math.min(...shown.map(([low]) => low)), to = Math.max(...shown.map(([, high]) => high)), half = ((to - from) / 2) * scale;
    const middle = (from + to) / 2 + (to - from) * share;
    this.set({ zoom: bounded(this.options.x, [middle - half, middle + half]) });
  }
}

/** What the table of newest values says of each panel. */
function readPanels(list) {
  return Array.from(list.querySelectorAll("tbody[data-title]"), (body) => {
    const { section, title, unit } = body.dataset;
    const lines = Array.from(body.rows, (row) => {
      const [key, newest, step, low, high] = Array.from(row.cells, (cell) => cell.textContent);
      return { key, label: row.dataset.label ?? key, newest: numberOr(newest), newestStep: Number(step), low: finite(low), high: finite(high) };
    });
    return { id: JSON.stringify([section, title, lines.map(({ key }) => key)]), section, title, unit, isSystem: "system" in body.dataset, lines };
  });
}

const finite = (text) => (Number.isFinite(Number.parseFloat(text)) ? Number(text) : null);
const numberOr = (text) => finite(text) ?? text;
const newestTime = (found) => Math.max(0, ...Array.from(found.values(), ({ time }) => time.reduce((a, b) => Math.max(a, b), 0)));

const root = document.getElementById("charts");
if (root) new Charts(root);
