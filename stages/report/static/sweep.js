"use strict";
(() => {
  const controls = document.getElementById("axes"), grid = document.getElementById("grid"), base = document.body.dataset.base;
  const {axes, places} = REPORT.sweeps[controls.dataset.sweep];
  const videos = new Map(REPORT.videos.map(video => [video.name, video]));
  const text = value => typeof value === "string" ? value : JSON.stringify(value);
  const element = (tag, className = "", content = "") => Object.assign(document.createElement(tag), {className, textContent: content});
  const NONE = -1;
  let rows = axes.length > 1 ? 0 : NONE, columns = axes.length > 1 ? 1 : 0;
  const fixed = axes.map(() => 0);  // the value on each axis that is neither

  const addSelect = (label, options, value, change) => {
    const box = element("label", "", label), select = document.createElement("select");
    select.append(...options.map(([key, shown]) => new Option(shown, key)));
    select.value = value;
    select.addEventListener("change", () => change(Number(select.value)));
    box.append(select);
    controls.append(box);
  };
  const swap = () => { [rows, columns] = [columns, rows]; draw(); };
  const choose = (now, other, setter) => { if (now === other) [rows, columns] = [columns, rows]; else setter(now); draw(); };
  const drawControls = () => {
    controls.replaceChildren();
    const names = axes.map(({short}, index) => [index, short]);
    if (axes.length > 1) {
      addSelect("rows", [[NONE, "none"], ...names], rows, now => choose(now, columns, value => { rows = value; }));
      const button = element("button", "quiet", "⇄ swap");
      button.type = "button";
      button.id = "swap";
      button.addEventListener("click", () => { swap(); document.getElementById("swap").focus(); });
      controls.append(button);
      addSelect("columns", [[NONE, "none"], ...names], columns, now => choose(now, rows, value => { columns = value; }));
    }
    axes.forEach(({short, values}, index) => {
      if (index !== rows && index !== columns) addSelect(short, values.map((value, place) => [place, text(value)]), fixed[index], now => { fixed[index] = now; draw(); });
    });
  };
  const heading = (axis, place, scope) => {
    const cell = element("th");
    cell.scope = scope;
    if (axis !== NONE) cell.append(element("span", "axis", axes[axis].short), text(axes[axis].values[place]));
    return cell;
  };
  const find = (row, column) => Object.keys(places).find(name => axes.every((_, index) => {
    const wanted = index === rows ? row : index === columns ? column : fixed[index];
    return places[name][index] === wanted;
  }));
  const cellOf = name => {
    const cell = element("td"), video = videos.get(name);
    if (!video) { cell.className = "gap"; cell.textContent = "not made"; return cell; }
    const link = Object.assign(element("a", "picture"), {href: base + video.page});
    link.dataset.media = base + video.media;
    if (video.width) link.style.aspectRatio = `${video.width} / ${video.height}`;
    if (video.poster) link.append(Object.assign(document.createElement("img"), {src: base + video.poster, alt: `${name}: ${video.prompt.slice(0, 140)}`, loading: "lazy", width: video.width, height: video.height}));
    else link.append(element("span", "no-picture", `${name} cannot be read`));
    const line = element("div", "line"), pick = element("label", "pick");
    const box = Object.assign(document.createElement("input"), {type: "checkbox", value: name});
    box.setAttribute("aria-label", `Compare ${name}`);
    const shown = element("span", "", "compare");
    shown.setAttribute("aria-hidden", "true");
    pick.append(box, shown);
    line.append(element("span", "name", name), pick);
    cell.append(link, line);
    return cell;
  };
  const draw = () => {
    drawControls();
    const rowPlaces = rows === NONE ? [0] : axes[rows].values.keys(), columnPlaces = columns === NONE ? [0] : [...axes[columns].values.keys()];
    const head = document.createElement("thead"), body = document.createElement("tbody"), first = document.createElement("tr");
    if (rows !== NONE) first.append(element("td"));
    first.append(...columnPlaces.map(place => heading(columns, place, "col")));
    head.append(first);
    for (const row of rowPlaces) {
      const line = document.createElement("tr");
      if (rows !== NONE) line.append(heading(rows, row, "row"));
      line.append(...columnPlaces.map(column => cellOf(find(row, column))));
      body.append(line);
    }
    grid.replaceChildren(head, body);
    CHOSEN.show();
  };
  draw();
})();
