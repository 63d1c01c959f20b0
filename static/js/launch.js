// The form that defines a run: shows while one types what differs from the defaults, and leads to the plan or the mistake.

const SOURCES = { before: "before", recipe: "recipe default", project: "project" };

/** The value in a control as the server reads it: a number where one is meant, else the text; undefined when empty. */
function typedValue(control) {
  const text = control.value.trim();
  if (text === "") return undefined;
  if ("json" in control.dataset) { try { return JSON.parse(text); } catch { return text; } }
  const known = Object.values(sourcesOf(control)).find((value) => value !== undefined);
  const isNumber = control.type === "number" || control.inputMode === "decimal";
  if (isNumber) return Number.isNaN(Number(text)) ? text : Number(text);
  return control.tagName === "SELECT" && typeof known !== "string" ? parsed(text) : text;
}

function parsed(text) {
  try { return JSON.parse(text); } catch { return text; }
}

function sourceValue(control, source) {
  return control.dataset[source] === undefined ? undefined : JSON.parse(control.dataset[source]);
}

const shown = (value) => {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
};
const isSame = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** One line of the list; null for what changes nothing. `text` is what was typed, empty for what the sources say. */
function difference(name, text, value, known, reference) {
  const nearest = known.before ?? known.project ?? known.recipe;
  const actual = value ?? nearest;
  if (actual === undefined || isSame(actual, reference === "before" ? nearest : known.recipe)) return null;
  const others = Object.keys(SOURCES).filter((source) => known[source] !== undefined)
    .map((source) => `${SOURCES[source]} ${shown(known[source])}`);
  return { name, text: text || shown(actual), note: others.join(", ") || "no default" };
}

const sourcesOf = (control) => Object.fromEntries(Object.keys(SOURCES).map((source) => [source, sourceValue(control, source)]));

/** What the control of a parameter adds; the text stays as it was typed: 1e-4 stays 1e-4. */
function differenceOf(control, reference) {
  return difference(control.dataset.parameter, control.value.trim(), typedValue(control), sourcesOf(control), reference);
}

/** What the parameters in the JSON field of a group add, those that its recipe does not describe. */
function otherDifferences(control, reference) {
  const values = parsed(control.value || "{}");
  const typed = typeof values === "object" && values !== null && !Array.isArray(values) ? values : {};
  const sources = Object.entries(sourcesOf(control)).map(([source, known]) => [source, known ?? {}]);
  const names = new Set([...Object.keys(typed), ...sources.flatMap(([, known]) => Object.keys(known))]);
  return [...names].map((name) => {
    const known = Object.fromEntries(sources.map(([source, of]) => [source, of[name]]));
    return difference(name, "", typed[name], known, reference);
  });
}

function row({ name, text, note }) {
  const item = document.createElement("li");
  for (const [tag, content, kind] of [["code", name, ""], ["b", text, ""], ["span", `(${note})`, "text-secondary"]]) {
    const part = document.createElement(tag);
    part.textContent = content;
    part.className = kind;
    item.append(part, " ");
  }
  return item;
}

function showDifferences(form) {
  const reference = form.getAttribute("data-reference");
  const rows = [];
  for (const control of form.querySelectorAll("[data-parameter]")) {
    const found = differenceOf(control, reference);
    control.closest(".parameter").classList.toggle("is-changed", found !== null);
    rows.push(found);
  }
  for (const control of form.querySelectorAll("[data-others]")) rows.push(...otherDifferences(control, reference));
  const found = rows.filter(Boolean);
  form.querySelector("#differences").replaceChildren(...found.map(row));
  form.querySelector("#no-differences").hidden = found.length > 0;
}

/** Make a form that was just loaded, or has just taken the place of another, alive. */
function attach() {
  const form = document.getElementById("run-form");
  // Not form.dataset: that is the field named so, as a form's fields hide its own properties.
  if (!form || form.hasAttribute("data-alive")) return null;
  form.setAttribute("data-alive", "");
  showDifferences(form);
  form.addEventListener("input", () => {
    showDifferences(form);
    const isOld = form.querySelector("#plan-is-old");
    if (isOld) isOld.hidden = false;
  });
  return form;
}

/** What was asked for is read next: the mistake, or else the plan. */
function focusAnswer(form) {
  (form?.querySelector("[aria-invalid=true]") ?? form?.querySelector("#plan-title"))?.focus();
}

focusAnswer(attach());
document.addEventListener("htmx:afterSettle", () => focusAnswer(attach()));
