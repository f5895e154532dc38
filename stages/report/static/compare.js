"use strict";
// Two to six videos side by side, on each other, or subtracted; lockstep.js keeps them at one frame.
(() => {
  const GAP_PX = 16, CAPTION_PX = 64;  // between pictures, and below each with the space to the next
  const MIN_PX = 160;  // smaller ones are scrolled
  const options = new URLSearchParams(location.hash.slice(1));
  const byName = new Map(REPORT.videos.map(video => [video.name, video]));
  const names = [...new Set((options.get("v") || "").split(","))];
  const chosen = names.map(name => byName.get(name)).filter(video => video && video.frames).slice(0, 6);
  const views = document.getElementById("views"), transport = document.getElementById("transport");
  if (chosen.length < 2) {
    document.getElementById("nothing").hidden = false;
    transport.hidden = true;
    document.querySelector(".filters").hidden = true;
    return;
  }
  const count = Math.min(...chosen.map(video => video.frames));
  const slider = document.getElementById("frame"), place = document.getElementById("place"), play = document.getElementById("play");
  slider.max = count - 1;

  // Labels say only what differs; what is the same in all stands once above.
  const differing = REPORT.parameters.filter(({name}) => new Set(chosen.map(video => showValue(video.parameters[name] ?? null))).size > 1);
  const hasOnePrompt = new Set(chosen.map(video => video.prompt)).size === 1;
  const label = video => differing.map(({name, short}) => `${short} ${name in video.parameters ? showValue(video.parameters[name]) : "–"}`);
  const same = document.getElementById("same");
  same.textContent = hasOnePrompt ? chosen[0].prompt.slice(0, 400) : "";
  const longer = chosen.filter(video => video.frames > count);
  if (longer.length) same.append(` Frames 0 to ${count - 1} are in all of them.`);

  const lanes = chosen.map((video, index) => {
    const source = Object.assign(document.createElement("video"), {muted: true, playsInline: true, preload: "auto", src: video.media});
    const canvas = Object.assign(document.createElement("canvas"), {width: video.width, height: video.height});
    source.setAttribute("aria-hidden", "true");
    source.tabIndex = -1;
    document.getElementById("sources").append(source);  // what is not on the page reports no frames
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${video.name}: ${video.prompt.slice(0, 140)}`);
    return {video, index, canvas, still: new StillVideo(source, video.fps)};
  });

  const lockstep = new Lockstep(lanes.map(lane => lane.still), number => {
    for (const {still, canvas} of lanes) {
      if (still.isBroken) continue;
      canvas.getContext("2d").drawImage(still.element, 0, 0);
      canvas.dataset.frame = number;
    }
    slider.value = number;
    slider.setAttribute("aria-valuetext", `frame ${number} of ${count - 1}`);
    place.textContent = `${number} / ${count - 1}`;
    views.dataset.frame = number;
  });

  // Playing is going from frame to frame by the clock. A slow machine leaves frames out, in all videos alike.
  let playing = null, speed = 1;
  const run = async first => {
    const mine = playing = {}, start = performance.now(), fps = chosen[0].fps * speed;
    mark();
    while (playing === mine) {
      await lockstep.go((first + Math.floor((performance.now() - start) / 1000 * fps)) % count);
      await new Promise(requestAnimationFrame);
    }
  };
  const stop = () => { playing = null; mark(); };
  const go = wanted => { stop(); return lockstep.go(Math.min(Math.max(Math.trunc(wanted), 0), count - 1)); };
  const mark = () => { play.textContent = playing ? "❚❚" : "▶"; play.setAttribute("aria-label", playing ? "Pause" : "Play"); };
  const toggle = () => { if (playing) stop(); else run(lockstep.frame === count - 1 ? 0 : lockstep.frame ?? 0); };

  const caption = (tag, lane) => {
    const shown = makeElement(tag), link = Object.assign(makeElement("a", "", lane.video.name), {href: lane.video.page});
    shown.append(link, ...label(lane.video).map(part => makeElement("span", "", part)));
    if (!hasOnePrompt) shown.append(makeElement("span", "same", lane.video.prompt.slice(0, 200)));
    if (lane.still.isBroken) shown.append(makeElement("p", "fault", `This browser does not play ${lane.video.codec}; these are frames of it.`));
    return shown;
  };
  const left = document.getElementById("left"), right = document.getElementById("right"), gain = document.getElementById("gain");
  for (const select of [left, right]) select.append(...lanes.map(lane => new Option(lane.video.name, lane.index)));
  right.value = 1;
  // As many columns as make the pictures largest with all of them on the screen; where they are too small then, fewer.
  const fit = () => {
    const width = views.clientWidth, height = innerHeight - views.getBoundingClientRect().top - scrollY - transport.offsetHeight;
    const ratio = Math.min(...chosen.map(video => video.width / video.height));
    const room = columns => (width - GAP_PX * (columns - 1)) / columns;
    const size = columns => Math.min(room(columns), (height / Math.ceil(chosen.length / columns) - CAPTION_PX) * ratio);
    let columns = 1;
    for (let more = 2; more <= chosen.length; more++) if (size(more) > size(columns)) columns = more;
    const isSmall = size(columns) < MIN_PX;
    if (isSmall) while (columns > 1 && room(columns) < MIN_PX) columns--;
    views.style.gridTemplateColumns = `repeat(${columns}, ${Math.floor(isSmall ? room(columns) : size(columns))}px)`;
  };
  addEventListener("resize", fit);
  const pictureOf = ({still, canvas, video}) => still.isBroken
    ? Object.assign(document.createElement("img"), {src: video.strip, alt: `Frames of ${video.name}, side by side`})
    : canvas;
  const showSideBySide = () => {
    views.replaceChildren(...lanes.map(lane => {
      const view = makeElement("figure", "view");
      view.append(pictureOf(lane), caption("figcaption", lane));
      return view;
    }));
    fit();
  };
  const addWipe = (pane, name) => {
    const handle = Object.assign(makeElement("input", "wipe-at"), {type: "range", min: 0, max: 100, step: 0.5, value: 50});
    handle.setAttribute("aria-label", `How much of ${name} is seen, in percent`);
    const move = () => pane.style.setProperty("--wipe", `${handle.value}%`);
    handle.addEventListener("input", move);
    pane.addEventListener("pointermove", event => {
      if (event.pointerType !== "mouse" && !event.buttons) return;
      const {left: start, width} = pane.getBoundingClientRect();
      handle.value = 100 * (event.clientX - start) / width;
      move();
    });
    pane.append(handle);
  };
  const showOnEachOther = mode => {
    const pair = [lanes[left.value], lanes[right.value]], pane = makeElement("div", "pane"), labels = makeElement("div", "labels");
    for (const each of [pane, labels]) each.style.setProperty("--shape", pair[0].video.width / pair[0].video.height);
    pane.style.setProperty("--gain", gain.value);
    pane.append(...new Set(pair.map(lane => lane.canvas)));
    if (mode === "wipe") addWipe(pane, pair[0].video.name);
    labels.append(...pair.map(lane => caption("div", lane)));
    views.replaceChildren(pane, labels);
  };
  const arrange = () => {
    const isBroken = [left, right].some(select => lanes[select.value].still.isBroken);  // its strip lies on nothing
    const mode = isBroken ? "side" : document.querySelector("#modes input:checked").value;
    views.dataset.mode = mode;
    document.getElementById("pair").hidden = mode === "side" || lanes.length < 3;
    document.getElementById("gain-label").hidden = mode !== "difference";
    if (mode === "side") showSideBySide(); else showOnEachOther(mode);
  };
  for (const input of document.querySelectorAll("#modes input")) input.addEventListener("change", arrange);
  for (const select of [left, right, gain]) select.addEventListener("change", arrange);
  const first = document.querySelector(`#modes input[value="${CSS.escape(options.get("mode") || "side")}"]`);
  if (first) first.checked = true;
  arrange();

  play.addEventListener("click", toggle);
  document.getElementById("back").addEventListener("click", () => go(lockstep.wanted - 1));
  document.getElementById("forth").addEventListener("click", () => go(lockstep.wanted + 1));
  slider.addEventListener("input", () => go(Number(slider.value)));
  document.getElementById("speed").addEventListener("change", event => { speed = Number(event.target.value); if (playing) run(lockstep.frame); });
  const KEYS = {",": () => go(lockstep.wanted - 1), ".": () => go(lockstep.wanted + 1), Home: () => go(0), End: () => go(count - 1), " ": toggle};
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input[type=radio], textarea, select")) return;
    if (event.key === " " && event.target.closest("button, a")) return;
    if (event.key in KEYS && !(event.target.matches("input[type=range]") && event.key.length > 1)) { event.preventDefault(); KEYS[event.key](); }
  });
  for (const {still} of lanes) still.element.addEventListener("error", arrange);
  go(Number(options.get("f")) || 0);
})();
