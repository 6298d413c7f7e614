// Light or dark: what the system prefers, until the user chooses. Runs before the page is drawn.

(() => {
  const KEY = "vepe-theme";
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;

  function stored() {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage is blocked: the system's preference counts
    }
  }

  function apply() {
    root.dataset.theme = stored() ?? (dark.matches ? "dark" : "light");
  }

  apply();
  dark.addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const label = () => button.setAttribute("aria-pressed", root.dataset.theme === "dark");
    label();
    dark.addEventListener("change", label);
    button.addEventListener("click", () => {
      const theme = root.dataset.theme === "dark" ? "light" : "dark";
      root.dataset.theme = theme;
      try {
        localStorage.setItem(KEY, theme);
      } catch {
        // It then lasts until the page is left.
      }
      label();
    });
  });
})();
