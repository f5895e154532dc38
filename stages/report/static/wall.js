"use strict";
// The wall: search, filters, and moving over it by keys.
(() => {
  const MAX_VALUES = 60;  // of a parameter in a list to choose from; with more, the search finds them: seed=7
  const list = document.getElementById("cards");
  const cards = new Map([...list.children].map(card => [card.dataset.name, card]));
  const search = document.getElementById("search"), filters = document.getElementById("filters"), count = document.getElementById("count");
  const videos = REPORT.videos.map(video => ({...video, card: cards.get(video.name), words: `${video.name} ${video.prompt}`.toLowerCase()}));
  const shorts = new Map(REPORT.parameters.flatMap(({name, short}) => [[name, name], [short, name]]));
  const chosen = {};  // by what is filtered

  const addSelect = (id, label, options) => {
    const {box, select} = makeSelect(label, [["", "any"], ...options], () => { chosen[id] = select.value; select.classList.toggle("on", select.value !== ""); apply(); });
    select.id = `filter-${id}`;
    filters.append(box);
  };
  for (const {name, short} of REPORT.parameters) {
    const values = new Map(videos.filter(video => name in video.parameters).map(video => [showValue(video.parameters[name]), video.parameters[name]]));
    if (values.size < 2 || values.size > MAX_VALUES) continue;
    const order = [...values].sort(([, a], [, b]) => typeof a === "number" && typeof b === "number" ? a - b : showValue(a) < showValue(b) ? -1 : 1);
    addSelect(name, short, order.map(([shown]) => [shown, shown]));
  }
  const kindOf = video => video.isDraft ? "draft" : video.isMade ? "final" : "not made";
  const kinds = [...new Set(videos.map(kindOf))];
  if (kinds.length > 1) addSelect("kind", "kind", kinds.map(kind => [kind, kind]));
  addSelect("rating", "rating", [["1", "rated"], ["3", "3 or more"], ["4", "4 or more"], ["5", "5"]]);

  if (NOTES.hasOwn()) {
    const button = Object.assign(document.createElement("button"), {type: "button", className: "quiet", id: "export", textContent: "Export ratings.json"});
    button.addEventListener("click", NOTES.download);
    filters.append(button);
  }

  // seed=7, cfg>3 and the like are about a parameter; all else is looked for in prompts and names
  const TERM = /^([\w.]+)(<=|>=|=|<|>)(.+)$/;
  const COMPARE = {"=": (a, b) => showValue(a).toLowerCase() === b, "<": (a, b) => a < Number(b), ">": (a, b) => a > Number(b), "<=": (a, b) => a <= Number(b), ">=": (a, b) => a >= Number(b)};
  const parse = query => (query.toLowerCase().match(/"[^"]*"|\S+/g) || []).map(term => {
    const found = TERM.exec(term), name = found && shorts.get(found[1]);
    if (name) return video => name in video.parameters && COMPARE[found[2]](video.parameters[name], found[3]);
    const word = term.replaceAll('"', "");
    return video => video.words.includes(word);
  });
  const passes = video => REPORT.parameters.every(({name}) => !chosen[name] || showValue(video.parameters[name] ?? null) === chosen[name])
    && (!chosen.kind || kindOf(video) === chosen.kind)
    && (!chosen.rating || video.isMade && NOTES.of(video.key).rating >= Number(chosen.rating));

  const apply = () => {
    const terms = parse(search.value);
    let shown = 0;
    for (const video of videos) {
      const isShown = passes(video) && terms.every(term => term(video));
      video.card.hidden = !isShown;
      shown += isShown;
    }
    count.textContent = shown === videos.length ? `${shown} video${shown === 1 ? "" : "s"}` : `${shown} of ${videos.length} videos`;
    document.getElementById("nothing").hidden = shown > 0;
    const hash = search.value ? `#q=${encodeURIComponent(search.value)}` : location.pathname.split("/").pop() || "index.html";
    history.replaceState(null, "", search.value ? hash : hash + location.search);
  };
  const clear = () => {
    search.value = "";
    for (const select of filters.querySelectorAll("select")) { select.value = ""; select.classList.remove("on"); }
    for (const name of Object.keys(chosen)) delete chosen[name];
    apply();
  };
  search.addEventListener("input", apply);
  document.getElementById("clear").addEventListener("click", () => { clear(); search.focus(); });
  const query = new URLSearchParams(location.hash.slice(1)).get("q");
  if (query) { search.value = query; apply(); }
  addEventListener("pageshow", event => { if (event.persisted || chosen.rating) apply(); });

  const move = key => {
    const shown = videos.filter(video => video.isMade && !video.card.hidden).map(video => video.card.querySelector(".picture"));
    const now = shown.indexOf(document.activeElement);
    if (!shown.length) return;
    const columns = getComputedStyle(list).gridTemplateColumns.split(" ").length;
    const step = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns}[key];
    const next = shown[now < 0 ? 0 : Math.min(Math.max(now + step, 0), shown.length - 1)];
    next.focus();
    next.scrollIntoView({block: "nearest"});
  };
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      if (event.target === search && search.value) { search.value = ""; apply(); } else { clear(); CHOSEN.clear(); document.activeElement.blur(); }
      return;
    }
    if (event.target.closest("input:not([type=checkbox]), textarea, select")) return;
    if (event.key === "/") { event.preventDefault(); search.focus(); search.select(); }
    if (event.key.startsWith("Arrow")) { event.preventDefault(); move(event.key); }
  });
})();
