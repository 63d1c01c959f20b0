// Following a log that grows: new lines are looked for, shown while the end is in sight, and counted otherwise.

const EVERY_MS = 2000;
const grouped = new Intl.NumberFormat("en");

export class Follower {
  /** `view` is the LogWindow; `resume` the button that leads back to the end; `told` hears of the log's end. */
  constructor(view, { resume, told, failed }) {
    Object.assign(this, { view, resume, told, failed, isFollowing: false, seen: view.total });
    if (view.hasEnded) return;
    resume.addEventListener("click", () => this.start());
    view.area.addEventListener("scroll", () => this.follow(view.isAtEnd), { passive: true });
    this.timer = setInterval(() => { if (!document.hidden) this.look(); }, EVERY_MS);
  }

  async start() {
    this.follow(true);
    await this.view.goToEnd();
    this.draw();
  }

  follow(isFollowing) {
    if (this.isFollowing !== isFollowing) this.seen = this.view.total;
    this.isFollowing = isFollowing;
    this.draw();
  }

  async look() {
    const selection = getSelection();
    const isReading = !selection.isCollapsed && this.view.area.contains(selection.anchorNode);
    try {
      if (this.isFollowing && !isReading) await this.view.goToEnd();
      else await this.view.ask({ page: this.view.lastOfAll });
      this.failed(false);
    } catch {
      this.failed(true);
      return;
    }
    if (this.view.hasEnded) {
      clearInterval(this.timer);
      this.told();
    }
    this.draw();
  }

  draw() {
    const missed = this.isFollowing ? 0 : this.view.total - this.seen;
    const isPaused = !this.isFollowing && (missed > 0 || !this.view.hasEnded);
    this.resume.hidden = !isPaused;
    this.resume.textContent = missed > 0 ? `Paused – ${grouped.format(missed)} new line${missed === 1 ? "" : "s"}: Resume` : "Paused: Resume";
    this.view.area.parentElement.classList.toggle("is-following", this.isFollowing && !this.view.hasEnded);
  }
}
