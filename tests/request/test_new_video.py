"""A video whose file is still to be written."""

from pathlib import Path

import pytest

from stages.errors import ParamsError
from stages.pipeline.stages import Pipeline
from stages.request.new_video import check_new_video
from stages.request.params import load_params
from tests.project import copy_params


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copy_params(tmp_path)


def test_a_new_video_is_what_its_file_would_make_it(root: Path):
    written = {"encode": {"prompt": "a cat", "dtype": "float32"}, "denoise": {"seed": 7, "flow_shift": None}}
    new = check_new_video(root, "new", written, {"denoise.seed": "8"}, Pipeline())
    (root / "params/videos/new.toml").write_text(
        '[encode]\nprompt = "a cat"\ndtype = "float32"\n[denoise]\nseed = 8\n', encoding="utf-8"
    )
    assert new.params == load_params(root, {}, Pipeline()).videos["new"]


def test_what_is_wrong_with_other_videos_is_no_fault_of_a_new_one(root: Path):
    (root / "params/videos/other.toml").write_text("hello")
    assert check_new_video(root, "new", {"encode": {"prompt": "a cat"}}, {}, Pipeline()).params.stages


def test_faults_of_a_new_video_name_its_file_and_the_command_line(root: Path):
    with pytest.raises(ParamsError) as caught:
        check_new_video(root, "new", {"denoise": {"seed": -1}}, {"export.fsp": "1"}, Pipeline())
    assert str(caught.value).splitlines() == [
        "command line, export.fsp = 1: no such parameter. Did you mean `export.fps`?",
        "  params/videos/new.toml, encode.prompt: is missing. Add `prompt` to its table [encode], or to "
        "params/encode.toml for all videos.",
        "  params/videos/new.toml, denoise.seed = -1: must be 0 to 9223372036854775807: the seed decides which video "
        "it is, so none is drawn. Take any number, such as `denoise.seed=$RANDOM` on the command line of a shell.",
    ]
