"use strict";
// Two to six videos, locked to the frame. Each stands still at the same frame; when all have reported it, all pictures on
// the page are painted together.
(() => {
  const KEPT = 12;  // frames put aside for each video
  const AHEAD_S = 0.017;  // a picture is shown up to one refresh of a screen before its time
  const AGAIN_MS = 250;
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
  const text = value => typeof value === "string" ? value : JSON.stringify(value);
  const element = (tag, className = "", content = "") => Object.assign(document.createElement(tag), {className, textContent: content});
  const count = Math.min(...chosen.map(video => video.frames));
  const slider = document.getElementById("frame"), place = document.getElementById("place"), play = document.getElementById("play");
  slider.max = count - 1;

  // Labels say only what differs; what is the same in all stands once above.
  const differing = REPORT.parameters.filter(({name}) => new Set(chosen.map(video => text(video.parameters[name] ?? null))).size > 1);
  const hasOnePrompt = new Set(chosen.map(video => video.prompt)).size === 1;
  const label = video => differing.map(({name, short}) => `${short} ${name in video.parameters ? text(video.parameters[name]) : "–"}`);
  const same = document.getElementById("same");
  same.textContent = hasOnePrompt ? chosen[0].prompt.slice(0, 400) : "";
  const longer = chosen.filter(video => video.frames > count);
  if (longer.length) same.append(` Frames 0 to ${count - 1} are in all of them.`);

  const lanes = chosen.map((video, index) => {
    const source = Object.assign(document.createElement("video"), {muted: true, playsInline: true, preload: "auto", src: video.media});
    const canvas = Object.assign(document.createElement("canvas"), {width: video.width, height: video.height});
    source.setAttribute("aria-hidden", "true");
    source.tabIndex = -1;
    document.getElementById("sources").append(source);  // what is not on the page presents no frames
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${video.name}: ${video.prompt.slice(0, 140)}`);
    canvas.dataset.name = video.name;
    return {video, index, source, canvas, context: canvas.getContext("2d"), aside: new Map(), spare: [], newest: -1, wanted: -1, isBroken: false};
  });

  let frame = -1, isPlaying = false, speed = 1;
  // A browser draws the frame that it shows by now, which on a busy machine is later than the one that it has reported.
  // Only while the video's clock is within the frame are the two surely the same; other pictures are left out.
  // (The clock stands still within a task once it was read, so it is read after drawing.)
  const isSurely = (lane, number) => {
    const {fps, frames} = lane.video;
    const latest = lane.source.currentTime + Math.min(AHEAD_S * lane.source.playbackRate, 0.4 / fps);
    // a report from before the video was sent back to an earlier time is out of date, too
    return latest >= number / fps && (number >= frames - 1 || latest < (number + 1) / fps);
  };
  const draw = lane => {
    const picture = lane.spare.pop() || Object.assign(document.createElement("canvas"), {width: lane.video.width, height: lane.video.height});
    picture.getContext("2d").drawImage(lane.source, 0, 0, picture.width, picture.height);
    return picture;
  };
  const keep = (lane, number, picture) => {
    if (lane.aside.has(number)) { lane.spare.push(picture); return; }
    lane.aside.set(number, picture);
    if (lane.aside.size > KEPT) {
      const oldest = lane.aside.keys().next().value;
      lane.spare.push(lane.aside.get(oldest));
      lane.aside.delete(oldest);
    }
  };
  // Of a video that stands still.
  const put = (lane, number) => {
    if (lane.aside.has(number)) return true;
    if (lane.source.seeking) return false;  // a report from before it can still come, and its clock is there already
    const picture = draw(lane);
    if (!isSurely(lane, number)) { lane.spare.push(picture); return false; }
    keep(lane, number, picture);
    return true;
  };
  const whole = () => lanes.filter(lane => !lane.isBroken);
  const paint = number => {
    frame = number;
    for (const lane of whole()) {
      lane.context.drawImage(lane.aside.get(number), 0, 0);
      lane.canvas.dataset.frame = number;
    }
    slider.value = number;
    slider.setAttribute("aria-valuetext", `frame ${number} of ${count - 1}`);
    place.textContent = `${number} / ${count - 1}`;
    views.dataset.frame = number;
  };
  const watch = lane => lane.source.requestVideoFrameCallback((_now, frameData) => {
    const number = Math.round(frameData.mediaTime * lane.video.fps);
    lane.newest = number;
    put(lane, number);
    watch(lane);
    if (whole().every(each => each.aside.has(each.wanted)) && frame !== lane.wanted) paint(lane.wanted);
  });
  const seek = (lane, number) => new Promise(done => {
    lane.wanted = number;
    if (lane.source.readyState < HTMLMediaElement.HAVE_CURRENT_DATA && !lane.isReady) {
      lane.waiting = () => seek(lane, lane.wanted).then(done);  // before its first frame, nothing says when it is there
      return;
    }
    if (lane.newest === number && put(lane, number)) { done(); return; }  // it shows it already
    lane.source.addEventListener("seeked", () => { if (lane.newest === number) put(lane, number); done(); }, {once: true});
    lane.source.currentTime = (number + 0.5) / lane.video.fps;
  });
  let turn = 0;
  const step = async number => {
    const mine = ++turn;
    await Promise.all(whole().map(lane => seek(lane, number)));
    if (mine !== turn) return;
    if (whole().every(lane => lane.aside.has(number))) paint(number);
    insist(mine, number);
  };
  const go = wanted => { isPlaying = false; mark(); return step(Math.min(Math.max(wanted, 0), count - 1)); };
  // By single frames of videos that stand still: of one that runs, a browser does not say for certain which frame is drawn.
  const run = async from => {
    isPlaying = true;
    mark();
    let start = performance.now(), first = Math.max(from, 0);
    while (isPlaying) {
      let number = first + Math.floor((performance.now() - start) / 1000 * whole()[0].video.fps * speed);
      if (number >= count && frame === count - 1) { start = performance.now(); first = number = 0; }
      number = Math.min(number, count - 1);
      if (number !== frame) await step(number);
      while (isPlaying && frame !== number) await new Promise(requestAnimationFrame);
      await new Promise(requestAnimationFrame);
    }
  };
  // Now and then a browser reports no frame after it has gone to a time: it is asked again, for another moment of it.
  const insist = async (mine, number) => {
    for (let count = 1; ; count++) {
      await new Promise(done => setTimeout(done, AGAIN_MS));
      const late = whole().filter(lane => !lane.aside.has(number));
      if (mine !== turn || !late.length) return;
      for (const lane of late) lane.source.currentTime = (number + (count % 2 ? 0.4 : 0.5)) / lane.video.fps;
    }
  };
  const mark = () => { play.textContent = isPlaying ? "❚❚" : "▶"; play.setAttribute("aria-label", isPlaying ? "Pause" : "Play"); };
  const toggle = () => { if (isPlaying) go(frame); else run(frame >= count - 1 ? 0 : frame); };

  const caption = (tag, lane) => {
    const shown = element(tag), link = Object.assign(element("a", "", lane.video.name), {href: lane.video.page});
    shown.append(link, ...label(lane.video).map(part => element("span", "", part)));
    if (!hasOnePrompt) shown.append(element("span", "same", lane.video.prompt.slice(0, 200)));
    if (lane.isBroken) shown.append(element("p", "fault", "This browser cannot play it."));
    return shown;
  };
  const left = document.getElementById("left"), right = document.getElementById("right"), gain = document.getElementById("gain");
  for (const select of [left, right]) select.append(...lanes.map(lane => new Option(lane.video.name, lane.index)));
  right.value = 1;
  const arrange = () => {
    const mode = document.querySelector("#modes input:checked").value;
    views.dataset.mode = mode;
    document.getElementById("pair").hidden = mode === "side" || lanes.length < 3;
    document.getElementById("gain-label").hidden = mode !== "difference";
    if (mode === "side") {
      views.replaceChildren(...lanes.map(lane => { const view = element("figure", "view"); view.append(lane.canvas, caption("figcaption", lane)); return view; }));
      return;
    }
    const pair = [lanes[left.value], lanes[right.value]], pane = element("div", "pane"), labels = element("div", "labels");
    for (const each of [pane, labels]) each.style.setProperty("--ratio", pair[0].video.width / pair[0].video.height);
    pane.style.setProperty("--gain", gain.value);
    pane.append(...(pair[0] === pair[1] ? [pair[0].canvas] : pair.map(lane => lane.canvas)));
    if (mode === "wipe") {
      const handle = Object.assign(element("input", "wipe-at"), {type: "range", min: 0, max: 100, step: 0.5, value: 50});
      handle.setAttribute("aria-label", `How much of ${pair[0].video.name} is seen, in percent`);
      const move = () => pane.style.setProperty("--wipe", `${handle.value}%`);
      handle.addEventListener("input", move);
      pane.addEventListener("pointermove", event => {
        if (event.pointerType !== "mouse" && !event.buttons) return;
        const {left: start, width} = pane.getBoundingClientRect();
        handle.value = 100 * (event.clientX - start) / width;
        move();
      });
      pane.append(handle);
    }
    labels.append(...pair.map(lane => caption("div", lane)));
    views.replaceChildren(pane, labels);
  };
  for (const input of document.querySelectorAll("#modes input")) input.addEventListener("change", arrange);
  for (const select of [left, right, gain]) select.addEventListener("change", arrange);
  const first = document.querySelector(`#modes input[value="${CSS.escape(options.get("mode") || "side")}"]`);
  if (first) first.checked = true;
  arrange();

  play.addEventListener("click", toggle);
  document.getElementById("back").addEventListener("click", () => go(frame - 1));
  document.getElementById("forth").addEventListener("click", () => go(frame + 1));
  slider.addEventListener("input", () => go(Number(slider.value)));
  document.getElementById("speed").addEventListener("change", event => { speed = Number(event.target.value); if (isPlaying) { isPlaying = false; setTimeout(() => run(frame), 100); } });
  const KEYS = {",": () => go(frame - 1), ".": () => go(frame + 1), Home: () => go(0), End: () => go(count - 1), " ": toggle};
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input[type=radio], textarea, select")) return;
    if (event.key === " " && event.target.closest("button, a")) return;
    if (event.key in KEYS && !(event.target.matches("input[type=range]") && event.key.length > 1)) { event.preventDefault(); KEYS[event.key](); }
  });
  for (const lane of lanes) {
    watch(lane);
    lane.source.addEventListener("loadeddata", () => { lane.isReady = true; lane.waiting?.(); lane.waiting = null; });
    lane.source.addEventListener("error", () => { lane.isBroken = true; lane.waiting = null; arrange(); if (whole().length) go(Math.max(frame, 0)); });
  }
  go(Number(options.get("f")) || 0);
})();
