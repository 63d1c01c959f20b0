// Runs before the page is painted: without a choice of the reader, the page is as light or dark as the system.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => { if (!root.dataset.theme) root.dataset.bsTheme = dark.matches ? "dark" : "light"; };
  dark.addEventListener("change", () => { apply(); document.dispatchEvent(new Event("theme")); });
  apply();
})();
