"""Parameter files, overrides and their errors. Messages are compared whole: they are part of the interface."""

import shutil
from pathlib import Path

import pytest
from doit.doit_cmd import DoitMain
from hypothesis import given
from hypothesis import strategies as st

from stages.errors import ParamsError
from stages.geometry import is_valid_num_frames
from stages.params import RESERVED_NAMES, load_params

PROJECT = Path(__file__).parent.parent


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copytree(PROJECT / "params", tmp_path / "params")
    return tmp_path


def message(root: Path, **overrides: str) -> str:
    with pytest.raises(ParamsError) as error:
        load_params(root, {name.replace("__", "."): text for name, text in overrides.items()})
    return str(error.value)


def test_defaults_are_those_of_the_reference_scripts(root: Path):
    (root / "params/videos/demo.toml").write_text('[encode]\nprompt = "x"\n')
    video = load_params(root, {}).videos["demo"]
    assert video.of_stage("denoise") == {
        "num_frames": 49,
        "height": 720,
        "width": 1280,
        "num_inference_steps": 50,
        "guidance_scale": 6.0,
        "seed": 42,
        "window_size": 0,
        "flow_shift": None,
        "dtype": "bfloat16",
    }
    assert video.export.fps == 24


def test_a_video_overrides_the_defaults_and_the_command_line_both(root: Path):
    video = load_params(root, {"denoise.num_frames": "13", "denoise.flow_shift": "7"}).videos["demo"]
    assert (video.denoise.num_frames, video.denoise.height, video.denoise.seed) == (13, 96, 42)
    assert video.denoise.flow_shift == 7.0


def test_text_on_the_command_line_is_taken_as_it_is(root: Path):
    prompt = 'true = "a", 5'
    assert load_params(root, {"encode.prompt": prompt}).videos["demo"].encode.prompt == prompt


def test_overrides_can_be_limited_to_one_video(root: Path):
    shutil.copy(root / "params/videos/demo.toml", root / "params/videos/other.toml")
    videos = load_params(root, {"denoise.seed": "5", "video": "other"}).videos
    assert (videos["demo"].denoise.seed, videos["other"].denoise.seed) == (42, 5)


def test_machine_settings_are_no_part_of_a_video(root: Path):
    params = load_params(root, {"machine.platform": "cpu"})
    assert params.machine.platform == "cpu"
    assert "machine" not in params.videos["demo"].model_dump()


def test_all_faults_of_all_files_are_told_at_once(root: Path):
    (root / "params/export.toml").write_text("fps = 24.5\ncrf = 18\ncodec = 'h264'\n")
    (root / "params/videos/demo.toml").write_text(
        '[encode]\nprompt = "x"\n[denoise]\nnum_frames = 120\nguidence_scale = 5.0\n[colour]\n'
    )
    (root / "params/videos/encode.toml").write_text('[encode]\nprompt = "x"\n')
    assert message(root) == "\n  ".join(
        [
            "params/videos/demo.toml, colour: no such table.",
            "params/videos/encode.toml: `encode` is the name of a stage or a command. Rename the file.",
            "params/videos/demo.toml, denoise.num_frames = 120: must be 4k + 1, because the VAE keeps frame 0 "
            "alone and folds each 4 after it into one. Use 117 or 121.",
            "params/videos/demo.toml, denoise.guidence_scale: no such parameter. Did you mean `guidance_scale`?",
            "params/export.toml, export.fps = 24.5: must be a valid integer.",
        ]
    )


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("denoise.num_frames", "0", "0: must be greater than or equal to 1."),
        ("denoise.height", "100", "100: must be a multiple of 16, the VAE's spatial compression. Use 96 or 112."),
        ("denoise.width", "8", "8: must be greater than or equal to 16."),
        ("denoise.guidance_scale", "0.5", "0.5: must be greater than or equal to 1."),
        ("denoise.guidance_scale", "nan", "nan: must be a finite number."),
        ("denoise.seed", "-1", "-1: must be greater than or equal to 0."),
        ("denoise.seed", "true", "true: must be a valid integer."),
        ("denoise.seed", "nine", '"nine": must be a valid integer.'),
        ("denoise.seed", "", '"": must be a valid integer.'),
        ("denoise.flow_shift", "0", "0: must be greater than 0."),
        ("encode.dtype", "float16", "\"float16\": must be 'bfloat16' or 'float32'."),
        ("decode.enable_tiling", "1", "1: must be a valid boolean."),
        ("decode.tile_overlap", "0.6", "0.6: must be less than or equal to 0.5."),
        ("export.fps", "241", "241: must be less than or equal to 240."),
        ("export.crf", "52", "52: must be less than or equal to 51."),
        ("machine.platform", "gpu", "\"gpu\": must be 'auto', 'cpu' or 'tpu'."),
    ],
)
def test_a_value_out_of_its_rule_is_told_with_the_rule(root: Path, name: str, text: str, rule: str):
    with pytest.raises(ParamsError) as error:
        load_params(root, {name: text})
    assert str(error.value) == f"command line, {name} = {rule}"


def test_a_misspelt_override_is_told_with_a_near_name(root: Path):
    assert message(root, denoise__sed="1") == (
        "command line, denoise.sed = 1: no such parameter. Did you mean `denoise.seed`?"
    )


def test_an_unknown_video_is_told_with_a_near_name(root: Path):
    assert message(root, video="dem") == "command line, video = dem: no such video. Did you mean `demo`?"


def test_a_missing_prompt_is_told_where_it_belongs(root: Path):
    (root / "params/videos/demo.toml").write_text("")
    assert message(root) == "params/videos/demo.toml, encode.prompt: is missing. Add `prompt` to its table [encode]."


def test_broken_toml_is_told_with_its_line(root: Path):
    (root / "params/decode.toml").write_text("enable_tiling = maybe\n")
    assert message(root).startswith("params/decode.toml: not valid TOML: Invalid value (at line 1, column 17).")


def test_a_missing_file_of_defaults_is_told(root: Path):
    (root / "params/machine.toml").unlink()
    assert message(root).startswith("params/machine.toml: no such file. Restore it from the repository.")


def test_a_project_without_videos_is_told(root: Path):
    (root / "params/videos/demo.toml").unlink()
    assert message(root) == "params/videos: holds no video. Write one, such as demo.toml."


@pytest.mark.parametrize("name", ["Demo", "-x", "a b", "ä"])
def test_a_video_name_that_is_no_task_name_is_told(root: Path, name: str):
    (root / "params/videos/demo.toml").rename(root / f"params/videos/{name}.toml")
    assert message(root) == (
        f"params/videos/{name}.toml: a video's name is made of a-z, 0-9, _ and -, the first a letter or digit. "
        "Rename it."
    )


def test_every_command_of_doit_is_reserved():
    assert {command.get_name() for command in DoitMain.DOIT_CMDS} <= RESERVED_NAMES


@given(num_frames=st.integers(1, 10_000))
def test_the_lengths_that_a_message_offers_are_valid(num_frames: int):
    try:
        load_params(PROJECT, {"denoise.num_frames": str(num_frames)})
    except ParamsError as error:
        offered = str(error).rsplit("Use ", 1)[1].rstrip(".").split(" or ")
        assert all(is_valid_num_frames(int(number)) for number in offered)
    else:
        assert is_valid_num_frames(num_frames)
