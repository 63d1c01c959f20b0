// One chart: lines over a shared x, drawn by uPlot (a classic script that the page loads before this module).
//
//   const chart = makeChart(element, options);   // fills `element`; its width is the element's
//   chart.setLines(lines);                       // other points; zoom and cursor stay
//   chart.setOptions({logScale: true});          // any of the options but `lines`
//   chart.destroy();                             // takes everything out of the element again
//
// Options, all but `lines` may be left out:
//   title      what the chart shows, for those who hear the page
//   lines      [{label, key, run, x, y, colour, dash, hidden, special}]
//                x: ascending numbers (steps, or ms); y: as many numbers, null for a gap
//                colour: 1 to 8 for --th-line-1 … --th-line-8 (by its place when left out), or any CSS colour
//                dash: true for a dashed line; hidden: true when the legend has it switched off
//                special: {index: "NaN"} names the values that are no numbers; each is marked at the upper edge
//   xAxis      "step", "time" (x is ms since 1970 UTC, shown in the reader's zone) or "relative" (x is ms)
//   logScale   y is logarithmic; values of 0 and below are gaps then
//   smoothing  0 to 0.99: draws an exponential moving average over the faint line; what it weighs is about the range shown
//   unit       "percent" (of 0 to 1), "bytes", another unit's sign, or ""
//   range      [from, to] on x; null for all
//   marks      [{x, label}]: vertical lines, such as where a run was resumed
//   height     px
//   legend     false: none, as where one legend stands for several charts
//   sync       a name: cursors of all charts of that name move together
//   onZoom     ([from, to] or null for all) => void. Without it the chart zooms itself.
//
// Mouse: drag zooms, shift and drag moves, a double click shows all. Keys: ← → move, + − zoom, 0 shows all.

import { describeX, extentOf, firstDigit, lengthsOfTime, timeLabels, wholeSteps } from "./chart_axes.js";
import { duration, shortNumber, withUnit } from "./numbers.js";
import { align, nearest, smooth } from "./series.js";

const DEFAULTS = {
  title: "", lines: [], xAxis: "step", logScale: false, smoothing: 0, unit: "", range: null, marks: [], height: 200, legend: true,
  sync: "", onZoom: null,
};
const FONT = '11px system-ui, "Segoe UI", "DejaVu Sans", sans-serif';
const COLOURS = 8;
const AXIS_WIDTH = 58; // px, the same for all, so that charts below each other line up
const cssValue = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colourOf = (line, index) => (typeof line.colour === "string" ? line.colour : `var(--th-line-${line.colour ?? (index % COLOURS) + 1})`);
/** What a canvas understands: variables are looked up as they are now, light or dark. */
const resolved = (colour) => (colour.startsWith("var(") ? cssValue(colour.slice(4, -1)) : colour);

class Chart {
  constructor(element, options) {
    this.element = element;
    this.options = { ...DEFAULTS, ...options };
    this.plot = document.createElement("div");
    this.plot.className = "chart-plot";
    this.plot.tabIndex = 0;
    this.plot.setAttribute("role", "group");
    this.plot.addEventListener("keydown", (event) => this.#onKey(event));
    this.legend = document.createElement("ul");
    this.legend.className = "chart-legend";
    element.append(this.plot, this.legend);
    this.onTheme = () => this.#rebuild();
    document.addEventListener("theme", this.onTheme);
    this.sizes = new ResizeObserver(() => this.#resize());
    this.sizes.observe(this.plot);
    this.#rebuild();
  }

  /** Show other points. */
  setLines(lines) {
    const isSameShape = lines.length === this.options.lines.length
      && lines.every((line, index) => this.options.lines[index].label === line.label && this.options.lines[index].colour === line.colour);
    if (isSameShape) lines.forEach((line, index) => { line.hidden ??= this.options.lines[index].hidden; });
    this.options.lines = lines;
    if (isSameShape && this.uplot) this.#update();
    else this.#rebuild();
  }

  /** Change some options. */
  setOptions(changes) {
    const names = Object.keys(changes).filter((name) => changes[name] !== this.options[name]);
    Object.assign(this.options, changes);
    if (!names.length) return;
    if (!this.uplot || names.some((name) => name !== "range" && name !== "marks")) this.#rebuild();
    else this.#update();
  }

  destroy() {
    document.removeEventListener("theme", this.onTheme);
    this.sizes.disconnect();
    this.uplot?.destroy();
    this.plot.remove();
    this.legend.remove();
  }

  /** The range on x that is shown, [from, to]; null while there is nothing. */
  get shownRange() {
    const { min, max } = this.uplot?.scales.x ?? {};
    return Number.isFinite(min) && Number.isFinite(max) ? [min, max] : null;
  }

  /** Zoom to [from, to], or show all with null; tells `onZoom` when there is one. */
  zoom(range) {
    if (this.options.onZoom) this.options.onZoom(range);
    else this.setOptions({ range });
  }

  /** Move by a share of what is shown: −0.2 is a fifth to the left. */
  move(share) {
    const shown = this.shownRange;
    if (shown) this.zoom(shown.map((x) => x + (shown[1] - shown[0]) * share));
  }

  /** Show a share of what is shown around its middle: 0.5 zooms in, 2 out. */
  scale(share) {
    const shown = this.shownRange;
    if (!shown) return;
    const middle = (shown[0] + shown[1]) / 2, half = ((shown[1] - shown[0]) / 2) * share;
    this.zoom([middle - half, middle + half]);
  }

  // --- Drawing -------------------------------------------------------------------------------------
  #prepare() {
    const { lines, smoothing, logScale } = this.options;
    const drawn = (y) => (logScale ? Array.from(y, (value) => (value > 0 ? value : null)) : y);
    const raw = lines.map((line) => ({ x: line.x, y: drawn(line.y) }));
    const [from, to] = this.options.range ?? extentOf(lines);
    this.smoothed = lines.map((line) => (smoothing > 0 ? smooth(line.y, smoothing, line.x, to - from) : null));
    const over = smoothing > 0 ? lines.map((line, index) => ({ x: line.x, y: drawn(this.smoothed[index]) })) : [];
    this.data = lines.length ? align([...raw, ...over]) : [[]];
  }

  /** Other points or another range; all else stays, the cursor as well. */
  #update() {
    this.#prepare();
    this.uplot.batch(() => {
      this.uplot.setData(this.data, false);
      this.#applyRange();
    });
    this.#showValues();
  }

  #rebuild() {
    this.uplot?.destroy();
    this.uplot = null;
    this.#prepare();
    this.plot.setAttribute("aria-label", `${this.options.title}. Arrow keys move, plus and minus zoom, 0 shows all.`);
    this.plot.style.height = `${this.options.height}px`;
    this.#drawLegend();
    const width = this.plot.clientWidth;
    if (!width) return; // not laid out yet: drawn at the first resize
    this.uplot = new uPlot(this.#settings(width), this.data, this.plot);
    this.#applyRange();
  }

  #resize() {
    const { clientWidth: width, clientHeight: height } = this.plot;
    if (!width) return;
    if (!this.uplot) this.#rebuild();
    else if (width !== this.uplot.width || height !== this.uplot.height) this.uplot.setSize({ width, height });
  }

  #applyRange() {
    const xs = this.data[0];
    let [min, max] = this.options.range ?? [xs[0], xs.at(-1)];
    if (min === undefined) return;
    if (min === max) { min -= 0.5; max += 0.5; } // a single point stands in the middle
    this.uplot.setScale("x", { min, max });
  }

  #settings(width) {
    const { options } = this;
    return {
      width,
      height: this.plot.clientHeight || options.height,
      legend: { show: false },
      padding: [10, 12, 0, 0],
      ms: 1,
      scales: { x: { time: options.xAxis === "time", auto: false }, y: { distr: options.logScale ? 3 : 1, range: this.#rangeOfY() } },
      axes: [this.#axisOfX(), this.#axisOfY()],
      series: [{}, ...this.#seriesOf()],
      cursor: this.#cursor(),
      hooks: {
        draw: [(u) => this.#drawMarks(u), (u) => this.#drawSpecial(u)],
        setCursor: [() => this.#showValues()],
        setSelect: [(u) => this.#onSelect(u)],
      },
    };
  }

  #seriesOf() {
    const { lines, smoothing } = this.options;
    const series = lines.map((line, index) => ({
      label: line.label,
      show: !line.hidden,
      stroke: resolved(colourOf(line, index)),
      width: smoothing > 0 ? 1 : 1.75,
      alpha: smoothing > 0 ? 0.3 : 1,
      dash: line.dash ? [6, 4] : undefined,
      points: { size: 5 },
    }));
    if (!(smoothing > 0)) return series;
    return [...series, ...series.map((one) => ({ ...one, width: 2, alpha: 1, points: { show: false } }))];
  }

  #rangeOfY() {
    const { unit, logScale } = this.options;
    if (logScale) return (u, low, high) => (low > 0 ? [firstDigit(low, Math.floor), firstDigit(high, Math.ceil, low)] : [1, 10]);
    if (unit === "percent") return (u, low, high) => [Math.min(0, low ?? 0), Math.max(1, high ?? 1)];
    if (unit === "bytes") return (u, low, high) => [Math.min(0, low ?? 0), (high || 1) * 1.08];
    return undefined;
  }

  #axis() {
    const line = cssValue("--th-line");
    return { stroke: cssValue("--th-soft"), font: FONT, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1, size: 4 }, gap: 4 };
  }

  #axisOfX() {
    const { xAxis } = this.options;
    const axis = { ...this.#axis(), size: xAxis === "time" ? 38 : 26, space: xAxis === "step" ? 60 : 84 };
    if (xAxis === "step") return { ...axis, incrs: wholeSteps(), values: (u, splits) => splits.map((x) => shortNumber(x, 6)) };
    if (xAxis === "relative") return { ...axis, incrs: lengthsOfTime, values: (u, splits) => splits.map(duration) };
    return { ...axis, values: (u, splits, place, space, incr) => timeLabels(splits, incr) };
  }

  #axisOfY() {
    const { unit } = this.options;
    return { ...this.#axis(), size: AXIS_WIDTH, space: 34, values: (u, splits) => splits.map((y) => (y === null ? "" : withUnit(y, unit, 5))) };
  }

  #drawMarks(u) {
    for (const { x, label } of this.options.marks) {
      const at = u.valToPos(x, "x", true);
      if (!(at >= u.bbox.left && at <= u.bbox.left + u.bbox.width)) continue;
      const { ctx, bbox } = u;
      ctx.save();
      ctx.strokeStyle = ctx.fillStyle = cssValue("--th-soft");
      ctx.lineWidth = devicePixelRatio;
      ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
      ctx.beginPath();
      ctx.moveTo(at, bbox.top);
      ctx.lineTo(at, bbox.top + bbox.height);
      ctx.stroke();
      ctx.font = FONT.replace("11px", `${11 * devicePixelRatio}px`);
      const isRoomRight = at + ctx.measureText(label).width + 8 * devicePixelRatio < bbox.left + bbox.width;
      ctx.textAlign = isRoomRight ? "left" : "right";
      ctx.textBaseline = "top";
      ctx.fillText(label, at + (isRoomRight ? 4 : -4) * devicePixelRatio, bbox.top + 2 * devicePixelRatio);
      ctx.restore();
    }
  }

  /** A cross at the upper edge for each value that is no number: a gap alone would be overlooked. */
  #drawSpecial(u) {
    const { ctx, bbox } = u, size = 3 * devicePixelRatio;
    this.options.lines.forEach((line, index) => {
      if (!line.special || line.hidden) return;
      ctx.save();
      ctx.strokeStyle = resolved(colourOf(line, index));
      ctx.lineWidth = 1.5 * devicePixelRatio;
      for (const place of Object.keys(line.special)) {
        const at = u.valToPos(line.x[place], "x", true), top = bbox.top + size;
        if (!(at >= bbox.left && at <= bbox.left + bbox.width)) continue;
        ctx.beginPath();
        ctx.moveTo(at - size, top - size);
        ctx.lineTo(at + size, top + size);
        ctx.moveTo(at + size, top - size);
        ctx.lineTo(at - size, top + size);
        ctx.stroke();
      }
      ctx.restore();
    });
  }

  // --- Cursor, zoom --------------------------------------------------------------------------------
  #cursor() {
    const { sync } = this.options;
    const isPointing = (type) => type === "mousemove" || type === "mouseleave";
    return {
      y: false,
      drag: { x: true, y: false, setScale: false, dist: 4 },
      points: { size: 7 },
      ...(sync ? { sync: { key: sync, filters: { pub: isPointing, sub: isPointing } } } : {}),
      bind: {
        mousedown: (u, target, handler) => (event) => (event.shiftKey && event.button === 0 ? this.#pan(u, event) : handler(event)),
        dblclick: () => () => this.zoom(null),
      },
    };
  }

  #onSelect(u) {
    const { left, width } = u.select;
    if (width <= 0) return;
    const range = [u.posToVal(left, "x"), u.posToVal(left + width, "x")];
    u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    this.zoom(range);
  }

  /** Follows the pointer at once, and asks for the points of where it was let go. */
  #pan(u, down) {
    down.preventDefault();
    const { min, max } = u.scales.x, unit = (max - min) / u.over.clientWidth;
    const moved = (event) => [min, max].map((x) => x - (event.clientX - down.clientX) * unit);
    const onMove = (event) => { const [from, to] = moved(event); u.setScale("x", { min: from, max: to }); };
    const onUp = (event) => {
      document.removeEventListener("mousemove", onMove);
      if (event.clientX !== down.clientX) this.zoom(moved(event));
    };
    document.addEventListener("mousemove", onMove);
    document.addEventListener("mouseup", onUp, { once: true });
  }

  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const acts = {
      ArrowLeft: () => this.move(-0.2), ArrowRight: () => this.move(0.2), "+": () => this.scale(0.5), "=": () => this.scale(0.5),
      "-": () => this.scale(2), 0: () => this.zoom(null),
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  }

  // --- Legend --------------------------------------------------------------------------------------
  #drawLegend() {
    this.legend.hidden = !this.options.legend;
    if (!this.options.legend) return;
    const items = this.options.lines.map((line, index) => {
      const item = document.createElement("li"), button = document.createElement("button"), swatch = document.createElement("span");
      const label = document.createElement("bdi"), value = document.createElement("span");
      button.type = "button";
      button.setAttribute("aria-pressed", String(!line.hidden));
      button.title = "Show or hide this line";
      swatch.className = line.dash ? "swatch dashed" : "swatch";
      swatch.style.borderTopColor = colourOf(line, index);
      label.textContent = line.label;
      value.className = "value number";
      button.append(swatch, label);
      button.addEventListener("click", () => this.#toggle(index));
      item.append(button, value);
      return item;
    });
    this.at = document.createElement("li");
    this.at.className = "at number";
    this.legend.replaceChildren(...items, this.at);
    this.#showValues();
  }

  #toggle(index) {
    const { lines } = this.options, show = Boolean(lines[index].hidden);
    lines[index].hidden = !show;
    this.legend.children[index].firstChild.setAttribute("aria-pressed", String(show));
    this.uplot?.setSeries(index + 1, { show });
    if (this.options.smoothing > 0) this.uplot?.setSeries(index + 1 + lines.length, { show });
  }

  /** Values at the cursor; without one the newest. */
  #showValues() {
    const { lines, unit, legend, xAxis } = this.options;
    if (!legend) return;
    const left = this.uplot?.cursor.left ?? -1;
    const x = left >= 0 ? this.uplot.posToVal(left, "x") : null;
    lines.forEach((line, index) => {
      const place = x === null ? line.x.length - 1 : nearest(line.x, x), cell = this.legend.children[index].lastChild;
      if (place < 0) { cell.textContent = ""; return; }
      const value = line.special?.[place] ?? withUnit(line.y[place], unit);
      cell.textContent = this.smoothed[index] ? `${withUnit(this.smoothed[index][place], unit)} (${value})` : value;
    });
    const place = x === null ? -1 : nearest(this.data[0], x);
    this.at.textContent = place < 0 ? "" : describeX(this.data[0][place], xAxis);
  }
}

/** Draw a chart into an element; see the head of this file. */
export function makeChart(element, options) {
  return new Chart(element, options);
}
