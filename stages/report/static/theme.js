"use strict";
// Before the page is painted, so that it does not flash in the other colours.
(() => {
  const THEMES = ["", "light", "dark"], LABELS = ["as the system has them", "light", "dark"];
  const read = () => { try { return localStorage.getItem("report-theme") || ""; } catch { return ""; } };
  const apply = theme => {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  };
  apply(read());
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const say = theme => button.setAttribute("aria-label", `Colours: ${LABELS[THEMES.indexOf(theme)] || LABELS[0]}`);
    say(read());
    button.addEventListener("click", () => {
      const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
      const now = document.documentElement.dataset.theme || (isDark ? "dark" : "light");
      const next = now === "dark" ? "light" : "dark";
      apply(next);
      say(next);
      try { localStorage.setItem("report-theme", next); } catch { /* a browser that keeps nothing */ }
    });
  });
})();
