"use strict";
// The player on a video's page, frame by frame.
(() => {
  const video = document.getElementById("video"), slider = document.getElementById("frame");
  if (!slider) return;
  const count = Number(video.dataset.frames), [numerator, denominator = 1] = video.dataset.fps.split("/").map(Number);
  const fps = numerator / denominator;
  const place = document.getElementById("place"), play = document.getElementById("play");
  const cells = [...document.querySelectorAll(".cells button")];
  let frame = 0;
  // mediaTime is the frame's own time; the clock of a paused element can stand anywhere within the frame
  const show = (_now, {mediaTime}) => {
    frame = Math.min(Math.round(mediaTime * fps), count - 1);
    slider.value = frame;
    slider.setAttribute("aria-valuetext", `frame ${frame} of ${count - 1}`);
    place.textContent = `${frame} / ${count - 1}`;
    video.dataset.frame = frame;
    let nearest = null;
    for (const cell of cells) {
      cell.removeAttribute("aria-current");
      if (Number(cell.dataset.frame) <= frame) nearest = cell;
    }
    nearest?.setAttribute("aria-current", "true");
    video.requestVideoFrameCallback(show);
  };
  video.requestVideoFrameCallback(show);
  const still = new StillVideo(video, fps), lockstep = new Lockstep([still], () => {});
  still.ready.then(() => {
    document.getElementById("unplayable").hidden = !still.isBroken;
    document.getElementById("transport").hidden = still.isBroken;
    if (!still.isBroken) go(0);
  });
  const go = wanted => {
    video.pause();
    lockstep.go(Math.min(Math.max(wanted, 0), count - 1));
  };
  const step = by => go((lockstep.journey ? lockstep.wanted : frame) + by);
  const toggle = async () => {
    if (!video.paused) { video.pause(); return; }
    await lockstep.journey;
    video.play().catch(() => {});
  };
  const mark = () => { play.textContent = video.paused ? "▶" : "❚❚"; play.setAttribute("aria-label", video.paused ? "Play" : "Pause"); };
  video.addEventListener("play", mark);
  video.addEventListener("pause", mark);
  video.addEventListener("click", toggle);
  play.addEventListener("click", toggle);
  document.getElementById("back").addEventListener("click", () => step(-1));
  document.getElementById("forth").addEventListener("click", () => step(1));
  slider.addEventListener("input", () => go(Number(slider.value)));
  document.getElementById("speed").addEventListener("change", event => { video.playbackRate = Number(event.target.value); });
  for (const cell of cells) cell.addEventListener("click", () => go(Number(cell.dataset.frame)));
  const KEYS = {",": () => step(-1), ".": () => step(1), Home: () => go(0), End: () => go(count - 1), " ": toggle};
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=range]), textarea, select")) return;
    if (event.key === " " && event.target.closest("button, a")) return;
    if (event.key === "[" || event.key === "]") document.querySelector(`a[rel=${event.key === "[" ? "prev" : "next"}]`)?.click();
    if (event.key in KEYS) { event.preventDefault(); KEYS[event.key](); }
  });
})();
