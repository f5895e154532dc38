"use strict";
// Several videos that stand still at one frame. A browser reports which frame a video shows; one that stands still shows
// it until it is sent elsewhere. So all are sent to a frame, and once all have reported it, all are drawn in one task.

// A <video> that goes from frame to frame. A new journey begins only when the one before has ended (Lockstep sees to it),
// so that no report is of an earlier one.
class StillVideo {
  static REPORT_MS = 250;  // now and then a browser reports nothing: after this long it is asked again
  static MOST_ATTEMPTS = 60;  // then it is taken for one that cannot be played

  constructor(element, fps) {
    this.element = element;
    this.fps = fps;
    this.frame = null;  // the one that it shows
    this.isBroken = false;
    this.heard = () => {};  // called at each report
    this.ready = new Promise(done => {
      const giveUp = () => { this.isBroken = true; this.heard(); done(); };
      element.addEventListener("loadeddata", done, {once: true});
      element.addEventListener("error", giveUp);
      if (element.error) giveUp();
      if (element.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) done();
    });
    this.listen();
  }

  listen() {
    this.element.requestVideoFrameCallback((_now, {mediaTime}) => {
      this.frame = Math.round(mediaTime * this.fps);
      this.heard();
      this.listen();
    });
  }

  async go(frame) {
    await this.ready;
    for (let attempt = 0; this.frame !== frame && !this.isBroken; attempt += !document.hidden) {  // hidden: no reports
      if (attempt === StillVideo.MOST_ATTEMPTS) this.element.dispatchEvent(new Event("error"));
      await this.seek((frame + (attempt % 2 ? 0.4 : 0.5)) / this.fps);  // another moment, or some browsers do nothing
      if (this.frame !== frame) await this.hear(frame);
    }
  }

  seek(time) {
    return new Promise(resolve => {
      const over = new AbortController();
      const done = () => { over.abort(); resolve(); };
      for (const name of ["seeked", "error"]) this.element.addEventListener(name, done, {signal: over.signal});
      this.element.currentTime = time;
    });
  }

  hear(frame) {
    return new Promise(done => {
      this.heard = () => { if (this.frame === frame || this.isBroken) done(); };
      setTimeout(done, StillVideo.REPORT_MS);
    });
  }
}

// Brings videos to the frame that is wanted. Of wishes that come meanwhile, the last one counts.
class Lockstep {
  constructor(videos, draw) {
    this.videos = videos;
    this.draw = draw;  // called with a frame number while all videos show that frame
    this.frame = null;  // where they are, or on the way to
    this.wanted = null;
    this.journey = null;
  }

  go(frame) {
    this.wanted = frame;
    this.journey ??= this.travel().finally(() => { this.journey = null; });
    return this.journey;
  }

  async travel() {
    do {
      this.frame = this.wanted;
      await Promise.all(this.videos.map(video => video.go(this.frame)));
      this.draw(this.frame);
    } while (this.frame !== this.wanted);
  }
}
