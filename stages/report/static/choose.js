"use strict";
// The videos chosen for comparison, in the page's session, so that they can be gathered from several pages.
const CHOSEN = (() => {
  const MAX = 6, base = document.body.dataset.base;
  const read = () => {
    try { return JSON.parse(sessionStorage.getItem("report-chosen") || "[]"); } catch { return []; }
  };
  const known = new Set(REPORT.videos.filter(video => video.isMade).map(video => video.name));
  let names = read().filter(name => known.has(name));
  const show = () => {
    for (const box of document.querySelectorAll(".pick input")) {
      box.checked = names.includes(box.value);
      box.disabled = !box.checked && names.length >= MAX;
      box.closest(".card, .made").classList.toggle("chosen", box.checked);
    }
    document.getElementById("tray").hidden = !names.length;
    document.getElementById("chosen").textContent = names.length === 1 ? "1 chosen; choose another" : `${names.length} chosen${names.length >= MAX ? " (the most)" : ""}`;
    const link = document.getElementById("compare");
    link.href = `${base}compare.html#v=${names.map(encodeURIComponent).join(",")}`;
    link.setAttribute("aria-disabled", names.length < 2);
    link.tabIndex = names.length < 2 ? -1 : 0;
  };
  const set = next => {
    names = next;
    try { sessionStorage.setItem("report-chosen", JSON.stringify(names)); } catch { /* a browser that keeps nothing */ }
    show();
  };
  const toggle = name => {
    if (names.includes(name)) set(names.filter(each => each !== name));
    else if (names.length < MAX) set([...names, name]);
  };
  document.addEventListener("change", event => { if (event.target.matches(".pick input")) toggle(event.target.value); });
  document.getElementById("unchoose").addEventListener("click", () => set([]));
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=checkbox]), textarea, select")) return;
    if (event.key === "c" && names.length >= 2) location.href = document.getElementById("compare").href;
    if (event.key === "x") {
      const box = event.target.closest(".card, .made")?.querySelector(".pick input");
      if (box) toggle(box.value);
    }
  });
  addEventListener("pageshow", show);
  show();
  return {show, clear: () => set([])};
})();
