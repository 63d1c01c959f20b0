// How the reader wants the charts: kept for the next visit in this browser, and in the address to be shared.

const STORE = "trainhub.charts";
export const DEFAULTS = { x: "step", log: false, smoothing: 0, filter: "", zoom: null };
const KEPT = ["x", "log", "smoothing"]; // between visits; zoom and filter are about one run
const AXES = ["step", "relative", "time"];

/** What is stored, below what the address says. Anything that is not understood is left out. */
export function readOptions() {
  const query = new URLSearchParams(location.hash.slice(1));
  return { ...DEFAULTS, ...checked(stored()), ...checked(Object.fromEntries(query)) };
}

/** Keep the options; the address names those that differ from the default. */
export function keepOptions(options) {
  const query = new URLSearchParams();
  if (options.x !== DEFAULTS.x) query.set("x", options.x);
  if (options.log) query.set("log", "1");
  if (options.smoothing) query.set("smoothing", options.smoothing);
  if (options.filter) query.set("filter", options.filter);
  if (options.zoom) query.set("zoom", options.zoom.join(","));
  // The reader's place among the page's own anchors is not overwritten by nothing.
  if (String(query) || location.hash.includes("=")) history.replaceState(null, "", `${location.pathname}${location.search}${String(query) ? `#${query}` : ""}`);
  try { localStorage.setItem(STORE, JSON.stringify(Object.fromEntries(KEPT.map((name) => [name, options[name]])))); } catch { /* kept for this page only */ }
}

function stored() {
  try { return JSON.parse(localStorage.getItem(STORE)) ?? {}; } catch { return {}; }
}

function checked(given) {
  const found = {};
  if (AXES.includes(given.x)) found.x = given.x;
  if ("log" in given) found.log = given.log === true || given.log === "1";
  const smoothing = Number(given.smoothing ?? NaN);
  if (smoothing >= 0 && smoothing <= 0.99) found.smoothing = smoothing;
  if (typeof given.filter === "string") found.filter = given.filter;
  const zoom = typeof given.zoom === "string" ? given.zoom.split(",").map(Number) : [];
  if (zoom.length === 2 && zoom.every(Number.isFinite) && zoom[0] < zoom[1]) found.zoom = zoom;
  return found;
}

/** What names are matched against: a regular expression, or the text itself where it is none. */
export function matcher(text) {
  try { return new RegExp(text, "iu"); } catch { return new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "iu"); }
}
