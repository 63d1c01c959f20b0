// The page of a log: scrolls over all lines, follows it while it grows, finds, picks and jumps. Without this script the
// same page works by links and forms.

import { Follower } from "./log_follow.js";
import { Matches } from "./log_matches.js";
import { PickedLines } from "./log_picks.js";
import { showUtcOnHover, zone } from "./log_times.js";
import { LogWindow } from "./log_window.js";

const grouped = new Intl.NumberFormat("en");
const ROW_PX = 24; // about the height of a line, for j and k
const byId = (id) => document.getElementById(id);
const notices = byId("log-notices");

/** Show a sentence above the lines; "" takes it away. */
function say(text) {
  notices.replaceChildren();
  if (!text) return;
  const line = document.createElement("p");
  line.className = "alert";
  line.textContent = text;
  notices.append(line);
}

/** The slider beside the lines stands for the whole log. */
function connectSlider(view) {
  const slider = byId("log-place");
  const hint = byId("log-hint");
  let waiting = null;
  let isHeld = false;
  const draw = () => {
    byId("log-empty")?.toggleAttribute("hidden", view.total > 0);
    slider.max = Math.max(0, view.total - 1);
    slider.hidden = view.area.scrollHeight <= view.area.clientHeight && view.lastOfAll === 1;
    if (!isHeld) slider.value = view.isAtEnd ? slider.max : view.place;
    slider.setAttribute("aria-valuetext", `line ${grouped.format(Number(slider.value) + 1)} of ${grouped.format(view.total)}`);
  };
  slider.addEventListener("input", () => {
    isHeld = true;
    hint.hidden = false;
    hint.textContent = `${grouped.format(Number(slider.value) + 1)} of ${grouped.format(view.total)}`;
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      try { await view.goTo(Number(slider.value)); } catch { say("These lines could not be loaded. Try again."); }
    }, 80);
  });
  slider.addEventListener("change", () => { hint.hidden = true; setTimeout(() => { isHeld = false; }, 300); });
  return draw;
}

function connectKeys(view, matches) {
  view.area.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const scroll = (lines) => { view.area.scrollTop += lines * ROW_PX; };
    const keys = {
      Home: () => view.goTo(0),
      End: () => view.goToEnd(),
      j: () => scroll(1),
      k: () => scroll(-1),
      n: () => matches.isThere && matches.find("next"),
      N: () => matches.isThere && matches.find("previous"),
      "/": () => byId("log-words").focus(),
      Escape: () => matches.stop(),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
}

/** What is shown first: the line that was asked for, or the end while the run goes on. */
function begin(view, follower, asked) {
  const target = view.table.querySelector(".target") || (location.hash.startsWith("#line-") && byId(location.hash.slice(1)));
  if (target) target.scrollIntoView({ block: "center" });
  else if (!asked && !view.hasEnded) follower.start();
  if (document.activeElement === document.body) view.area.focus({ preventScroll: true });
  view.fill();
}

function main(area) {
  const asked = new URLSearchParams(location.search).get("page") || new URLSearchParams(location.search).get("line");
  document.body.classList.add("is-live");
  let draw = () => {};
  let picks = null;
  const view = new LogWindow(area, (error) => {
    if (error) say("More lines could not be loaded. Scroll again in a moment.");
    if (error === null) picks?.draw();
    draw();
  });
  picks = new PickedLines(view, byId("log-picked"));
  const matches = new Matches(view, { current: () => currentLine(view), say });
  const follower = new Follower(view, {
    resume: byId("log-resume"),
    told: () => say("The run has ended; this is its whole log."),
    failed: (isFailed) => { if (isFailed) say("The hub does not answer; what you see may be old."); },
  });
  draw = connectSlider(view);
  connectKeys(view, matches);
  showUtcOnHover(area);
  if (zone() !== "UTC") byId("log-zone").textContent = `in ${zone()}, with the exact UTC on hover`;
  byId("log-keys").hidden = false;
  byId("wrap-switch").addEventListener("click", (event) => {
    const row = view.topRow; // the same lines stay in sight
    const place = new URL(event.currentTarget.href);
    place.searchParams.delete("page");
    if (row && !follower.isFollowing) place.searchParams.set("line", row.id.slice(5));
    event.currentTarget.href = place;
  });
  begin(view, follower, asked);
}

/** The line from which the next match is looked for: the last match, or what is at the top. */
function currentLine(view) {
  const target = view.table.querySelector("tr.target[id], tr.picked[id]");
  const row = target || view.topRow;
  return row ? Number(row.id.slice(5)) : null;
}

// A search through a very long log has no pages to scroll over: there the links lead on.
const area = byId("log");
if (area?.querySelector("tbody[data-page]")?.dataset.total) main(area);
