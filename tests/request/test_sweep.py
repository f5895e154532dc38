"""The table [sweep]: which combinations it means, and what is said of a wrong one. Messages are compared whole."""

import itertools
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.request.layers import Faults
from stages.request.sweep import Sweep, describe_values, read_sweep

KNOWN = {
    "model": ["checkpoint", "components", "components.vae"],
    "encode": ["prompt"],
    "denoise": ["height", "seed", "width"],
}
WHERE = "params/videos/v.toml"


def read(text: str) -> tuple[Sweep | None, Sequence[str]]:
    """A sweep, and what is wrong with it."""
    faults = Faults(Path())
    sweep = read_sweep(tomllib.loads(text), WHERE, KNOWN, faults, "v")
    return sweep, faults.lines


def combinations(text: str) -> list[dict[str, Any]]:
    """Those that are not skipped; there must be no fault."""
    sweep, faults = read(text)
    assert sweep is not None, faults
    return [each for each in sweep.combinations() if not sweep.skips(each)]


def test_every_combination_is_meant_the_first_parameter_the_slowest():
    assert combinations('"encode.prompt" = ["a", "b"]\n"denoise.seed" = [1, 2]') == [
        {"encode.prompt": "a", "denoise.seed": 1},
        {"encode.prompt": "a", "denoise.seed": 2},
        {"encode.prompt": "b", "denoise.seed": 1},
        {"encode.prompt": "b", "denoise.seed": 2},
    ]


@pytest.mark.parametrize("name", ['"denoise.seed"', "denoise.seed", 'denoise."seed"'])
def test_a_name_may_have_quotation_marks_or_not(name: str):
    assert combinations(f"{name} = [1]") == [{"denoise.seed": 1}]


@pytest.mark.parametrize("name", ['"model.components.vae"', "model.components.vae"])
def test_a_component_of_the_model_can_differ(name: str):
    assert combinations(f'{name} = ["", "~/vae"]') == [{"model.components.vae": ""}, {"model.components.vae": "~/vae"}]


@pytest.mark.parametrize(
    ("text", "first", "last"), [("1..3", 1, 3), (" -1 .. +1 ", -1, 1), ("7..7", 7, 7), ("01..2", 1, 2)]
)
def test_a_range_has_both_its_ends(text: str, first: int, last: int):
    assert combinations(f'denoise.seed = "{text}"') == [{"denoise.seed": seed} for seed in range(first, last + 1)]


def test_what_is_zipped_changes_together():
    text = 'denoise.height = [32, 48]\ndenoise.seed = [1, 2]\ndenoise.width = [64, 96]\nzip = [["denoise.height", '
    assert combinations(text + '"denoise.width"]]') == [
        {"denoise.height": height, "denoise.width": width, "denoise.seed": seed}
        for height, width in ((32, 64), (48, 96))
        for seed in (1, 2)
    ]


@pytest.mark.parametrize("name", ['"denoise.seed"', "denoise.seed"])
def test_a_combination_that_has_all_of_an_entry_of_skip_is_left_out(name: str):
    text = 'encode.prompt = ["a", "b"]\ndenoise.seed = [1, 2]\nskip = [{ "encode.prompt" = "a", '
    assert combinations(f"{text}{name} = 2 }}]") == [
        {"encode.prompt": "a", "denoise.seed": 1},
        {"encode.prompt": "b", "denoise.seed": 1},
        {"encode.prompt": "b", "denoise.seed": 2},
    ]


def test_an_entry_of_skip_with_one_value_leaves_out_all_that_have_it():
    text = 'encode.prompt = ["a", "b"]\ndenoise.seed = "1..2"\nskip = [{ denoise.seed = 1 }]'
    assert [each["encode.prompt"] for each in combinations(text)] == ["a", "b"]


@given(
    heights=st.lists(st.integers(1, 9), min_size=1, max_size=4, unique=True),
    seeds=st.lists(st.integers(1, 9), min_size=1, max_size=4, unique=True),
    skipped=st.sets(st.tuples(st.integers(1, 9), st.integers(1, 9)), max_size=3),
)
def test_a_sweep_is_the_product_without_what_is_skipped(
    heights: list[int], seeds: list[int], skipped: set[tuple[int, int]]
):
    product = [*itertools.product(heights, seeds)]
    skipped &= {*product}
    entries = ", ".join(f'{{ "denoise.height" = {height}, "denoise.seed" = {seed} }}' for height, seed in skipped)
    text = f"denoise.height = {heights}\ndenoise.seed = {seeds}\nskip = [{entries}]"
    wanted = [each for each in product if each not in skipped]
    if wanted:
        assert [tuple(each.values()) for each in combinations(text)] == wanted
    else:
        assert read(text) == (None, [f"{WHERE}, [sweep], skip: leaves no combination. Take one of its entries out."])


VALUES_RULE = 'must be a list of values, such as [1, 2, 3], or a range of whole numbers, such as "1..16".'
ZIP_RULE = 'must be a list of lists of parameters, such as [["denoise.height", "denoise.width"]].'
SKIP_RULE = 'must be a list of combinations, such as [{ "denoise.seed" = 3, "export.fps" = 8 }].'


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", ': names no parameter. Write one, such as "denoise.seed" = [1, 2, 3].'),
        ("zip = []", ': names no parameter. Write one, such as "denoise.seed" = [1, 2, 3].'),
        ("denoise.sed = [1]", ", denoise.sed: no such parameter. Did you mean `denoise.seed`?"),
        ("seed = [1]", ", seed: no such parameter. Did you mean `denoise.seed`?"),
        ("machine.platform = ['cpu']", ", machine.platform: no such parameter."),
        ("denoise.seed = 7", f", denoise.seed = 7: {VALUES_RULE}"),
        ("denoise.seed = '1-3'", f', denoise.seed = "1-3": {VALUES_RULE}'),
        ("denoise.seed = '1..'", f', denoise.seed = "1..": {VALUES_RULE}'),
        ("denoise.seed = '0.5..2'", f', denoise.seed = "0.5..2": {VALUES_RULE}'),
        ("denoise.seed = [[1]]", f", denoise.seed = [[1]]: {VALUES_RULE}"),
        ("denoise.seed = []", ", denoise.seed = []: holds no value. Write some, or leave the line out."),
        ("denoise.seed = '3..1'", ', denoise.seed = "3..1": ends before it begins. Write "1..3".'),
        ("denoise.seed = [1, 2, 1]", ": denoise.seed = 1 is there twice. Leave one out."),
        ("denoise.seed = [6, 6.0]", ": denoise.seed = 6.0 is there twice. Leave one out."),
        ('denoise.seed = [1]\n"denoise.seed" = [2]', ", denoise.seed: is there twice. Leave one out."),
        (
            "denoise.seed = '1..1000000000000'",
            ', denoise.seed = "1..1000000000000": is 1,000,000,000,000 videos; a sweep has at most 100,000. Leave '
            "values out.",
        ),
        (
            "denoise.seed = '-9999999999999999999..9999999999999999999'",
            ', denoise.seed = "-9999999999999999999..9999999999999999999": is more than 1,000,000,000,000,000 videos; '
            "a sweep has at most 100,000. Leave values out.",
        ),
        (
            "denoise.seed = '1..10000'\ndenoise.height = '1..10000'\ndenoise.width = '1..10000'",
            ": is 1,000,000,000,000 videos; a sweep has at most 100,000. Leave values out.",
        ),
        ("denoise.seed = [1]\nzip = ['denoise.seed', 'denoise.height']", None),
        ("denoise.seed = [1]\nzip = 1", f", zip = 1: {ZIP_RULE}"),
        ("denoise.seed = [1]\nzip = [[]]", f", zip = [[]]: {ZIP_RULE}"),
        (
            "denoise.seed = [1]\nzip = [['denoise.seed', 'denoise.sed']]",
            ", zip: denoise.sed has no values in [sweep]. Did you mean `denoise.seed`?",
        ),
        (
            "denoise.seed = [1]\nzip = [['denoise.seed', 'denoise.seed']]",
            ", zip: denoise.seed is there twice. Leave one out.",
        ),
        (
            "denoise.height = [1, 2]\ndenoise.width = '1..3'\nzip = [['denoise.height', 'denoise.width']]",
            ", zip: denoise.height has 2, denoise.width has 3. What is zipped needs as many values each.",
        ),
        (
            "denoise.height = [1, 1]\ndenoise.width = [2, 2]\nzip = [['denoise.height', 'denoise.width']]",
            ": denoise.height = 1, denoise.width = 2 is there twice. Leave one out.",
        ),
        ("denoise.seed = [1]\nskip = { denoise.seed = 1 }", None),
        ("denoise.seed = [1]\nskip = [{}]", f", skip = [{{}}]: {SKIP_RULE}"),
        (
            "denoise.seed = [1]\nskip = [{ denoise.sed = 1 }]",
            ", skip: denoise.sed has no values in [sweep]. Did you mean `denoise.seed`?",
        ),
        (
            "denoise.seed = [1]\nskip = [{ denoise.seed = 2 }]",
            ", skip: denoise.seed = 2 is none of its values in [sweep].",
        ),
        (
            "denoise.seed = [1]\nskip = [{ denoise.seed = true }]",
            ", skip: denoise.seed = true is none of its values in [sweep].",
        ),
        ("denoise.seed = [1]\nskip = [{ denoise.seed = 1 }]", ", skip: leaves no combination. Take one of its "),
    ],
)
def test_a_wrong_sweep_is_reported_with_the_rule(text: str, fault: str | None):
    sweep, faults = read(text)
    assert sweep is None
    if fault is None:  # a list in place of a list of lists, a table in place of a list of tables
        rule = ZIP_RULE if "zip" in text else SKIP_RULE
        assert [line.rpartition(": must")[2] for line in faults] == [rule.removeprefix("must")]
    else:
        assert len(faults) == 1
        assert faults[0].startswith(f"{WHERE}, [sweep]{fault}")


def test_a_sweep_that_is_no_table_is_reported():
    faults = Faults(Path())
    assert read_sweep([1], WHERE, KNOWN, faults, "v") is None
    assert faults.lines == [f"{WHERE}, sweep = [1]: must be a table, [sweep]."]


def test_all_faults_of_a_sweep_are_reported_at_once():
    _, faults = read("denoise.sed = [1]\nencode.prompt = 'x'\ndenoise.seed = '2..1'\nzip = 1\nskip = 1")
    assert len(faults) == 5


def test_values_that_may_be_equal_when_zipped_are_no_fault():
    text = 'denoise.height = [32, 32]\ndenoise.width = [32, 48]\nzip = [["denoise.height", "denoise.width"]]'
    assert len(combinations(text)) == 2


def test_true_is_not_1():
    assert [*map(repr, combinations("denoise.seed = [1, true]"))] == ["{'denoise.seed': 1}", "{'denoise.seed': True}"]


def test_an_absurd_sweep_is_refused_without_its_combinations():
    start = time.process_time()
    read("denoise.seed = '0..99999'\ndenoise.height = '0..99999'\ndenoise.width = '0..99999'")
    assert time.process_time() - start < 1  # those of a single parameter, written out, take a tenth of it


def test_a_combination_is_described_on_one_line_and_long_texts_are_cut():
    values = {"denoise.seed": 3, "decode.enable_tiling": True, "encode.prompt": f"A\nred {'x' * 100}"}
    assert describe_values(values) == (
        f'denoise.seed = 3, decode.enable_tiling = true, encode.prompt = "A red {"x" * 33}…"'
    )
