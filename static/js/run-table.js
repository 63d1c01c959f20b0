// Tables of runs: select all or a range, say how many are selected, and keep addresses of filters short.

const form = document.getElementById("selection");
const boxes = [...document.querySelectorAll("input[name=run][form=selection]")];
const all = document.querySelector("[data-select-all]");

/** Show how many runs are selected; buttons work for one and up to as many as an address can name. */
function update() {
  const count = boxes.filter((box) => box.checked).length;
  const most = Number(form.dataset.most);
  const said = form.querySelector(".selected-count");
  said.hidden = count === 0;
  said.textContent = count > most ? `${count} selected, ${most} at most` : `${count} selected`;
  for (const button of form.querySelectorAll("button")) {
    const fits = count <= Number(button.dataset.most ?? most);
    button.disabled = count === 0 || !fits;
    button.title = fits ? "" : `${button.dataset.most ?? most} at most`;
  }
  all.checked = count > 0 && count === boxes.length;
  all.indeterminate = count > 0 && count < boxes.length;
  for (const box of boxes) box.closest("tr").classList.toggle("is-selected", box.checked);
}

/** With Shift, a click sets all boxes from the one that was clicked before. */
function selectRanges() {
  let last = null;
  for (const box of boxes) {
    box.addEventListener("click", (event) => {
      const [from, to] = [boxes.indexOf(last ?? box), boxes.indexOf(box)].sort((a, b) => a - b);
      if (event.shiftKey) for (const other of boxes.slice(from, to + 1)) other.checked = box.checked;
      last = box;
      update();
    });
  }
}

/** Say that there are more columns than a table may have before they are sent, and not after. */
function limitColumns() {
  const chooser = document.querySelector("form[data-most-columns]");
  const show = () => {
    const most = Number(chooser.dataset.mostColumns);
    const count = chooser.querySelectorAll("input[name=column]:checked").length;
    chooser.querySelector("[data-too-many]").hidden = count <= most;
    chooser.querySelector(".btn-primary").disabled = count > most;
  };
  chooser?.addEventListener("change", show);
  if (chooser) show();
}

/** Fields that are left empty are no part of the filter, nor of the address to share. */
function shortenAddresses() {
  const filters = document.querySelector("form.run-filters");
  filters?.addEventListener("formdata", (event) => {
    for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
  });
  // A click on a status filters at once.
  for (const box of filters?.querySelectorAll("input[name=status]") ?? []) box.addEventListener("change", () => filters.requestSubmit());
}

if (form && boxes.length) {
  all.hidden = false;
  all.addEventListener("click", () => { for (const box of boxes) box.checked = all.checked; update(); });
  selectRanges();
  update();
  window.addEventListener("pageshow", update); // the browser may have ticked boxes again after going back
}
shortenAddresses();
limitColumns();
