// The page of a run: its title tells the state, buttons ask in a dialog, and what is open stays open.

const dialog = document.getElementById("cancel-dialog");

/** The tab tells how far the run is, also while another one is looked at. */
function showTitle() {
  const status = document.getElementById("run-status");
  if (status) document.title = `${status.dataset.title} · trainhub`;
}

/** Show what is of use with a script alone: copying and printing. */
function enable(root) {
  for (const button of root.querySelectorAll("[data-copy], [data-print]")) button.hidden = false;
}

async function copy(button) {
  const text = document.getElementById(button.dataset.copy).textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch { // no clipboard without HTTPS: select, so that the keyboard can copy
    getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
  }
}

/** Show all parameters or the differences; the address follows, so that it can be shared. */
function switchConfig(link) {
  document.getElementById("config-values").classList.toggle("only-differences", link.dataset.config === "differences");
  for (const other of link.parentElement.children) other.toggleAttribute("aria-current", other === link);
  link.setAttribute("aria-current", "true");
  history.replaceState(null, "", link.getAttribute("href"));
}

document.addEventListener("click", (event) => {
  const found = event.target.closest("[data-copy], [data-print], [data-config], [data-close]");
  if (!event.target.closest(".run-head .menu")) closeMenus();
  if (!found) return;
  if ("copy" in found.dataset) copy(found);
  else if ("print" in found.dataset) window.print();
  else if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a new tab is a new tab
  else if ("config" in found.dataset) { event.preventDefault(); switchConfig(found); }
  else if (dialog.open) { event.preventDefault(); dialog.close(); }
});

function closeMenus() {
  for (const menu of document.querySelectorAll(".run-head .menu[open]")) menu.open = false;
}

document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.activeElement?.closest(".run-head .menu[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

document.addEventListener("htmx:beforeRequest", (event) => {
  // A poll may replace the buttons; not while somebody has their menu open.
  if (event.target.id === "run-status" && document.querySelector(".run-head .menu[open]")) event.preventDefault();
});
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target === dialog && !dialog.open) dialog.showModal();
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (dialog.contains(event.detail.elt) && event.detail.successful) dialog.close();
});
document.addEventListener("htmx:afterSettle", (event) => { enable(event.target); showTitle(); });

/** Mark in the bar which part is in sight, and show the state there once the head of the page is out of it. */
function watchPlace() {
  const bar = document.querySelector(".run-nav");
  const links = new Map([...bar.querySelectorAll("a")].map((link) => [link.hash.slice(1), link]));
  const inSight = new Set();
  const parts = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) inSight[isIntersecting ? "add" : "delete"](target.id);
    const first = [...links.keys()].find((id) => inSight.has(id));
    for (const [id, link] of links) {
      if (id === first) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }, { rootMargin: "-110px 0px -40% 0px" });
  for (const id of links.keys()) {
    const part = document.getElementById(id);
    if (part) parts.observe(part);
  }
  new IntersectionObserver(([entry]) => bar.classList.toggle("stuck", !entry.isIntersecting)).observe(document.querySelector(".run-head"));
}

enable(document);
showTitle();
watchPlace();
