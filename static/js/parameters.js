// Finds parameters of a run by a part of their name or value. Without a script the table has them all.

const line = document.querySelector(".config-find");
const table = document.getElementById("config-table");

/** Show the rows that hold the text, and how many they are. */
function find(text) {
  const wanted = text.trim().toLowerCase();
  let count = 0;
  for (const row of table.querySelectorAll("tr[data-entry]")) {
    const value = row.querySelector("pre") ?? row.cells[1]; // a folded text is searched in whole
    row.hidden = wanted !== "" && !`${row.cells[0].textContent} ${value.textContent}`.toLowerCase().includes(wanted);
    count += !row.hidden;
  }
  line.querySelector("[role=status]").textContent = wanted === "" ? "" : `${count} found`;
}

if (line && table) {
  line.hidden = false;
  line.querySelector("input").addEventListener("input", (event) => find(event.target.value));
}
