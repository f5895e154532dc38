"""Video files in a real browser: to the end, and frame by frame.

Where there is no Chromium the tests are skipped; `.ci/run` installs it, and says that they may not be.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.export.codecs import CODECS
from stages.export.video import to_levels, write_video
from stages.geometry import VideoSize
from tests.browser import Page, browsing, serving
from tests.mp4 import read_format

pytestmark = pytest.mark.processes

PLAYED = ("h264", "av1", "vp9")  # by every Chromium; HEVC only by some, for which somebody has paid

# Plays a file from its beginning to its end; then looks at each frame by itself.
PLAY = """
async (address, count, fps) => {
    const video = document.createElement("video");
    video.muted = true;
    document.body.replaceChildren(video);
    const refused = await new Promise(done => {
        video.onended = () => done(false);
        video.onerror = () => done(true);
        video.src = address;
        video.play().catch(() => {});
    });
    if (refused) return {isRefused: true};
    const played = video.getVideoPlaybackQuality().totalVideoFrames;
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    const context = canvas.getContext("2d");
    const frames = [];
    for (let index = 0; index < count; index++) {
        const shown = new Promise(done => video.requestVideoFrameCallback((now, frame) => done(frame.mediaTime)));
        video.currentTime = (index + 0.5) / fps;
        const time = await shown;
        context.drawImage(video, 0, 0);
        const middle = context.getImageData(video.videoWidth >> 1, video.videoHeight >> 1, 1, 1);
        frames.push({time, colour: [...middle.data].slice(0, 3)});
    }
    return {isRefused: false, played, frames, duration: video.duration, size: [video.videoHeight, video.videoWidth]};
}
"""


@dataclass(frozen=True)
class Clip:
    """A video, each frame of which has a colour of its own."""

    size: VideoSize
    fps: Fraction

    @property
    def colours(self) -> np.ndarray:
        """Of the frames, [num_frames, 3], in [-1, 1]."""
        share = np.linspace(0.1, 1, self.size.num_frames, dtype=np.float32)[:, None]
        return 2 * share * np.array([1, 0.5, 0.2], np.float32) - 1

    def write(self, path: Path, codec: str) -> None:
        """As a file."""
        shape = (self.size.height, self.size.width, 3)
        frames = (np.broadcast_to(colour, shape) for colour in self.colours)
        write_video(
            frames, path, size=self.size, fps=self.fps, codec=codec, crf=18, metadata="", progress=lambda *_: None
        )


CLIPS = {
    "default": Clip(VideoSize(9, 96, 96), Fraction(8)),
    "film on television": Clip(VideoSize(9, 96, 96), Fraction(24000, 1001)),
    "no multiple of 16": Clip(VideoSize(5, 480, 854), Fraction(12)),
    "one frame": Clip(VideoSize(1, 96, 96), Fraction(24)),
    "two frames": Clip(VideoSize(2, 96, 96), Fraction(4)),
    "narrow": Clip(VideoSize(5, 16, 128), Fraction(12)),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def page(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    (folder / "index.html").write_text("<!doctype html><title>video</title><body></body>")
    with browsing(tmp_path_factory.mktemp("profile")) as page, serving(folder) as address:
        page.open(f"{address}/index.html")
        yield page


def play(page: Page, folder: Path, clip: Clip, codec: str) -> Any:
    clip.write(folder / "video.mp4", codec)
    # another address for each, or it would show the one before
    return page.evaluate(f"({PLAY})('video.mp4?' + Math.random(), {clip.size.num_frames}, {float(clip.fps)})")


def can_play(page: Page, path: Path) -> str:
    """ "probably", "maybe", or "" for no."""
    kind = f'video/mp4; codecs="{read_format(path).codecs}"'
    answer: str = page.evaluate(f"document.createElement('video').canPlayType({json.dumps(kind)})")
    return answer


@pytest.mark.parametrize("clip", CLIPS.values(), ids=CLIPS)
@pytest.mark.parametrize("codec", PLAYED)
def test_a_video_plays_to_its_last_frame(page: Page, folder: Path, codec: str, clip: Clip):
    seen = play(page, folder, clip, codec)
    assert not seen["isRefused"]
    assert seen["played"] == clip.size.num_frames
    assert seen["size"] == [clip.size.height, clip.size.width]
    assert seen["duration"] == pytest.approx(float(clip.size.num_frames / clip.fps), abs=0.001)
    times = [frame["time"] for frame in seen["frames"]]
    assert times == pytest.approx([float(index / clip.fps) for index in range(clip.size.num_frames)], abs=0.001)
    colours = np.array([frame["colour"] for frame in seen["frames"]], int)
    assert np.abs(colours - to_levels(clip.colours)).max() <= 6  # levels; those of two frames differ by 28


@pytest.mark.parametrize("codec", PLAYED)
def test_the_browser_knows_the_codec_by_its_name_and_plays_it(page: Page, folder: Path, codec: str):
    CLIPS["default"].write(folder / "video.mp4", codec)
    assert can_play(page, folder / "video.mp4") == "probably"


@pytest.mark.parametrize("clip", ["default", "one frame"])
def test_hevc_plays_where_the_browser_says_so_and_is_refused_where_it_does_not(page: Page, folder: Path, clip: str):
    seen = play(page, folder, CLIPS[clip], "hevc")
    assert seen["isRefused"] == (can_play(page, folder / "video.mp4") == "")
    assert seen.get("played") == (None if seen["isRefused"] else CLIPS[clip].size.num_frames)


def test_every_codec_is_tried():
    assert {*PLAYED, "hevc"} == {*CODECS}
