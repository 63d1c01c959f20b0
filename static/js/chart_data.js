// Points of a run's metrics: asked for in few requests, kept as columns, joined with what is newer.
//
// Columns: {step, time, relative, value, attempt, run, special}, arrays of one length in the order of the chart;
// `special` is a Map from places to the names of values that are no numbers.

const KEYS_AT_ONCE = 10; // of one request: few requests, and the first of them is answered soon
const NAMES = ["step", "time", "relative", "value", "attempt", "run"];

/** Asks the API for series of one run. */
export class MetricSource {
  constructor(path, isStitched) {
    this.path = path;
    this.isStitched = isStitched;
  }

  /**
   * Ask for some metrics, `done(columns by key)` for each answer as it comes.
   *
   * `wanted`: {axis: "step", "time" or "relative", points of each, range: [from, to] or null, since: ms since 1970,
   * atOnce: metrics of a request}.
   */
  async load(keys, wanted, done) {
    const some = [], size = wanted.atOnce ?? KEYS_AT_ONCE;
    for (let start = 0; start < keys.length; start += size) some.push(keys.slice(start, start + size));
    await Promise.all(some.map(async (part) => {
      const answer = await this.ask(part, wanted);
      done(new Map(part.map((key) => [key, columnsOf(answer.series[key], wanted.axis)])));
    }));
  }

  async ask(keys, wanted) {
    const response = await fetch(`${this.path}?${this.query(keys, wanted)}`, { headers: { Accept: "application/json" } });
    if (!response.ok) throw new Error(`The hub answered ${response.status}`);
    return response.json();
  }

  query(keys, { axis, range, since, points }) {
    const query = new URLSearchParams(keys.map((key) => ["key", key]));
    query.set("points", points);
    // Ordered by time is ordered by relative time, which has both columns.
    query.set("x", axis === "step" ? "step" : "relative");
    if (this.isStitched) query.set("stitched", "true");
    if (since) query.set("start_time", new Date(since).toISOString());
    if (range) addWindow(query, axis, range);
    return query;
  }
}

const FAR = Number.MAX_SAFE_INTEGER - 1;
const LIMITS = { step: [-FAR, FAR], relative: [-FAR, FAR], time: [0, Date.UTC(9999, 11, 31)] };

/** The whole steps or ms of a range, as far as the API knows any. */
export function bounded(axis, [from, to]) {
  const [first, last] = LIMITS[axis];
  return [Math.max(Math.floor(from), first), Math.min(Math.ceil(to), last)];
}

/** Add the parameters that ask for a range of an axis alone. */
export function addWindow(query, axis, range) {
  const [low, high] = bounded(axis, range);
  if (axis === "time") {
    query.set("start_time", new Date(low).toISOString());
    query.set("end_time", new Date(high + 1).toISOString());
  } else {
    query.set(axis === "step" ? "first_step" : "start_relative", low);
    query.set(axis === "step" ? "last_step" : "end_relative", axis === "step" ? high : high + 1);
  }
}

/** Columns of a series as the API shows it, ascending along the axis; of none, empty ones. */
export function columnsOf(series, axis) {
  const count = series?.step.length ?? 0;
  const found = { special: new Map(Object.entries(series?.special ?? {}).map(([place, name]) => [Number(place), name])) };
  for (const name of NAMES) found[name] = series?.[name] ?? new Array(count).fill(0);
  return isAscending(found[axis]) ? found : picked(found, ascending(found[axis]));
}

const isAscending = (xs) => xs.every((x, place) => !place || xs[place - 1] <= x);
const ascending = (xs) => Array.from(xs.keys()).sort((a, b) => xs[a] - xs[b] || a - b);

/** The points at some places. */
function picked(columns, places) {
  const found = { special: new Map() };
  for (const name of NAMES) found[name] = places.map((place) => columns[name][place]);
  places.forEach((place, index) => { if (columns.special.has(place)) found.special.set(index, columns.special.get(place)); });
  return found;
}

/** The points for which `keeps(place)` is true. */
export function filtered(columns, keeps) {
  return picked(columns, Array.from(columns.step.keys()).filter(keeps));
}

/** All points of some columns, ascending along the axis. */
export function joined(parts, axis) {
  const all = { special: new Map() };
  for (const name of NAMES) all[name] = parts.flatMap((part) => part[name]);
  let before = 0;
  for (const part of parts) {
    for (const [place, name] of part.special) all.special.set(before + place, name);
    before += part.step.length;
  }
  return isAscending(all[axis]) ? all : picked(all, ascending(all[axis]));
}

/** Columns in which everything since a time (ms since 1970) is replaced by `newer`. */
export function withNewer(columns, newer, since, axis) {
  return joined([filtered(columns, (place) => columns.time[place] < since), newer], axis);
}

/** A zoomed part between what is known of the rest, so that lines reach the edges. */
export function embedded(part, whole, [from, to], axis) {
  if (!whole) return part;
  const xs = whole[axis], low = Math.floor(from), high = Math.ceil(to);
  return joined([filtered(whole, (place) => xs[place] < low), part, filtered(whole, (place) => xs[place] > high)], axis);
}

/** Newest, least and greatest value and their steps; null where there is no number. */
export function summarize(columns) {
  const found = { newest: null, newestStep: null, low: null, lowStep: null, high: null, highStep: null };
  let newestTime = -Infinity;
  columns.value.forEach((value, place) => {
    if (columns.time[place] >= newestTime) {
      newestTime = columns.time[place];
      found.newest = columns.special.get(place) ?? value;
      found.newestStep = columns.step[place];
    }
    if (value === null) return;
    if (found.low === null || value < found.low) { found.low = value; found.lowStep = columns.step[place]; }
    if (found.high === null || value > found.high) { found.high = value; found.highStep = columns.step[place]; }
  });
  return found;
}

/** A summary brought up to date with that of newer points. */
export function mergedSummary(known, newer) {
  const merged = { ...known };
  if (newer.newestStep !== null) { merged.newest = newer.newest; merged.newestStep = newer.newestStep; }
  if (newer.low !== null && !(known.low <= newer.low && known.low !== null)) { merged.low = newer.low; merged.lowStep = newer.lowStep; }
  if (newer.high !== null && !(known.high >= newer.high && known.high !== null)) { merged.high = newer.high; merged.highStep = newer.highStep; }
  return merged;
}

/** Where another attempt or run went on, as marks of a chart. */
export function goneOn(columns, axis) {
  const marks = [];
  for (let place = 1; place < columns.step.length; place += 1) {
    const isRun = columns.run[place] !== columns.run[place - 1];
    if (isRun || columns.attempt[place] !== columns.attempt[place - 1]) {
      marks.push({ x: columns[axis][place], label: isRun ? "resumed" : "restarted" });
    }
  }
  return marks.length > 20 ? [] : marks; // attempts that overlap would be a fence, not marks
}
