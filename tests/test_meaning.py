"""The default video and the examples of other sizes and lengths show what their prompts say."""

import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from stages.geometry import VideoSize
from tests.project import PROJECT, copy_project, stages_run
from training.shapes.metric import read_video
from training.shapes.vocabulary import Combination

pytestmark = pytest.mark.processes

FILES = [PROJECT / "params/videos/demo.toml", *(PROJECT / "docs/examples").glob("*.toml")]
SIZES = {
    "demo": VideoSize(25, 96, 96),
    "large": VideoSize(25, 128, 128),
    "tall": VideoSize(13, 160, 96),
    "wide": VideoSize(17, 64, 160),
}
SHOWN = {
    "demo": Combination("circle", "red", "right", "black"),
    "large": Combination("circle", "green", "left", "gray"),
    "tall": Combination("square", "blue", "down", "white"),
    "wide": Combination("triangle", "yellow", "right", "black"),
}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the videos, when all are made."""
    root = copy_project(tmp_path_factory.mktemp("meaning"))
    for file in FILES:
        shutil.copy(file, root / "params/videos")
    assert len(stages_run(root)) == 4 * len(SIZES)
    return root / "artifacts/videos"


@pytest.mark.parametrize("name", SIZES)
def test_a_video_has_the_size_and_length_that_were_asked_for_and_shows_what_its_prompt_says(videos: Path, name: str):
    with av.open(str(videos / f"{name}.mp4")) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    size = SIZES[name]
    assert frames.shape == (size.num_frames, size.height, size.width, 3)
    assert read_video(frames.astype(np.float32) / 255).combination == SHOWN[name]


def test_the_default_video_takes_about_two_seconds(videos: Path):
    with av.open(str(videos / "demo.mp4")) as container:
        assert container.streams.video[0].average_rate == 12
