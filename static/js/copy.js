// Buttons that copy the text of the element they name. Without a clipboard they stay hidden: the text can be selected.

for (const button of document.querySelectorAll("button[data-copies]")) {
  const source = document.getElementById(button.dataset.copies);
  if (!source || !navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(source); // refused by the browser: one key press is left to do
      button.textContent = "Press Ctrl+C";
    }
  });
}
