// Next and previous match over the whole log, without loading the page anew. A long way is gone step by step.

const grouped = new Intl.NumberFormat("en");

export class Matches {
  /** `view` is the LogWindow; `current` gives the line to start from; `say` shows a sentence, "" takes it away. */
  constructor(view, { current, say }) {
    Object.assign(this, { view, current, say, turn: 0 });
    this.links = { next: document.getElementById("match-next"), previous: document.getElementById("match-previous") };
    for (const [direction, link] of Object.entries(this.links)) {
      link?.addEventListener("click", (event) => { event.preventDefault(); this.find(direction); });
    }
  }

  get isThere() { return Boolean(this.links.next); }

  stop() { this.turn += 1; }

  async find(direction) {
    const turn = ++this.turn;
    let line = this.current();
    for (;;) {
      let body;
      try {
        body = await this.view.ask(line === null ? { find: direction } : { find: direction, line });
      } catch {
        this.say("The search could not go on. Try again.");
        return;
      }
      if (turn !== this.turn) { this.say("Stopped."); return; }
      const { look } = body.dataset;
      if (look === undefined) { this.show(body); return; }
      if (look === "") { this.say(direction === "next" ? "No other match up to the end of the log." : "No other match back to the beginning of the log."); return; }
      line = Number(look);
      this.say(`No match ${direction === "next" ? "up" : "back"} to line ${grouped.format(line)} yet. Looking on; Esc stops.`);
    }
  }

  show(body) {
    const line = body.dataset.target;
    this.view.table.querySelector("tr.target")?.classList.remove("target");
    this.view.show(body, () => (body.querySelector(`[id="line-${line}"]`) || body).scrollIntoView({ block: "center" }));
    this.say("");
    const query = new URLSearchParams(this.view.query);
    query.set("line", line);
    history.replaceState(null, "", `${location.pathname}?${query}#line-${line}`);
    const { match, matches } = body.dataset;
    const count = document.getElementById("match-place");
    if (count && matches) count.textContent = match ? `${match} of ${matches} matches` : `${matches} matches`;
  }
}
