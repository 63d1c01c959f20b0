// What charts compute from points. A series has columns `x` (ascending) and `y`; null in `y` is a gap.

const VIEW = 500; // units of a chart's width: a point that follows one of them later is smoothed with the weight itself

/**
 * The values smoothed by an exponential moving average, of as many points; gaps stay gaps and weigh nothing.
 *
 * `weight`, 0 to below 1, is what the past weighs one 500th of `extent` (how much of x is shown) later, and less the
 * longer ago it is: a line with few points is smoothed over as much of x as one with many. Without `extent` every
 * point weighs the same. The start is corrected (as Adam does), so that it is not pulled to 0.
 */
export function smooth(values, weight, xs = null, extent = 0) {
  if (!(weight > 0)) return Array.from(values);
  let sum = 0, share = 0, before = null;
  return Array.from(values, (value, place) => {
    if (value === null || value === undefined || !Number.isFinite(value)) return value === undefined ? undefined : null;
    const passed = before === null || !(extent > 0) ? 1 : ((xs[place] - before) / extent) * VIEW;
    const past = weight ** passed;
    before = xs ? xs[place] : 0;
    sum = past * sum + (1 - weight) * value;
    share = past * share + (1 - weight);
    return sum / share;
  });
}

/**
 * Columns on one shared x for uPlot: [x, y of the first, y of the second, …].
 *
 * Null is a gap in a line; undefined is where a line has no point at all and is drawn through.
 */
export function align(lines) {
  if (lines.length === 1) return [Array.from(lines[0].x), Array.from(lines[0].y)];
  const xs = new Set();
  for (const line of lines) for (const x of line.x) xs.add(x);
  const shared = Array.from(xs).sort((a, b) => a - b);
  const place = new Map(shared.map((x, index) => [x, index]));
  const columns = lines.map((line) => {
    const column = new Array(shared.length).fill(undefined);
    line.y.forEach((y, index) => { column[place.get(line.x[index])] = y; });
    return column;
  });
  return [shared, ...columns];
}

/** The index of the point nearest to `x`; -1 when there is none. */
export function nearest(xs, x) {
  if (!xs.length) return -1;
  let low = 0, high = xs.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) low = middle; else high = middle;
  }
  return Math.abs(xs[low] - x) <= Math.abs(xs[high] - x) ? low : high;
}

/** A cell of a CSV file that no spreadsheet takes for a formula. Numbers stay numbers. */
export function csvCell(value) {
  if (typeof value === "number") return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Rows of cells as CSV text. */
export const toCsv = (rows) => rows.map((row) => row.map(csvCell).join(",")).join("\r\n") + "\r\n";
