"use strict";
// A sweep as a grid: two of its axes are rows and columns, of each other one a value is chosen.
(() => {
  const NONE = -1;
  const controls = document.getElementById("axes"), grid = document.getElementById("grid"), base = document.body.dataset.base;
  const {axes, places} = REPORT.sweeps[controls.dataset.sweep];
  const videos = new Map(REPORT.videos.map(video => [video.name, video]));
  let rows = axes.length > 1 ? 0 : NONE, columns = axes.length > 1 ? 1 : 0;
  const fixed = axes.map(() => 0);  // the value on each axis that is neither

  const addSelect = (label, options, value, change) => {
    const {box, select} = makeSelect(label, options, ({value: chosen}) => { change(Number(chosen)); draw(); });
    select.value = value;
    controls.append(box);
  };
  const swap = () => { [rows, columns] = [columns, rows]; };
  const drawControls = () => {
    controls.replaceChildren();
    const names = [[NONE, "none"], ...axes.map(({short}, index) => [index, short])];
    if (axes.length > 1) {
      addSelect("rows", names, rows, chosen => { if (chosen === columns) swap(); else rows = chosen; });
      const button = Object.assign(makeElement("button", "quiet", "⇄ swap"), {type: "button", id: "swap"});
      button.addEventListener("click", () => { swap(); draw(); document.getElementById("swap").focus(); });
      controls.append(button);
      addSelect("columns", names, columns, chosen => { if (chosen === rows) swap(); else columns = chosen; });
    }
    axes.forEach(({short, values}, index) => {
      if (index === rows || index === columns) return;
      addSelect(short, values.map((value, place) => [place, showValue(value)]), fixed[index], chosen => { fixed[index] = chosen; });
    });
  };

  const find = (row, column) => Object.keys(places).find(name => axes.every((_, index) =>
    places[name][index] === (index === rows ? row : index === columns ? column : fixed[index])));
  const makePicture = (source, alt) => Object.assign(document.createElement("img"), {src: base + source, alt, loading: "lazy"});
  const makeMade = video => {
    const box = makeElement("div", "made"), link = Object.assign(makeElement("a", "picture"), {href: base + video.page});
    link.dataset.media = base + video.media;
    link.append(video.poster ? makePicture(video.poster, `${video.name}: ${video.prompt.slice(0, 140)}`) : makeElement("span", "no-picture", `${video.name} cannot be read`));
    const line = makeElement("div", "line"), pick = makeElement("label", "pick");
    const check = Object.assign(document.createElement("input"), {type: "checkbox", value: video.name});
    check.setAttribute("aria-label", `Compare ${video.name}`);
    const word = makeElement("span", "", "compare");
    word.setAttribute("aria-hidden", "true");
    pick.append(word, check);
    line.append(video.isDraft ? makeElement("span", "mark", "draft") : makeElement("span", "name", video.name));
    box.append(link, line, pick);
    return box;
  };
  const makeUnmade = video => {
    const box = makeElement("div", "made"), picture = makeElement("div", "picture"), line = makeElement("div", "line");
    if (video.preview) picture.append(makePicture(video.preview, `Preview of ${video.name}`));
    picture.append(makeElement("span", video.isRunning ? "mark running" : "mark", video.state));
    line.append(makeElement("span", "name", video.name));
    box.append(picture, line);
    return box;
  };
  const makeCell = name => {
    const cell = document.createElement("td");
    if (!name) { cell.append(makeElement("span", "gap", "left out")); return cell; }
    const video = videos.get(name), draft = videos.get(`${name}.draft`);
    cell.append(video.isMade ? makeMade(video) : makeUnmade(video), ...(draft ? [makeMade(draft)] : []));
    return cell;
  };
  const makeHeading = (axis, place, scope) => {
    const cell = makeElement("th", "", axis === NONE ? "" : showValue(axes[axis].values[place]));
    cell.scope = scope;
    return cell;
  };
  const draw = () => {
    drawControls();
    const rowPlaces = rows === NONE ? [0] : [...axes[rows].values.keys()], columnPlaces = columns === NONE ? [0] : [...axes[columns].values.keys()];
    const head = document.createElement("thead"), body = document.createElement("tbody");
    const names = document.createElement("tr"), values = document.createElement("tr");
    const group = Object.assign(makeElement("th", "axis", columns === NONE ? "" : axes[columns].short), {scope: "colgroup", colSpan: columnPlaces.length});
    if (rows !== NONE) {
      names.append(document.createElement("td"));
      values.append(makeElement("td", "axis", axes[rows].short));
    }
    names.append(group);
    values.append(...columnPlaces.map(place => makeHeading(columns, place, "col")));
    head.append(names, values);
    for (const row of rowPlaces) {
      const line = document.createElement("tr");
      if (rows !== NONE) line.append(makeHeading(rows, row, "row"));
      line.append(...columnPlaces.map(column => makeCell(find(row, column))));
      body.append(line);
    }
    grid.replaceChildren(head, body);
    CHOSEN.show();
  };
  draw();
})();
