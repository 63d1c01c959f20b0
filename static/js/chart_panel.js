// One panel of the run page: a figure with a chart of some metrics, their numbers in words, a table and a download.

import { makeChart } from "./chart.js";
import { describeX } from "./chart_axes.js";
import { embedded, filtered, goneOn, mergedSummary, summarize, withNewer } from "./chart_data.js";
import { withUnit } from "./numbers.js";
import { toCsv } from "./series.js";

const HEIGHT = 200; // px of a plot
const TABLE_ROWS = 500;
const DOWNLOADED = 10_000; // points of a metric in a CSV file, the most that the API gives at once

/** A metric in a panel. `whole` and `part` are columns of everything and of the zoomed range, null while not asked for. */
class Line {
  constructor({ key, label, newest, newestStep, low, high }) {
    this.key = key;
    this.label = label;
    this.summary = { newest, newestStep, low, lowStep: null, high, highStep: null };
    this.whole = null;
    this.part = null;
    this.seenUntil = 0; // ms since 1970: older points than this are here already
  }
}

export class Panel {
  /** `host` offers `options`, `rangeOf(axis)`, `zoom(range, panel)`, `ask(panel, points)` and `refresh()`. */
  constructor(template, described, host) {
    this.host = host;
    this.title = described.title;
    this.unit = described.unit;
    this.isSystem = described.isSystem;
    this.lines = described.lines.map((line) => new Line(line));
    this.figure = template.content.firstElementChild.cloneNode(true);
    this.part = (name) => this.figure.querySelector(name);
    this.part("bdi").textContent = this.title;
    this.part(".panel-table").setAttribute("aria-label", `Points of ${this.title}`);
    this.figure.classList.toggle("many", this.lines.length > 1);
    this.isSeen = false; // on the screen now
    this.asked = ""; // what was asked for last
    this.loaded = ""; // what was asked for when the points came
    this.chart = null;
    const acts = { table: ["Points as a table", () => this.toggleTable()], csv: ["Download as CSV", () => this.download()], full: ["Full screen", () => this.openFull()] };
    for (const [act, [words, run]] of Object.entries(acts)) {
      const button = this.part(`[data-act=${act}]`);
      button.title = words;
      button.setAttribute("aria-label", `${words}: ${this.title}`);
      button.addEventListener("click", run);
    }
    this.writeNumbers();
  }

  get keys() { return this.lines.map((line) => line.key); }

  /** What x is: the steps of what the runner measures count samples and say nothing, so those are over time. */
  get axis() { return this.isSystem && this.host.options.x === "step" ? "time" : this.host.options.x; }

  /** The zoomed range; it is of the axis that the reader chose. */
  get range() { return this.host.rangeOf(this.axis); }

  /** Points of each line to ask for: about one a pixel. */
  get points() { return Math.min(2000, Math.max(200, Math.round((this.part(".chart-area").clientWidth || 440) / 20) * 20)); }

  /** What has to be asked for, as text to compare. */
  get wanted() { return [this.axis, this.range ?? "", this.points].join(" "); }

  /** Take columns by key that were asked for as `wanted`. */
  take(found, wanted, range) {
    for (const line of this.lines.filter(({ key }) => found.has(key))) {
      const columns = found.get(line.key);
      if (range) line.part = columns;
      else { line.whole = columns; line.part = null; line.summary = summaryOf(columns, line.summary); }
    }
    this.loaded = wanted;
    this.draw();
  }

  /** Take what came since a time, without another question for the rest. */
  takeNewer(found, since) {
    const { axis, range } = this;
    for (const line of this.lines.filter(({ key }) => found.has(key))) {
      const newer = found.get(line.key);
      line.summary = mergedSummary(line.summary, summarize(newer));
      if (line.whole) line.whole = withNewer(line.whole, newer, since, axis);
      if (line.part && range) {
        const inside = filtered(newer, (place) => newer[axis][place] >= Math.floor(range[0]) && newer[axis][place] <= Math.ceil(range[1]));
        line.part = withNewer(line.part, inside, since, axis);
      }
    }
    this.draw();
  }

  /** Draw what is known now; what is on its way comes later. */
  draw() {
    const { axis, range, host: { options } } = this;
    this.shown = this.lines.map((line) => this.columns(line, range));
    if (!this.shown.some(Boolean)) return;
    const lines = this.lines.map((line, index) => drawn(line, this.shown[index], axis, index));
    const longest = this.shown.filter(Boolean).reduce((a, b) => (b.step.length > a.step.length ? b : a));
    const changes = { xAxis: axis, logScale: options.log, smoothing: options.smoothing, range, marks: goneOn(longest, axis), sync: `run ${axis}` };
    if (this.chart) {
      this.chart.setOptions(changes);
      this.chart.setLines(lines);
    } else {
      this.chart = makeChart(this.part(".chart-area"), {
        ...changes, lines, title: `Chart of ${this.title}`, unit: this.unit, height: HEIGHT, onZoom: (to) => this.host.zoom(to, this),
      });
    }
    this.writeNumbers();
    if (!this.part(".panel-table").hidden) this.writeTable();
  }

  columns(line, range) {
    if (!range) return line.whole;
    return line.part ? embedded(line.part, line.whole, range, this.axis) : line.whole;
  }

  /** Taken off the page, as another takes its place. */
  leave() {
    this.chart?.destroy();
    this.figure.remove();
  }

  /** Points along another axis have another order, and are asked for anew. */
  forget() {
    for (const line of this.lines) { line.whole = null; line.part = null; }
    this.loaded = this.asked = "";
  }

  // --- In words ------------------------------------------------------------------------------------
  writeNumbers() {
    const [first] = this.lines, show = (value) => (typeof value === "string" ? value : withUnit(value, this.unit));
    const lows = this.lines.map(({ summary }) => summary.low).filter((value) => value !== null);
    const highs = this.lines.map(({ summary }) => summary.high).filter((value) => value !== null);
    this.part(".newest").textContent = show(first.summary.newest);
    this.part(".extent").textContent = lows.length ? `min ${show(Math.min(...lows))} · max ${show(Math.max(...highs))}` : "";
    const at = (step) => (step === null || this.isSystem ? "" : ` at step ${step}`);
    this.part(".summary").textContent = this.lines.map(({ label, summary: { newest, newestStep, low, lowStep, high, highStep } }) =>
      `${label}: newest ${show(newest)}${at(newestStep)}, least ${show(low)}${at(lowStep)}, greatest ${show(high)}${at(highStep)}.`).join(" ");
  }

  toggleTable() {
    const table = this.part(".panel-table");
    table.hidden = !table.hidden;
    this.part(".chart-area").hidden = !table.hidden;
    this.part("[data-act=table]").setAttribute("aria-pressed", String(!table.hidden));
    if (!table.hidden) this.writeTable();
  }

  writeTable() {
    const rows = this.rows(), table = document.createElement("table"), head = table.createTHead().insertRow(), body = table.createTBody();
    table.className = "table";
    for (const name of ["Metric", "Step", "Time", "Value"]) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = name;
      head.append(cell);
    }
    for (const { label, step, time, value } of rows.slice(-TABLE_ROWS)) {
      const row = body.insertRow();
      for (const text of [label, step, describeX(time, "time"), typeof value === "string" ? value : withUnit(value, this.unit, 6)]) row.insertCell().textContent = text;
    }
    const caption = table.createCaption();
    caption.textContent = rows.length > TABLE_ROWS ? `The last ${TABLE_ROWS} of the ${rows.length} points drawn` : `${rows.length} points drawn`;
    this.part(".panel-table").replaceChildren(table);
  }

  /** What is in the range, as rows. */
  rows(shown = this.shown ?? []) {
    const { axis, range } = this;
    return this.lines.flatMap((line, index) => rowsOf(line, shown[index]).filter((row) => !range || (row[axis] >= range[0] && row[axis] <= range[1])));
  }

  async download() {
    const found = await this.host.ask(this, DOWNLOADED);
    if (!found) return;
    const rows = this.rows(this.lines.map((line) => found.get(line.key)));
    const cells = rows.map(({ key, step, time, value }) => [key, step, new Date(time).toISOString(), value]);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([toCsv([["metric", "step", "time", "value"], ...cells])], { type: "text/csv" }));
    link.download = `${this.title.replace(/[^\w.-]+/g, "-")}.csv`;
    link.click();
    URL.revokeObjectURL(link.href);
  }

  // --- Full screen ---------------------------------------------------------------------------------
  /** The figure itself moves into the dialog, and back to its place when that is closed. */
  openFull() {
    const dialog = document.getElementById("chart-full"), place = document.createElement("div");
    if (dialog.open) { dialog.close(); return; }
    place.className = "card panel";
    this.figure.replaceWith(place);
    dialog.append(this.figure);
    dialog.addEventListener("close", () => {
      place.replaceWith(this.figure);
      this.chart?.setOptions({ height: HEIGHT });
      this.part("[data-act=full]").focus();
      this.host.refresh();
    }, { once: true });
    dialog.showModal();
    this.chart?.setOptions({ height: Math.max(HEIGHT, innerHeight - 230) });
    this.host.refresh();
  }
}

function drawn(line, columns, axis, index) {
  const at = columns ?? { [axis]: [], value: [], special: new Map() };
  return { label: line.label, key: line.key, x: at[axis], y: at.value, special: Object.fromEntries(at.special), dash: index >= 8 };
}

/** Least and greatest are exact, as thinning keeps them. A history that was removed says less than the list. */
function summaryOf(columns, known) {
  return columns.step.length ? summarize(columns) : known;
}

function rowsOf(line, columns) {
  if (!columns) return [];
  return columns.step.map((step, place) => ({
    key: line.key, label: line.label, step, time: columns.time[place], relative: columns.relative[place],
    value: columns.special.get(place) ?? columns.value[place],
  }));
}
