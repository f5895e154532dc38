"""Parameter files, overrides and their errors. Messages are compared whole: they are part of the interface."""

import os
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from annotated_types import Le
from doit.doit_cmd import DoitMain
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.errors import ParamsError
from stages.geometry import is_valid_num_frames
from stages.machine.printable import escaped
from stages.pipeline.denoise import DenoiseParams
from stages.pipeline.stages import Pipeline
from stages.request.params import RESERVED_NAMES, load_machine, load_params, read_overrides
from stages.request.tables import MachineParams, ModelParams
from tests.project import PROJECT, copy_params
from tests.request.messages import message

FPS_RULE = 'must be 1 to 240: a number such as 24 or 23.976, or a fraction such as "24000/1001".'
SEED_RULE = (
    "must be 0 to 9223372036854775807: the seed decides which video it is, so none is drawn. Take any number, such as "
    "`denoise.seed=$RANDOM` on the command line of a shell."
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copy_params(tmp_path)


def test_defaults_are_those_of_the_reference_scripts(root: Path):
    (root / "params/videos/demo.toml").write_text('[encode]\nprompt = "x"\n')
    video = load_params(root, {}, Pipeline()).videos["demo"]
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
    assert video.of_stage("export")["fps"] == 24


def test_a_video_overrides_the_defaults_and_the_command_line_both(root: Path):
    video = load_params(root, {"denoise.num_frames": "13", "denoise.flow_shift": "7"}, Pipeline()).videos["demo"]
    denoise = video.table(DenoiseParams)
    assert (denoise.num_frames, denoise.height, denoise.seed) == (13, 96, 42)
    assert denoise.flow_shift == 7.0


def test_text_on_the_command_line_is_taken_as_it_is(root: Path):
    prompt = 'true = "a", 5'
    assert (
        load_params(root, {"encode.prompt": prompt}, Pipeline()).videos["demo"].of_stage("encode")["prompt"] == prompt
    )


@pytest.mark.parametrize("text", ["x.file", "./params/../x.file", "{root}/x.file", "~/x.file"])
def test_a_file_is_found_from_the_project_the_home_or_the_root(root: Path, monkeypatch: pytest.MonkeyPatch, text: str):
    (root / "x.file").touch()
    monkeypatch.setenv("HOME", str(root))
    monkeypatch.chdir("/")
    video = load_params(root, {"denoise.from_file": text.format(root=root)}, Pipeline()).videos["demo"]
    file = video.file_of_stage("denoise")
    assert file is not None
    assert file.is_absolute()
    assert file.samefile(root / "x.file")


def test_without_a_file_every_stage_computes(root: Path):
    video = load_params(root, {"denoise.from_file": ""}, Pipeline()).videos["demo"]
    assert [video.file_of_stage(stage) for stage in ("encode", "denoise", "decode", "export")] == [None] * 4
    assert not any("from_file" in video.of_stage(stage) for stage in ("encode", "denoise"))


@pytest.mark.parametrize("table", ["encode", "denoise"])
def test_no_prompt_is_asked_for_where_a_file_takes_its_place(root: Path, table: str):
    (root / "params/videos/demo.toml").write_text(f'[{table}]\nfrom_file = "x.file"\n')
    (root / "x.file").touch()
    assert load_params(root, {}, Pipeline()).videos["demo"].file_of_stage(table) == root / "x.file"


def test_a_wrong_default_is_reported_even_where_every_video_has_a_value_of_its_own(root: Path):
    (root / "params/export.toml").write_text("fps = 'many'\ncrf = 18\ncodec = 'h264'\n")
    assert "fps = 8" in (root / "params/videos/demo.toml").read_text()
    assert message(root) == f'params/export.toml, export.fps = "many": {FPS_RULE}'


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("x", "there is no file {root}/x. "),
        ("params", "{root}/params is a folder, and must be a file. "),
        (".", "{root} is a folder, and must be a file. "),
        ("/dev/null", "/dev/null is a device, and must be a file. "),
        ("a\nb", "there is no file {root}/a\\nb. "),
        ("a\0b", "is not a usable path (it has a NUL character). "),
        ("\x1b[2J", "there is no file {root}/\\x1b[2J. "),
        ("~nobody-at-all/x", "is not a usable path (Could not determine home directory.). "),
        ("x" * 300, "is not a usable path ([Errno 36] File name too long: '{root}/" + "x" * 300 + "'). "),
    ],
)
def test_a_file_that_is_not_there_is_reported_with_its_whole_path(root: Path, text: str, fault: str):
    assert message(root, denoise__from_file=text) == (
        f'command line, denoise.from_file = "{escaped(text)}": {fault.format(root=root)}'
        "Correct it; a relative path starts at the project's folder."
    )


@pytest.mark.parametrize("kind", ["FIFO", "socket"])
def test_a_file_that_is_none_is_named_as_what_it_is(root: Path, kind: str, monkeypatch: pytest.MonkeyPatch):
    path = root / "x"
    monkeypatch.chdir(root)  # the path of a socket is short
    if kind == "FIFO":
        os.mkfifo(path)
    else:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("x")
    assert message(root, denoise__from_file="x") == (
        f'command line, denoise.from_file = "x": {path} is a {kind}, and must be a file. '
        "Correct it; a relative path starts at the project's folder."
    )


def test_a_file_that_is_a_link_to_itself_is_reported(root: Path):
    (root / "x").symlink_to("x")
    assert message(root, denoise__from_file="x") == (
        'command line, denoise.from_file = "x": is not a usable path ([Errno 40] Too many levels of symbolic links: '
        f"'{root}/x'). Correct it; a relative path starts at the project's folder."
    )


@pytest.mark.parametrize("name", ["two\nlines", "a\x1b[2Jb", "tab\there"])
def test_a_video_whose_files_name_steers_a_terminal_is_named_without_that(root: Path, name: str):
    (root / f"params/videos/{name}.toml").write_text("[colour]\n")
    shown = f"params/videos/{escaped(name)}.toml"
    faults = load_params(root, {}, Pipeline()).faults
    assert [*faults] == [shown]
    assert str(faults[shown]).startswith(
        f"{shown}: a video's name is made of a-z, 0-9, _ and -, the first a letter or digit. Rename it.\n"
        f"  {shown}, colour: no such table."
    )


def test_names_in_files_are_shown_without_what_steers_a_terminal(root: Path):
    (root / "params/videos/demo.toml").write_text('["co\\u001blour"]\n[encode]\nprompt = "x"\n"se\\u001bed" = 1\n')
    assert message(root) == (
        "params/videos/demo.toml, co\\x1blour: no such table.\n"
        "  params/videos/demo.toml, encode.se\\x1bed: no such parameter."
    )


def test_a_wrong_file_is_reported_where_it_was_named_and_beside_other_faults(root: Path):
    (root / "params/videos/demo.toml").write_text('[encode]\nfrom_file = "x"\n[denoise]\nseed = -1\n')
    assert message(root) == "\n  ".join(
        [
            f'params/videos/demo.toml, encode.from_file = "x": there is no file {root}/x. '
            "Correct it; a relative path starts at the project's folder.",
            "params/videos/demo.toml, denoise.seed = -1: " + SEED_RULE,
        ]
    )


def test_overrides_can_be_limited_to_one_video(root: Path):
    shutil.copy(root / "params/videos/demo.toml", root / "params/videos/other.toml")
    videos = load_params(root, {"denoise.seed": "5", "video": "other"}, Pipeline()).videos
    assert (videos["demo"].of_stage("denoise")["seed"], videos["other"].of_stage("denoise")["seed"]) == (42, 5)


def test_all_faults_of_all_files_are_reported_at_once(root: Path):
    (root / "params/export.toml").write_text("fps = 240.5\ncrf = 18\ncodec = 'h264'\n")
    (root / "params/videos/demo.toml").write_text(
        '[encode]\nprompt = "x"\n[denoise]\nnum_frames = 120\nguidence_scale = 5.0\n[colour]\n'
    )
    (root / "params/videos/encode.toml").write_text('[encode]\nprompt = "x"\n')
    assert message(root) == "\n  ".join(
        [
            "params/videos/demo.toml, colour: no such table.",
            "params/videos/encode.toml: `encode` is the name of a stage or a command. Rename the file.",
            f"params/export.toml, export.fps = 240.5: {FPS_RULE}",
            "params/videos/demo.toml, denoise.num_frames = 120: must be 4k + 1, because the VAE keeps frame 0 "
            "alone and folds each 4 after it into one. Use 117 or 121.",
            "params/videos/demo.toml, denoise.guidence_scale: no such parameter. Did you mean `guidance_scale`?",
        ]
    )


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("denoise.num_frames", "0", "0: must be greater than or equal to 1."),
        ("denoise.height", "101", "101: must be a multiple of 16, the VAE's spatial compression. Use 96 or 112."),
        (
            "denoise.height",
            "1080",
            "1080: must be a multiple of 16, the VAE's spatial compression. Use 1072 or 1088. For a video of 1080, "
            'denoise 1088 and set export.crop = "<width>x1080".',
        ),
        (
            "denoise.width",
            "854",
            "854: must be a multiple of 16, the VAE's spatial compression. Use 848 or 864. For a video of 854, "
            'denoise 864 and set export.crop = "854x<height>".',
        ),
        ("denoise.width", "8", "8: must be greater than or equal to 16."),
        ("denoise.width", "100000000", "100000000: must be less than or equal to 16384."),
        ("denoise.height", "16400", "16400: must be less than or equal to 16384."),
        ("denoise.num_frames", "86405", "86405: must be less than or equal to 86401."),
        ("denoise.window_size", "2147483648", "2147483648: must be less than or equal to 2147483647."),
        ("denoise.guidance_scale", "0.5", "0.5: must be greater than or equal to 1."),
        ("denoise.guidance_scale", "nan", "nan: must be a finite number."),
        ("denoise.seed", "-1", f"-1: {SEED_RULE}"),
        ("denoise.seed", "random", f'"random": {SEED_RULE}'),
        (
            "denoise.seed",
            "9223372036854775808",
            "9223372036854775808: must be less than or equal to 9223372036854775807.",
        ),
        ("denoise.seed", "true", "true: must be a whole number."),
        ("denoise.seed", "nine", '"nine": must be a whole number.'),
        ("denoise.seed", "", '"": must be a whole number.'),
        ("denoise.seed", "1\nother = 2", '"1\\nother = 2": must be a whole number.'),
        ("denoise.seed", "[" * 5000, f'"{"[" * 500}…" (5000 characters): must be a whole number.'),
        (
            "denoise.seed",
            "9" * 5000,
            "a number of 5000 digits: must be less than or equal to 9223372036854775807.",
        ),
        ("denoise.seed", "-" + "9" * 5000, f"a number of 5000 digits: {SEED_RULE}"),
        ("denoise.guidance_scale", "9" * 5000, "a number of 5000 digits: is out of range."),
        (
            "denoise.seed",
            "0x" + "f" * 5000,
            "a number of 6021 digits: must be less than or equal to 9223372036854775807.",
        ),
        ("denoise.seed", "[0x" + "f" * 5000 + "]", "a list: must be a whole number."),
        ("denoise.num_inference_steps", f"1{'0' * 20}", f"1{'0' * 20}: must be less than or equal to 10000."),
        ("denoise.num_frames", f"1{'0' * 30}", f"1{'0' * 30}: must be less than or equal to 86401."),
        ("denoise.guidance_scale", "1e308", "1e+308: must be less than or equal to 1000."),
        ("denoise.guidance_scale", "1e999", "inf: must be a finite number."),
        ("denoise.flow_shift", "1e-320", "1e-320: must be greater than or equal to 0.001."),
        ("denoise.flow_shift", "1e308", "1e+308: must be less than or equal to 1000."),
        ("denoise.flow_shift", "0", "0: must be greater than or equal to 0.001."),
        ("encode.dtype", "float16", "\"float16\": must be 'bfloat16' or 'float32'."),
        (
            "decode.decoder",
            "torch",
            "\"torch\": must be 'native', 'diffusers', 'diffusers-tpu' or 'diffusers-tpu-framewise'.",
        ),
        ("decode.enable_tiling", "1", "1: must be true or false."),
        ("decode.tile_overlap", "0.6", "0.6: must be less than or equal to 0.5."),
        ("export.fps", "241", f"241: {FPS_RULE}"),
        ("export.fps", "24fps", f'"24fps": {FPS_RULE}'),
        ("export.fps", "true", f"true: {FPS_RULE}"),
        ("export.crop", "1080p", '"1080p": must be "<width>x<height>" in pixels, such as "1920x1080".'),
        ("export.codec", "h265", "\"h265\": must be 'h264', 'hevc', 'av1' or 'vp9'."),
        ("export.crf", "-1", '-1: must be 1 to 51 when export.codec is "h264".'),
        (
            "export.crf",
            "0",
            '0: must be 1 to 51 when export.codec is "h264": 0 is lossless, in a profile (High 4:4:4 Predictive) that '
            "many players refuse. Use 1.",
        ),
        ("export.crf", "18.5", "18.5: must be a whole number."),
        ("export.crf", "52", '52: must be 1 to 51 when export.codec is "h264".'),
        ("encode.prompt", " \t", '" \\t": is only white space. Write a prompt, or "" for a video without one.'),
        ("encode.prompt", "\u3000", '"\u3000": is only white space. Write a prompt, or "" for a video without one.'),
    ],
)
def test_a_value_out_of_its_rule_is_reported_with_the_rule(root: Path, name: str, text: str, rule: str):
    with pytest.raises(ParamsError) as error:
        load_params(root, {name: text}, Pipeline())
    assert str(error.value) == f"command line, {name} = {rule}"


@pytest.mark.parametrize(("codec", "best", "worst"), [("h264", 1, 51), ("hevc", 0, 51), ("av1", 0, 63), ("vp9", 0, 63)])
def test_each_codec_has_its_own_range_of_crf(root: Path, codec: str, best: int, worst: int):
    (root / "params/videos/demo.toml").write_text(f'[encode]\nprompt = "x"\n[export]\ncrf = {worst + 1}\n')
    assert message(root, export__codec=codec) == (
        f'params/videos/demo.toml, export.crf = {worst + 1}: must be {best} to {worst} when export.codec is "{codec}".'
    )
    for crf in (best, worst):
        found = (
            load_params(root, {"export.codec": codec, "export.crf": str(crf)}, Pipeline())
            .videos["demo"]
            .of_stage("export")
        )
        assert (found["codec"], found["crf"]) == (codec, crf)


def test_a_misspelt_override_is_reported_with_a_near_name(root: Path):
    assert message(root, denoise__sed="1") == (
        "command line, denoise.sed = 1: no such parameter. Did you mean `denoise.seed`?"
    )


def test_an_unknown_video_is_reported_with_a_near_name(root: Path):
    assert message(root, video="dem") == "command line, video = dem: no such video. Did you mean `demo`?"


def test_a_missing_prompt_is_reported_where_it_belongs(root: Path):
    (root / "params/videos/demo.toml").write_text("")
    assert message(root) == (
        "params/videos/demo.toml, encode.prompt: is missing. "
        "Add `prompt` to its table [encode], or to params/encode.toml for all videos."
    )


@pytest.mark.parametrize("text", [None, "", 'platform = "cpu"\n'])
def test_what_a_file_of_defaults_does_not_say_has_the_default_of_the_code(root: Path, text: str | None):
    before = load_params(root, {}, Pipeline())
    for path in (root / "params").glob("*.toml"):
        if text is None:
            path.unlink()
        elif path.stem == "machine":
            path.write_text(text)
        else:
            path.write_text("")
    after = load_params(root, {}, Pipeline())
    assert after.videos == before.videos
    assert after.machine == before.machine.model_copy(update={"platform": "cpu"} if text else {})


def test_the_shipped_files_show_every_parameter_with_its_default():
    tables = {"model": ModelParams, "machine": MachineParams, **{stage.name: stage.parameters for stage in Pipeline()}}
    for table, model in tables.items():
        shown = tomllib.loads((PROJECT / f"params/{table}.toml").read_text(encoding="utf-8"))
        defaults = {name: field.default for name, field in model.model_fields.items() if not field.is_required()}
        unset = [name for name, value in defaults.items() if value is None]  # TOML has no word for it
        assert shown == {name: value for name, value in defaults.items() if value is not None}, table
        text = (PROJECT / f"params/{table}.toml").read_text(encoding="utf-8")
        assert all(f"# {name} = " in text for name in unset), table


def test_broken_defaults_are_reported_with_their_line_and_nothing_else(root: Path):
    (root / "params/decode.toml").write_text("enable_tiling = maybe\n")
    assert message(root) == "params/decode.toml: not valid TOML: Invalid value (at line 1, column 17)."


def test_a_broken_video_is_reported_with_its_line_and_nothing_else(root: Path):
    (root / "params/videos/demo.toml").write_text("[encode\n")
    assert message(root) == (
        "params/videos/demo.toml: not valid TOML: Expected ']' at the end of a table declaration (at line 1, column 8)."
    )


def test_a_table_that_is_none_is_reported_and_nothing_else(root: Path):
    (root / "params/videos/demo.toml").write_text('encode = "a red circle"\n')
    assert message(root) == 'params/videos/demo.toml, encode = "a red circle": must be a table, [encode].'


def test_other_faults_are_reported_beside_a_broken_file(root: Path):
    (root / "params/decode.toml").write_text("=")
    (root / "params/videos/demo.toml").write_text("")
    assert message(root, decode__tile_size="100") == "\n  ".join(
        [
            "params/decode.toml: not valid TOML: Invalid statement (at line 1, column 1).",
            "params/videos/demo.toml, encode.prompt: is missing. "
            "Add `prompt` to its table [encode], or to params/encode.toml for all videos.",
            "command line, decode.tile_size = 100: must be a multiple of 16, the VAE's spatial compression. "
            "Use 96 or 112.",
        ]
    )


def test_nothing_is_missing_where_the_defaults_cannot_be_read(root: Path):
    (root / "params/encode.toml").write_text("=")
    (root / "params/videos/demo.toml").write_text("")
    assert message(root) == "params/encode.toml: not valid TOML: Invalid statement (at line 1, column 1)."


def test_a_file_of_defaults_with_a_misspelt_name_is_reported(root: Path):
    (root / "params/denoise.toml").rename(root / "params/denoice.toml")
    assert message(root) == "params/denoice.toml: no such table. Did you mean `denoise`? Rename the file."


def test_lock_files_of_editors_are_no_videos(root: Path):
    (root / "params/videos/.#demo.toml").symlink_to("user@host.1234")
    assert load_params(root, {}, Pipeline()).videos.keys() == {"demo"}


def test_equal_numbers_are_one_value(root: Path):
    texts = ["0", "0.0", "-0.0", "0e0"]
    found = {str(load_params(root, {"decode.tile_overlap": text}, Pipeline()).videos["demo"].stages) for text in texts}
    assert len(found) == 1


def test_text_is_utf8_whatever_the_locale(root: Path):
    (root / "params/videos/demo.toml").write_text('[encode]\nprompt = "猫 é"\n', encoding="utf-8")
    program = (
        "from stages.request.params import *; "
        f"print(ascii(load_params(Path({str(root)!r}), {{}}, Pipeline()).videos['demo'].of_stage('encode')['prompt']))"
    )
    environment = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == ascii("猫 é")


def test_a_project_without_videos_is_reported(root: Path):
    (root / "params/videos/demo.toml").unlink()
    assert message(root) == "params/videos: holds no video. Write one, such as demo.toml."


@pytest.mark.parametrize("name", ["Demo", "-x", "a b", "ä"])
def test_a_video_name_that_is_no_task_name_is_reported(root: Path, name: str):
    (root / "params/videos/demo.toml").rename(root / f"params/videos/{name}.toml")
    assert message(root) == (
        f"params/videos/{name}.toml: a video's name is made of a-z, 0-9, _ and -, the first a letter or digit. "
        "Rename it."
    )


def test_a_video_name_that_is_too_long_for_files_of_its_own_is_reported(root: Path):
    (root / "params/videos/demo.toml").rename(root / f"params/videos/{'a' * 201}.toml")
    assert message(root).endswith("a.toml: a video's name has at most 200 characters, not 201. Rename the file.")
    (root / f"params/videos/{'a' * 201}.toml").rename(root / f"params/videos/{'a' * 200}.toml")
    assert [*load_params(root, {}, Pipeline()).videos] == ["a" * 200]


def test_every_command_of_doit_and_of_this_project_is_reserved():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    own = project["tool"]["doit"]["plugins"]["command"]
    assert own
    assert {command.get_name() for command in DoitMain.DOIT_CMDS} | own.keys() <= RESERVED_NAMES


@settings(deadline=None)
@given(num_frames=st.integers(1, 10_000))
def test_the_lengths_that_a_message_offers_are_valid(num_frames: int):
    try:
        load_params(PROJECT, {"denoise.num_frames": str(num_frames)}, Pipeline())
    except ParamsError as error:
        offered = str(error).rsplit("Use ", 1)[1].rstrip(".").split(" or ")
        assert all(is_valid_num_frames(int(number)) for number in offered)
    else:
        assert is_valid_num_frames(num_frames)


def write_video(root: Path, name: str, text: str) -> None:
    (root / f"params/videos/{name}.toml").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[encode\n", ": not valid TOML: Expected ']' at the end of a table declaration (at line 1, column 8)."),
        ("[colour]\n[encode]\nprompt = 'x'\n", ", colour: no such table."),
        ("prompt = 'x'\n[encode]\nprompt = 'x'\n", ", prompt: no such table. As a parameter it stands below [encode]."),
        ("[encode]\nprompt = 1\n", ", encode.prompt = 1: must be text."),
        (
            "[encode]\nprompt = ' '\n",
            ', encode.prompt = " ": is only white space. Write a prompt, or "" for a video without one.',
        ),
        (
            "[encode]\nprompt = 'x'\n[denoise]\nsteps = 3\n",
            ", denoise.steps: no such parameter. Did you mean `num_inference_steps`?",
        ),
        (
            "",
            ", encode.prompt: is missing. Add `prompt` to its table [encode], or to params/encode.toml for all videos.",
        ),
    ],
)
def test_a_fault_of_one_videos_file_stops_that_video_alone(root: Path, text: str, fault: str):
    write_video(root, "other", text)
    params = load_params(root, {"denoise.seed": "5"}, Pipeline())
    assert params.videos.keys() == {"demo"}
    assert {name: str(error) for name, error in params.faults.items()} == {"other": f"params/videos/other.toml{fault}"}


def test_the_faults_of_several_videos_are_all_there_each_with_its_file(root: Path):
    write_video(root, "a", "=")
    write_video(root, "b", "[denoise]\nseed = -1\nheight = 100\n")
    params = load_params(root, {}, Pipeline())
    assert params.videos.keys() == {"demo"}
    assert [str(error).count("params/videos/a.toml") for error in params.faults.values()] == [1, 0]
    assert [str(error).count("params/videos/b.toml") for error in params.faults.values()] == [0, 3]


@pytest.mark.parametrize("name", ["Upper", "encode", "list", "a=b"])
def test_a_file_that_can_be_no_video_stops_no_other_and_is_named_by_its_path(root: Path, name: str):
    write_video(root, name, "[encode]\nprompt = 'x'\n")
    params = load_params(root, {}, Pipeline())
    assert params.videos.keys() == {"demo"}
    assert params.faults.keys() == {f"params/videos/{name}.toml"}


def test_a_default_that_is_wrong_only_for_one_video_stops_it_alone_and_names_it(root: Path):
    (root / "params/export.toml").write_text("codec = 'av1'\ncrf = 60\n")
    write_video(root, "other", "[encode]\nprompt = 'x'\n[export]\ncodec = 'h264'\n")
    params = load_params(root, {}, Pipeline())
    assert params.videos.keys() == {"demo"}
    assert str(params.faults["other"]) == (
        'other: params/export.toml, export.crf = 60: must be 1 to 51 when export.codec is "h264".'
    )


@pytest.mark.parametrize("limit", [{}, {"video": "other"}])
def test_a_typed_value_that_is_wrong_only_for_one_video_stops_all(root: Path, limit: dict[str, str]):
    write_video(root, "other", "[encode]\nprompt = 'x'\n[export]\ncodec = 'h264'\n")
    with pytest.raises(ParamsError) as error:
        load_params(root, {"export.crf": "60", "denoise.seed": "1", **limit}, Pipeline())
    assert str(error.value) == 'command line, export.crf = 60: must be 1 to 51 when export.codec is "h264".'


def test_which_parameters_were_typed_is_known(root: Path):
    params = load_params(root, {"denoise.seed": "5", "video": "demo"}, Pipeline())
    assert params.typed == {"denoise.seed"}


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        (
            "export",
            "params/export.toml, [export]: this file is itself the table [export], and has none inside. "
            "Remove that line.",
        ),
        (
            "denoise",
            "params/export.toml, [denoise]: this file is itself the table [export], and has none inside. "
            "Move what is below that line to params/denoise.toml.",
        ),
    ],
)
def test_a_table_inside_a_file_of_defaults_is_reported_with_what_the_file_is(root: Path, table: str, fault: str):
    (root / "params/export.toml").write_text(f"[{table}]\n")
    assert message(root) == fault


def test_an_empty_prompt_is_taken_from_a_file_and_not_from_the_command_line(root: Path):
    write_video(root, "demo", "[encode]\nprompt = ''\n")
    assert load_params(root, {}, Pipeline()).videos["demo"].of_stage("encode")["prompt"] == ""
    assert message(root, encode__prompt="") == (
        'command line, encode.prompt = "": is empty; perhaps it is a shell variable without a value. If that is meant, '
        'write prompt = "" in the file of a video.'
    )


@pytest.mark.parametrize("name", ["encode.negative_prompt", "model.revision", "denoise.from_file"])
def test_what_may_be_empty_may_be_emptied_on_the_command_line(root: Path, name: str):
    assert load_params(root, {name: ""}, Pipeline()).videos.keys() == {"demo"}


def test_words_of_a_command_line_are_overrides_by_name():
    assert read_overrides(["denoise.seed=7", "encode.prompt=a=b", "encode.negative_prompt="]) == {
        "denoise.seed": "7",
        "encode.prompt": "a=b",
        "encode.negative_prompt": "",
    }


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["denoise.seed=1", "denoise.seed=2"], "denoise.seed=1 and denoise.seed=2: say two things. Leave one out."),
        (["a.b=1", "video=x", "video=y"], "video=x and video=y: say two things. Leave one out."),
        (["denoise.seed"], "denoise.seed: is not of the form stage.name=value."),
        (["=3"], "=3: has no name. Write name and value as one word, such as denoise.seed=7."),
    ],
)
def test_words_that_are_no_overrides_or_say_two_things_are_refused(words: list[str], fault: str):
    with pytest.raises(ParamsError) as error:
        read_overrides(words)
    assert str(error.value) == f"command line, {fault}"


@pytest.mark.parametrize(
    ("table", "name", "bound"),
    [
        ("denoise", "num_frames", "86401"),
        ("denoise", "height", "16384"),
        ("denoise", "width", "16384"),
        ("denoise", "window_size", "2^31 - 1"),
        ("decode", "tile_size", "16384"),
    ],
)
def test_the_shipped_files_say_the_largest_value_beside_the_default(table: str, name: str, bound: str):
    text = (PROJECT / f"params/{table}.toml").read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name} = ")]
    assert bound in line
    largest = eval(bound.replace("^", "**"))  # noqa: S307 (a literal of this file)
    rules = {"model": ModelParams, **{stage.name: stage.parameters for stage in Pipeline()}}[table]
    (rule,) = [rule.le for rule in rules.model_fields[name].metadata if isinstance(rule, Le)]
    assert rule == largest


def test_videos_that_agree_in_a_table_share_it(root: Path):
    for name, seed in (("one", 1), ("two", 2)):
        write_video(root, name, f'[encode]\nprompt = "x"\n[denoise]\nseed = {seed}\n')
    one, two = (load_params(root, {}, Pipeline()).videos[name] for name in ("one", "two"))
    shared = [name for name in one.stages if one.stages[name] == two.stages[name]]
    assert shared == ["encode", "decode", "export"]
    params = load_params(root, {}, Pipeline())
    assert all(params.videos["one"].stages[name] is params.videos["two"].stages[name] for name in shared)


def test_tables_of_equal_numbers_of_other_types_are_not_taken_for_each_other(root: Path):
    """1 is true in Python."""
    write_video(root, "one", '[encode]\nprompt = "x"\n[denoise]\nseed = 1\n')
    write_video(root, "two", '[encode]\nprompt = "x"\n[denoise]\nseed = true\n')
    params = load_params(root, {}, Pipeline())
    assert "one" in params.videos
    assert "denoise.seed = true: must be a whole number" in str(params.faults["two"])


def test_settings_of_the_machine_are_read_without_a_video(tmp_path: Path):
    (tmp_path / "params").mkdir()
    (tmp_path / "params/machine.toml").write_text('artifacts = "elsewhere"\n')
    assert load_machine(tmp_path, {}, Pipeline()).artifacts == "elsewhere"
    assert load_machine(tmp_path, {"machine.artifacts": "third"}, Pipeline()).artifacts == "third"
