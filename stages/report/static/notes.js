"use strict";
// Ratings and notes. A page that `doit report --serve` serves writes them to the project; one that was opened from disk
// keeps them in the browser, and exports them as the same file.
const NOTES = (() => {
  const KEPT = "report-ratings";
  const kept = () => { try { return JSON.parse(localStorage.getItem(KEPT) || "{}"); } catch { return {}; } };
  const keys = new Set(REPORT.videos.map(video => video.key));
  // Of what this browser has kept: what is of this report, and is not in the file by now.
  const isNews = ([key, entry]) => keys.has(key) && JSON.stringify(entry) !== JSON.stringify(RATINGS.videos[key]);
  const own = RATINGS.canSave ? {} : Object.fromEntries(Object.entries(kept()).filter(isNews));
  const of = key => ({rating: 0, note: "", ...RATINGS.videos[key], ...own[key]});
  const all = () => {
    const found = {...RATINGS.videos, ...own};
    return Object.fromEntries(Object.entries(found).filter(([, entry]) => entry.rating || entry.note).sort());
  };
  const save = async (key, entry) => {
    if (RATINGS.canSave) {
      const answer = await fetch(`/ratings/${key}`, {method: "PUT", keepalive: true, headers: {"Content-Type": "application/json"}, body: JSON.stringify(entry)});
      if (!answer.ok) throw new Error(await answer.text());
      RATINGS.videos[key] = entry;
      return "Saved in ratings.json of the project.";
    }
    own[key] = entry;
    localStorage.setItem(KEPT, JSON.stringify(own));
    return "Kept in this browser. ";
  };
  const download = () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(all(), null, 2) + "\n"], {type: "application/json"}));
    link.download = "ratings.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const stars = rating => "★".repeat(rating);
  const paint = () => {
    for (const mark of document.querySelectorAll("[data-rating]")) {
      const {rating, note} = of(mark.dataset.rating);
      mark.textContent = stars(rating) + (note ? " ✎" : "");
      if (mark.textContent) { mark.setAttribute("role", "img"); mark.setAttribute("aria-label", `${rating ? `${rating} of 5` : "not rated"}${note ? ", with notes" : ""}`); }
      mark.title = note;
    }
  };
  const form = document.getElementById("notes");
  if (form) {
    const {key, name} = form.dataset, note = document.getElementById("note"), saved = document.getElementById("saved");
    const radios = [...form.elements.rating];
    const show = rating => radios.forEach(radio => {
      radio.checked = Number(radio.value) === rating;
      radio.parentNode.classList.toggle("on", Number(radio.value) <= rating);
    });
    let rating = of(key).rating;
    note.value = of(key).note;
    show(rating);
    const store = async () => {
      try {
        saved.textContent = await save(key, {video: name, rating, note: note.value});
        if (!RATINGS.canSave) {
          const button = Object.assign(document.createElement("button"), {type: "button", className: "quiet", textContent: "Export ratings.json"});
          button.addEventListener("click", download);
          saved.append(button);
        }
      } catch (error) {
        saved.textContent = `Not saved: ${error.message}`;
      }
    };
    form.addEventListener("submit", event => event.preventDefault());
    radios.forEach(radio => radio.addEventListener("change", () => { rating = Number(radio.value); show(rating); store(); }));
    document.getElementById("unrate").addEventListener("click", () => { rating = 0; show(0); store(); });
    note.addEventListener("change", store);
  }
  addEventListener("pageshow", paint);
  paint();
  return {of, all, download, hasOwn: () => Object.keys(own).length > 0};
})();
