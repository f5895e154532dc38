"""The text of a video of a sweep that gets a file of its own."""

import tomllib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.pipeline.toml_writer import write_toml
from stages.request.kept import keep_combination

SWEEP = """\
# Two prompts.
[encode]
dtype = "float32"  # the small model wants it

[sweep]
encode.prompt = ["A circle.", "A square."]
denoise.seed = "1..3"  # as many as there are

[denoise]
seed = 1
height = 96
"""


def test_comments_and_order_stay_and_the_values_stand_in_their_tables():
    assert keep_combination(SWEEP, {"encode.prompt": "A square.", "denoise.seed": 2}) == (
        "# Two prompts.\n"
        "[encode]\n"
        'dtype = "float32"  # the small model wants it\n'
        'prompt = "A square."\n'
        "\n"
        "[denoise]\n"
        "seed = 2\n"
        "height = 96\n"
    )


def test_a_table_that_is_not_there_comes_last():
    text = '[encode]\nprompt = "x"\n[sweep]\nexport.fps = [8]\n'
    assert keep_combination(text, {"export.fps": 8}) == '[encode]\nprompt = "x"\n\n[export]\nfps = 8\n'


def test_the_sweep_that_leaves_its_name_is_named_above_all_tables():
    kept = keep_combination(SWEEP, {"encode.prompt": "x", "denoise.seed": 1}, kept_from="harbour")
    assert kept.startswith('kept_from = "harbour"  # which leaves the name to this file\n# Two prompts.\n')


def test_what_was_kept_from_another_sweep_no_longer_says_so():
    kept = keep_combination(f'kept_from = "other"\n{SWEEP}', {"encode.prompt": "x", "denoise.seed": 1})
    assert "kept_from" not in tomllib.loads(kept)


@pytest.mark.parametrize(
    "text",
    [
        '[encode]\nprompt = """\none\n[sweep]\n"""\n[sweep]\nencode.prompt = ["x"]\n',
        'encode = { prompt = "a" }\nsweep = { "encode.prompt" = ["x"] }\n',
        'encode.prompt = "a"\nsweep."encode.prompt" = ["x"]\n',
        '["encode"]\nprompt = "a"\n["sweep"]\n"encode.prompt" = ["x"]\n',
        '[sweep.encode]\nprompt = ["x"]\n[encode]\nprompt = [\n"a",\n]\n',
    ],
)
def test_whatever_form_the_file_has_its_parameters_are_kept(text: str):
    wanted = {**tomllib.loads(text)}
    del wanted["sweep"]
    wanted["encode"] = {**wanted["encode"], "prompt": "x"}
    assert tomllib.loads(keep_combination(text, {"encode.prompt": "x"})) == wanted


@pytest.mark.parametrize("text", ['[model.components]\nvae = "a"\n', '[model]\ncomponents.vae = "a"\n', ""])
def test_a_component_of_the_model_is_kept(text: str):
    kept = keep_combination(f'{text}[sweep]\nmodel.components.vae = ["b"]\n', {"model.components.vae": "b"})
    assert tomllib.loads(kept) == {"model": {"components": {"vae": "b"}}}


def test_a_draft_of_the_file_is_kept():
    text = "[sweep]\ndenoise.seed = [1]\n[draft]\ndenoise.height = 32\n"
    assert tomllib.loads(keep_combination(text, {"denoise.seed": 1})) == {
        "denoise": {"seed": 1},
        "draft": {"denoise": {"height": 32}},
    }


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
NAMES = st.sampled_from(["prompt", "seed", "height"])
TABLES = st.dictionaries(st.sampled_from(["encode", "denoise"]), st.dictionaries(NAMES, TEXTS | NUMBERS), min_size=1)
DOTTED = st.sampled_from(["encode.prompt", "denoise.seed", "denoise.height", "export.fps"])


@given(
    tables=TABLES,
    combination=st.dictionaries(DOTTED, TEXTS | NUMBERS | st.booleans(), min_size=1),
    edit=st.sampled_from([lambda text: text, lambda text: text.replace("\n", " # a comment\n")]),
)
def test_all_parameters_of_a_file_and_of_the_combination_are_kept(
    tables: dict[str, Any], combination: dict[str, Any], edit: Callable[[str], str]
):
    text = edit(write_toml({**tables, "sweep": {name: [value] for name, value in combination.items()}}))
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError:  # the comment stands before a table
        return
    wanted = {name: dict(values) for name, values in content.items() if name != "sweep"}
    for dotted, value in combination.items():
        table, name = dotted.split(".")
        wanted.setdefault(table, {})[name] = value
    assert tomllib.loads(keep_combination(text, combination)) == wanted
