"""Videos of three sizes and lengths show what their prompts say."""

from pathlib import Path

import av
import numpy as np
import pytest

from tests.project import copy_project, stages_run
from training.shapes.metric import read_video
from training.shapes.vocabulary import Combination

pytestmark = pytest.mark.processes

VIDEOS = {  # prompt, frames, height, width, what it shows
    "tall": ("a yellow triangle falls on a white background", 13, 160, 96, ("triangle", "yellow", "down", "white")),
    "long": ("a blue square moves to the left", 25, 64, 64, ("square", "blue", "left", "black")),
    "large": ("a green circle rests on gray", 17, 128, 128, ("circle", "green", "still", "gray")),
}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = copy_project(tmp_path_factory.mktemp("sizes"))
    demo = (root / "params/videos/demo.toml").read_text(encoding="utf-8")
    (root / "params/videos/demo.toml").unlink()
    settings = demo[demo.index("num_inference_steps") :]
    for name, (prompt, num_frames, height, width, _) in VIDEOS.items():
        size = f"num_frames = {num_frames}\nheight = {height}\nwidth = {width}\n"
        text = f'[encode]\nprompt = "{prompt}"\ndtype = "float32"\n\n[denoise]\n{size}{settings}'
        (root / f"params/videos/{name}.toml").write_text(text, encoding="utf-8")
    assert len(stages_run(root)) == 12
    return root / "artifacts/videos"


@pytest.mark.parametrize("name", VIDEOS)
def test_video_shows_what_its_prompt_says(videos: Path, name: str):
    with av.open(str(videos / f"{name}.mp4")) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    _, num_frames, height, width, expected = VIDEOS[name]
    assert frames.shape == (num_frames, height, width, 3)
    assert read_video(frames.astype(np.float32) / 255).combination == Combination(*expected)
