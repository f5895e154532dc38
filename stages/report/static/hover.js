"use strict";
// Plays a video while the pointer or the keyboard's focus is on its picture. One player, moved to where it is needed.
(() => {
  const PAUSE_MS = 120;  // a pointer that only passes starts nothing
  const player = Object.assign(document.createElement("video"), {muted: true, loop: true, playsInline: true, preload: "auto"});
  player.setAttribute("aria-hidden", "true");
  player.tabIndex = -1;
  let timer = 0;
  const start = picture => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (player.parentNode === picture || !picture.querySelector("img")) return;
      player.src = picture.dataset.media;
      player.style.visibility = "hidden";
      player.onloadeddata = () => { player.style.visibility = "visible"; };
      picture.append(player);
      player.play().catch(() => {});
    }, PAUSE_MS);
  };
  const stop = picture => {
    clearTimeout(timer);
    if (player.parentNode !== picture) return;
    player.remove();
    player.removeAttribute("src");
    player.load();
  };
  const listen = (enter, leave) => {
    document.addEventListener(enter, event => {
      const picture = event.target.closest?.("a.picture");
      if (picture && !picture.contains(event.relatedTarget)) start(picture);
    });
    document.addEventListener(leave, event => {
      const picture = event.target.closest?.("a.picture");
      if (picture && !picture.contains(event.relatedTarget)) stop(picture);
    });
  };
  listen("pointerover", "pointerout");
  listen("focusin", "focusout");
})();
