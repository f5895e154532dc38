"""Tables of parameters as TOML."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.pipeline.stages import Pipeline
from stages.pipeline.toml_text import parse_toml, read_toml_text
from stages.request.new_video import check_new_video
from stages.request.params import load_params
from stages.request.video_file import leave_out_defaults, write_tables
from tests.project import copy_params

PROMPTS = (
    "",
    "a cat 猫 夜晚的城市",
    "she said \"no\", then 'yes' \\ and \"\"\" and '''",
    "two\nlines\r\nand\ta tab\r",
    "\x00\x01\x1b[2J\x7f\x85\u2028\u2029\ufeff\u202e",
    "🐈\u200d⬛ \U0010ffff # no comment = [nor] {a} table",
)
VALUES = (
    st.text()
    | st.sampled_from(PROMPTS)
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True) | st.text(min_size=1).filter(lambda name: "." not in name)


def typed(tables: object) -> str:
    """What tells 1 from 1.0 and from true, and -0.0 from 0.0."""
    return repr(tables)


def test_a_file_reads_as_a_person_would_write_it():
    text = write_tables(
        {
            "model": {"checkpoint": "org/name", "components.vae": "~/vae"},
            "encode": {"prompt": 'A "cat".\n猫'},
            "decode": {},
            "denoise": {"seed": 7, "guidance_scale": 3.0},
        },
        ["Written by a test.", ""],
    )
    assert text == (
        "# Written by a test.\n#\n\n"
        '[model]\ncheckpoint = "org/name"\n\n[model.components]\nvae = "~/vae"\n\n'
        '[encode]\nprompt = "A \\"cat\\".\\n猫"\n\n'
        "[denoise]\nseed = 7\nguidance_scale = 3.0\n"
    )


@given(st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES, min_size=1)))
def test_tables_come_back_from_the_text(tables: dict[str, dict[str, object]]):
    assert typed(tomllib.loads(write_tables(tables))) == typed(tables)


@given(st.lists(st.text() | st.sampled_from(PROMPTS)))
def test_a_note_is_a_comment_whatever_is_in_it(notes: list[str]):
    text = write_tables({"encode": {"prompt": "a"}}, notes)
    assert parse_toml(text) == {"encode": {"prompt": "a"}}


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_project_reads_the_same_prompt(tmp_path: Path, prompt: str):
    (copy_params(tmp_path) / "params/videos/new.toml").write_text(
        write_tables({"encode": {"prompt": prompt}}), encoding="utf-8", newline=""
    )
    video = load_params(tmp_path, {}, Pipeline()).videos["new"]
    assert video.of_stage("encode")["prompt"] == prompt


@given(st.text())
def test_the_project_reads_the_same_text(tmp_path_factory: pytest.TempPathFactory, text: str):
    file = tmp_path_factory.getbasetemp() / "video.toml"
    file.write_text(write_tables({"encode": {"prompt": text}}), encoding="utf-8", newline="")
    assert parse_toml(read_toml_text(file)) == {"encode": {"prompt": text}}


def test_what_the_defaults_say_is_left_out_and_the_rest_stands_in_the_order_of_the_declarations(tmp_path: Path):
    (copy_params(tmp_path) / "params/denoise.toml").write_text("seed = 7\nguidance_scale = 6\n")
    written = {
        "export": {"crf": 18, "codec": "av1"},
        "denoise": {"guidance_scale": 6.0, "seed": 7, "width": 1280, "num_frames": 9},
        "encode": {"dtype": "bfloat16", "prompt": "a cat"},
    }
    new = check_new_video(tmp_path, "new", written, {"model.components.vae": "elsewhere"}, Pipeline())
    assert typed(leave_out_defaults(new)) == typed({
        "model": {"components.vae": "elsewhere"},
        "encode": {"prompt": "a cat"},
        "denoise": {"num_frames": 9, "guidance_scale": 6.0},  # 6 and 6.0 are written differently: no harm
        "decode": {},
        "export": {"codec": "av1"},
    })  # fmt: skip
