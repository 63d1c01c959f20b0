// What every page does: times in the reader's zone, live parts that are honest and calm, no form sent twice.

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const SPANS = [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]];

/** A duration in its two largest units, as the filter `time_span` writes it. */
export function timeSpan(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  for (const [size, unit, smaller, smallUnit] of SPANS) {
    if (whole < size) continue;
    const rest = Math.floor((whole % size) / smaller);
    return rest ? `${Math.floor(whole / size)} ${unit} ${rest} ${smallUnit}` : `${Math.floor(whole / size)} ${unit}`;
  }
  return `${whole} s`;
}

/** Write times in the reader's zone; the exact UTC stays in the title. */
function localise(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    if (time.dataset.show === "ago") time.textContent = `${timeSpan((Date.now() - moment) / 1000)} ago`;
    else if (time.dataset.show !== "exact") time.textContent = exact.format(moment);
  }
}

function watchPolls() {
  const notice = document.getElementById("stale");
  const show = (isStale) => { if (notice) notice.hidden = !isStale; };
  for (const name of ["sendError", "timeout", "responseError"]) document.addEventListener(`htmx:${name}`, () => show(true));
  // Also an answer that refuses is loaded, and none of it put into the page.
  document.addEventListener("htmx:afterOnLoad", (event) => { if (event.detail.xhr.status < 400) show(false); });
  document.addEventListener("htmx:beforeRequest", (event) => {
    // Nothing is replaced while somebody writes in it, has something open in it, or does not look at it.
    const isBusy = event.target.querySelector("details[open], dialog[open]") || event.target.contains(document.activeElement);
    if (event.target.hasAttribute("hx-trigger") && (document.hidden || isBusy)) event.preventDefault();
  });
  document.addEventListener("htmx:afterSwap", () => localise(document)); // also what was swapped in elsewhere
}

/** A form is sent once, however often its button is pressed; coming back to the page makes it usable again. */
function sendOnce() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    // Not form.method and form.dataset: a field of that name would hide them.
    if (form.getAttribute("method") !== "post" || event.defaultPrevented) return;
    if (form.hasAttribute("data-sent")) { event.preventDefault(); return; }
    form.setAttribute("data-sent", "");
    for (const button of form.querySelectorAll("button")) button.classList.add("btn-loading");
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) {
      form.removeAttribute("data-sent");
      for (const button of form.querySelectorAll("button")) button.classList.remove("btn-loading");
    }
  });
}

localise(document);
watchPolls();
sendOnce();
setInterval(() => { if (!document.hidden) localise(document); }, 10_000);
