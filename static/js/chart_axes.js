// Axes of charts: where their ticks stand, and what is written there.

import { duration } from "./numbers.js";

const MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 10e3, 15e3, 30e3]; // steps of a time axis, in ms
const MINUTES = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 7200, 14400, 43200, 144000, 525600].map((m) => m * 60e3);
const DAY = 86_400_000;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const seconds = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** Distances of ticks on an axis of time, in ms. */
export const lengthsOfTime = [...MS, ...MINUTES];

/** A place on x in words: "step 1200", a time in the reader's zone, or how long after the start. */
export function describeX(x, xAxis) {
  if (xAxis === "time") return moment.format(x);
  return xAxis === "relative" ? duration(x) : `step ${x}`;
}

/** The least and the greatest x of some lines. */
export function extentOf(lines) {
  const ends = lines.filter(({ x }) => x.length).flatMap(({ x }) => [x[0], x[x.length - 1]]);
  return ends.length ? [Math.min(...ends), Math.max(...ends)] : [0, 0];
}

/** A number with one digit, 0.0432 as 0.04 or 0.05, so that a logarithmic axis begins and ends at a tick; above `least`. */
export function firstDigit(value, round, least = 0) {
  const power = 10 ** Math.floor(Math.log10(value));
  const found = Number((round(Number((value / power).toPrecision(12))) * power).toPrecision(1));
  return found > least ? found : found + power;
}

/** Increments for steps: 1, 2, 5, 10 …, never parts of one. */
export function wholeSteps() {
  const found = [];
  for (let power = 1; power < 1e18; power *= 10) found.push(power, 2 * power, 5 * power);
  return found;
}

/** Times of an axis: the day where it begins, else as exact as the ticks are close. */
export function timeLabels(splits, incr) {
  let before = null;
  return splits.map((at) => {
    const date = day.format(at), isNewDay = date !== before;
    before = date;
    if (incr >= DAY) return date;
    const time = incr < 60_000 ? seconds.format(at) : clock.format(at);
    return isNewDay ? `${time}\n${date}` : time;
  });
}
