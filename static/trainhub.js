// Keeps live parts honest and calm: a poll that fails says so; nothing is replaced while it is being typed or read.
document.addEventListener("DOMContentLoaded", () => {
  const notice = document.getElementById("stale");
  const show = (isStale) => { if (notice) notice.hidden = !isStale; };
  document.addEventListener("htmx:sendError", () => show(true));
  document.addEventListener("htmx:timeout", () => show(true));
  document.addEventListener("htmx:responseError", () => show(true));
  document.addEventListener("htmx:afterOnLoad", () => show(false));
  document.addEventListener("htmx:beforeRequest", (event) => {
    const isTyping = event.target.querySelector("details[open] textarea");
    const log = event.target.querySelector(".log.tail");
    const isReading = log && log.scrollTop < -5; // scrolled up: the newest line is at 0
    if (document.hidden || isTyping || isReading) event.preventDefault();
  });
});
