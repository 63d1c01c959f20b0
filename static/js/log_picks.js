// Picking lines by their numbers: one with a click, a range with shift; the address then leads to them.

/** The range of the address: `#L10-L20`, or null. */
function fromAddress() {
  const found = /^#L(\d{1,16})-L(\d{1,16})$/.exec(location.hash);
  if (!found) return null;
  const [low, high] = [Number(found[1]), Number(found[2])].sort((a, b) => a - b);
  return { low, high };
}

const numberOf = (row) => Number(row.id.slice(5));

export class PickedLines {
  /** `view` is the LogWindow, `tools` the element with the buttons. */
  constructor(view, tools) {
    Object.assign(this, { view, tools, range: fromAddress(), anchor: null });
    view.area.addEventListener("click", (event) => this.pick(event));
    tools.querySelector("[data-do=copy]").addEventListener("click", () => this.copy());
    tools.querySelector("[data-do=drop]").addEventListener("click", () => this.drop());
    this.draw();
  }

  pick(event) {
    const link = event.target.closest(".at a");
    if (!link || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const line = numberOf(link.closest("tr"));
    const from = event.shiftKey && this.anchor !== null ? this.anchor : line;
    this.anchor = from;
    this.range = { low: Math.min(from, line), high: Math.max(from, line) };
    getSelection().removeAllRanges(); // shift and click also selects text
    this.write();
    this.draw();
  }

  drop() {
    this.range = this.anchor = null;
    this.write();
    this.draw();
    this.view.area.focus();
  }

  write() {
    const query = new URLSearchParams(this.view.query);
    if (this.range) query.set("line", this.range.low);
    const hash = !this.range ? "" : this.range.low === this.range.high ? `#line-${this.range.low}` : `#L${this.range.low}-L${this.range.high}`;
    history.replaceState(null, "", `${location.pathname}?${query}${hash}`);
  }

  draw() {
    for (const row of this.view.table.querySelectorAll("tr[id]")) {
      row.classList.toggle("picked", this.has(numberOf(row)));
      if (this.range) row.classList.remove("target");
    }
    this.tools.hidden = !this.range;
    if (!this.range) return;
    const count = this.range.high - this.range.low + 1;
    this.tools.querySelector("span").textContent = count === 1 ? `Line ${this.range.low}` : `Lines ${this.range.low} to ${this.range.high}`;
  }

  has(line) { return Boolean(this.range) && line >= this.range.low && line <= this.range.high; }

  /** Copy the text of the picked lines; without the right to write to the clipboard they are selected instead. */
  async copy() {
    const button = this.tools.querySelector("[data-do=copy]");
    const rows = [...this.view.table.querySelectorAll("tr.picked")];
    const isWhole = rows.length && numberOf(rows[0]) <= this.range.low && numberOf(rows.at(-1)) >= this.range.high;
    if (!isWhole) {
      button.textContent = "Scroll to the lines first";
      return;
    }
    const text = rows.map((row) => row.querySelector(".what > bdi").textContent).join("\n");
    try {
      await navigator.clipboard.writeText(`${text}\n`);
      button.textContent = "Copied";
    } catch {
      getSelection().setBaseAndExtent(rows[0], 0, rows.at(-1), rows.at(-1).childNodes.length);
      button.textContent = "Selected; press Ctrl C";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 3000);
  }
}
