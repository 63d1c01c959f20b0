// The lines that are on the page at the moment: a few neighbouring pages of the log, one <tbody> each, of any height.
//
// A log of ten million lines is higher than any browser can scroll. So the area scrolls over what is loaded alone, and
// more is loaded before its ends are reached; a slider at its side stands for the whole. Rows come from the server as
// it draws them without a script, so that colours, folds and marks are made in one place, and escaped there.

import { localiseTimes } from "./log_times.js";

const MOST_LOADED = 8; // pages; more would make the browser slow
const MOST_KEPT = 40; // pages that were seen, in memory
const AHEAD = 1.5; // screens of lines that are ready in both directions

export class LogWindow {
  /** `area` scrolls and holds the table with the first page; `changed` is called when other lines are there. */
  constructor(area, changed) {
    this.area = area;
    this.table = area.querySelector("table");
    this.changed = changed;
    this.query = new URLSearchParams(location.search);
    for (const name of ["page", "line", "find", "time"]) this.query.delete(name);
    this.size = Number(this.query.get("page_size")) || 200;
    this.kept = new Map();
    this.loading = null;
    this.jumps = 0;
    const body = this.table.tBodies[0];
    this.note(body);
    this.prepare(body);
    this.separate();
    area.addEventListener("scroll", () => this.fill(), { passive: true });
  }

  get bodies() { return [...this.table.tBodies]; }
  get first() { return Number(this.table.tBodies[0].dataset.page); }
  get last() { return Number(this.bodies.at(-1).dataset.page); }
  get lastOfAll() { return Math.max(1, Math.ceil(this.total / this.size)); }
  get isAtEnd() { return this.last >= this.lastOfAll && this.area.scrollHeight - this.area.scrollTop - this.area.clientHeight < 30; }

  /** Ask for a page; `parameters` beside the filters. */
  async ask(parameters) {
    const query = new URLSearchParams(this.query);
    for (const [name, value] of Object.entries(parameters)) query.set(name, value);
    const response = await fetch(`${this.area.dataset.rows}?${query}`);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const body = page.querySelector("tbody[data-page]");
    if (!response.ok || !body) throw new Error(`no lines came: ${response.status}`);
    this.note(body);
    return this.prepare(document.adoptNode(body));
  }

  note(body) {
    this.total = Number(body.dataset.total);
    this.lines = Number(body.dataset.lines);
    this.hasEnded = "ended" in body.dataset;
  }

  prepare(body) {
    localiseTimes(body);
    return body;
  }

  async page(number) {
    const known = this.bodies.find((body) => Number(body.dataset.page) === number) || this.kept.get(number);
    return known || this.ask({ page: number });
  }

  keep(body) {
    body.remove();
    if (body.rows.length < this.size / 4 || Number(body.dataset.page) >= this.lastOfAll) return; // it may still grow
    this.kept.set(Number(body.dataset.page), body);
    if (this.kept.size > MOST_KEPT) this.kept.delete(this.kept.keys().next().value);
  }

  /** Load what lies around, one page at a time. */
  async fill() {
    this.changed();
    if (this.loading) return;
    const { area } = this;
    const room = area.clientHeight * AHEAD;
    let number = null;
    if (this.last < this.lastOfAll && area.scrollHeight - area.scrollTop - area.clientHeight < room) number = this.last + 1;
    else if (this.first > 1 && area.scrollTop < room) number = this.first - 1;
    if (number === null) return;
    const jump = this.jumps;
    try {
      this.loading = this.page(number);
      const body = await this.loading;
      if (jump === this.jumps) this.insert(body);
      this.changed(null);
    } catch (error) {
      this.changed(error);
      return; // the next scrolling tries again
    } finally {
      this.loading = null;
    }
    this.fill();
  }

  /** Put a page before or behind the others, without moving what is looked at. */
  insert(body) {
    const number = Number(body.dataset.page);
    if (number !== this.first - 1 && number !== this.last + 1) return; // meanwhile something else was shown, or this was
    const { area, table } = this;
    const isBefore = number < this.first;
    const fromEnd = area.scrollHeight - area.scrollTop;
    if (isBefore) {
      table.insertBefore(body, table.tBodies[0]);
      this.separate();
      area.scrollTop = area.scrollHeight - fromEnd;
      if (table.tBodies.length > MOST_LOADED) this.keep(this.bodies.at(-1));
      return;
    }
    table.append(body);
    this.separate();
    if (table.tBodies.length > MOST_LOADED) {
      const before = area.scrollHeight;
      this.keep(table.tBodies[0]);
      this.separate();
      area.scrollTop -= before - area.scrollHeight;
    }
  }

  /** Show one page and nothing else yet; neighbours follow. */
  show(body, scroll) {
    this.jumps += 1;
    for (const other of this.bodies) if (other !== body) this.keep(other);
    if (!body.isConnected) this.table.append(body);
    this.separate();
    scroll(body);
    this.fill();
  }

  /** Go to a place, 0 to the total, counted in lines that fit the filters. */
  async goTo(place) {
    const jump = ++this.jumps;
    const number = Math.min(Math.max(1, Math.floor(place / this.size) + 1), this.lastOfAll);
    const body = await this.page(number);
    if (jump !== this.jumps) return; // another jump came after this one
    const share = (place - (number - 1) * this.size) / this.size;
    this.show(body, () => { this.area.scrollTop = body.offsetTop + body.offsetHeight * share; });
  }

  async goToEnd() {
    const jump = ++this.jumps;
    const body = await this.ask({ page: this.lastOfAll });
    if (jump !== this.jumps) return;
    const old = this.bodies.find((other) => other.dataset.page === body.dataset.page);
    if (old) old.replaceWith(body);
    else if (this.last + 1 === Number(body.dataset.page)) this.insert(body);
    else return this.show(body, () => this.scrollToEnd());
    this.separate();
    this.scrollToEnd();
    if (Number(body.dataset.page) < this.lastOfAll) return this.goToEnd(); // it grew beyond a page meanwhile
  }

  scrollToEnd() { this.area.scrollTop = this.area.scrollHeight; }

  /** The place in the whole of the line at the top of the area. */
  get place() {
    const top = this.area.scrollTop;
    const body = this.bodies.find((one) => one.offsetTop + one.offsetHeight > top) || this.bodies.at(-1);
    const share = Math.min(1, Math.max(0, (top - body.offsetTop) / Math.max(1, body.offsetHeight)));
    const count = Number(body.dataset.page) < this.lastOfAll ? this.size : this.total - (this.lastOfAll - 1) * this.size;
    return Math.floor((Number(body.dataset.page) - 1) * this.size + share * count);
  }

  /** The row at the top of the area. */
  get topRow() {
    const top = this.area.getBoundingClientRect().top + 4;
    for (const body of this.bodies) {
      if (body.getBoundingClientRect().bottom <= top) continue;
      for (const row of body.rows) if (row.id && row.getBoundingClientRect().bottom > top) return row;
    }
    return null;
  }

  /** Days and attempts are named where they begin, not anew on each page. */
  separate() {
    let before = null;
    for (const body of this.bodies) {
      const day = body.querySelector("tr.day");
      const attempt = body.querySelector("tr[data-attempt]");
      if (day && day === leading(body, "day")) day.hidden = Boolean(before) && before.dataset.lastDay === body.dataset.firstDay;
      if (attempt && attempt === body.rows[0]) attempt.hidden = Boolean(before) && before.dataset.attempt === attempt.dataset.attempt;
      before = body;
    }
  }
}

/** The row of a kind among those before the first line. */
function leading(body, kind) {
  for (const row of body.rows) {
    if (row.id) return null;
    if (row.classList.contains(kind)) return row;
  }
  return null;
}
