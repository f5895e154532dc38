"""The difference of two videos."""

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from stages.export.difference import NoVideoError, measure_videos
from stages.export.video import write_video
from stages.geometry import VideoSize
from stages.tensors.difference import Difference


def write(path: Path, color: float, *, num_frames: int = 5, width: int = 32) -> Path:
    """A video of one grey, in [-1, 1]."""
    frames = [np.full((32, width, 3), color, np.float32)] * num_frames
    size = VideoSize(num_frames, 32, width)
    write_video(
        frames, path, size=size, fps=Fraction(8), codec="h264", crf=1, metadata="", progress=lambda _done, _total: None
    )
    return path


def test_equal_pictures_have_no_difference(tmp_path: Path):
    found = measure_videos(write(tmp_path / "one.mp4", 0), write(tmp_path / "other.mp4", 0))
    assert found == {"frames": Difference(5 * 32 * 32 * 3, 0, 0.0, float("inf"))}


def test_a_difference_is_in_levels_of_255(tmp_path: Path):
    (found,) = measure_videos(write(tmp_path / "one.mp4", -1), write(tmp_path / "other.mp4", 1)).values()
    assert isinstance(found, Difference)
    assert (found.num_unequal, found.max_abs) == (found.num_values, 255)
    assert found.psnr_db == pytest.approx(0, abs=0.1)


def test_videos_of_another_length_or_size_are_not_measured(tmp_path: Path):
    one = write(tmp_path / "one.mp4", 0)
    assert measure_videos(one, write(tmp_path / "long.mp4", 0, num_frames=9)) == {"frames": "5 and 9 of them"}
    assert measure_videos(one, write(tmp_path / "wide.mp4", 0, width=64)) == {
        "frames": "of different size: 32x32 and 64x32"
    }


@pytest.mark.processes
def test_as_a_program_it_prints_json_or_what_it_cannot_read(tmp_path: Path):
    one = write(tmp_path / "one.mp4", 0)
    (tmp_path / "none.mp4").write_text("no video")
    command = [sys.executable, "-m", "stages.export.difference", one]
    ended = subprocess.run([*command, one], capture_output=True, text=True, check=True)
    assert json.loads(ended.stdout)["frames"]["num_unequal"] == 0
    ended = subprocess.run([*command, tmp_path / "none.mp4"], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("no video that can be read (")


def test_a_file_without_pictures_is_no_video(tmp_path: Path):
    file = tmp_path / "sound.mp4"
    with av.open(str(file), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    with pytest.raises(NoVideoError):
        measure_videos(file, file)
