// Times of log lines in the reader's zone. There are many of them, so this is arithmetic and no formatter.

const two = (number) => String(number).padStart(2, "0");
const dayOf = (moment) => `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;

/** Rewrite the times of a page of lines and its rows that name days; the first and last day stay with it. */
export function localiseTimes(body) {
  for (const row of body.querySelectorAll("tr.day")) row.remove();
  let day = "";
  for (const cell of body.querySelectorAll("td.when")) {
    const moment = new Date(cell.dataset.us / 1000);
    cell.textContent = `${two(moment.getHours())}:${two(moment.getMinutes())}:${two(moment.getSeconds())}.${String(moment.getMilliseconds()).padStart(3, "0")}`;
    const today = dayOf(moment);
    if (today !== day) cell.parentElement.before(dayRow(today));
    body.dataset.firstDay ||= today;
    day = today;
  }
  body.dataset.lastDay = day;
}

function dayRow(day) {
  const row = document.createElement("tr");
  row.className = "between day";
  const cell = row.insertCell();
  cell.colSpan = 4;
  cell.textContent = day;
  return row;
}

/** Name the exact UTC of the line under the pointer. */
export function showUtcOnHover(area) {
  area.addEventListener("mouseover", (event) => {
    const cell = event.target.closest?.("td.when");
    if (cell && !cell.title) cell.title = `${new Date(cell.dataset.us / 1000).toISOString().replace("T", " ").replace("Z", "")} UTC`;
  });
}

/** The reader's zone by name. */
export const zone = () => Intl.DateTimeFormat().resolvedOptions().timeZone || "your zone";
