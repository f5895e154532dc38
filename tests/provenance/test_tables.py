"""From keys back to the tables of parameters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.keys import ArtifactId, Key
from stages.provenance.record import Made, Record
from stages.provenance.tables import read_tables
from tests.builders import PIPELINE

KEY = Key("0" * 32)
DECODE = {"decoder": "native", "enable_tiling": False, "dtype": "float32"}


def record_of(stage: str, parameters: dict[str, object], **more: object) -> Record:
    made = Made(stage, KEY, parameters, {})  # type: ignore[arg-type] # JSON values
    return Record("a.mp4", "a video", "itself", [made], **more)  # type: ignore[arg-type] # names of fields


@given(
    enable_tiling=st.booleans(),
    tile_size=st.integers(1, 100).map(lambda number: number * 16),
    tile_overlap=st.floats(0, 0.5),
    dtype=st.sampled_from(["float32", "bfloat16"]),
)
def test_the_values_give_the_same_parameters_of_a_key(**values: object):
    table = PIPELINE["decode"].parameters
    before = table.model_validate(values).key_parameters()
    found = read_tables(record_of("decode", before), PIPELINE)
    assert found.faults == []
    assert table.model_validate(found.values["decode"]).key_parameters() == before


def test_a_file_from_elsewhere_is_named_by_its_digest_and_asked_for():
    found = read_tables(record_of("denoise", {"from_file": "d" * 32}), PIPELINE)
    assert (found.values, found.files, found.faults) == ({}, {"denoise": "d" * 32}, [])
    assert [*found.ask_for_files()] == [
        (
            "denoise.from_file",
            f"denoise.from_file: the video was made from a file whose XXH3-128 is {'d' * 32}, and does not say where "
            "that is. Name it: `denoise.from_file=FILE`",
        )
    ]


@pytest.mark.parametrize(
    ("stage", "parameters", "fault"),
    [
        ("upscale", {}, "upscale: this project has no such stage"),
        ("decode", {**DECODE, "sharpness": "猫"}, 'decode.sharpness = "猫": this version has no such parameter'),
        ("decode", {"decoder": "native", "enable_tiling": False},
         "decode.dtype: this version has this parameter, and the video was made without it"),
        ("decode", {**DECODE, "enable_tiling": True, "tile_size": 256},
         "decode.tile_overlap: this version has this parameter, and the video was made without it"),
    ],
)  # fmt: skip
def test_what_another_version_has_written_is_named(stage: str, parameters: dict[str, object], fault: str):
    assert read_tables(record_of(stage, parameters), PIPELINE).faults == [fault]


def test_a_long_value_is_cut():
    (fault,) = read_tables(record_of("decode", {**DECODE, "note": "a" * 10_000}), PIPELINE).faults
    assert len(fault) < 300


def test_an_artifact_of_which_nothing_is_known_is_named():
    found = read_tables(record_of("decode", DECODE, missing=(ArtifactId("denoise", KEY),)), PIPELINE)
    assert found.faults == [f"denoise: nothing is known of it but its key, {KEY}"]
