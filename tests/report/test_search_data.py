"""What the report's scripts search by."""

import json
from pathlib import Path

from stages.report.gathering import gather
from stages.report.search_data import find_differing, short_names, to_data, to_script
from tests.report.reports import load


def test_parameters_that_are_the_same_in_all_are_left_out(project: Path):
    data = to_data(gather(load(project)))
    names = [each["name"] for each in data["parameters"]]
    assert "denoise.seed" in names
    assert "denoise.window_size" not in names
    assert all(video["parameters"].keys() <= {*names} for video in data["videos"])


def test_numbers_of_two_types_differ_and_prompts_are_looked_for_elsewhere():
    tables = [{"export.fps": 24, "encode.prompt": "a"}, {"export.fps": 24.0, "encode.prompt": "b"}]
    assert find_differing(tables) == ["export.fps"]


def test_a_name_is_short_where_it_is_the_only_one_that_ends_so():
    assert short_names(["denoise.seed", "decode.dtype", "encode.dtype"]) == {
        "denoise.seed": "seed",
        "decode.dtype": "decode.dtype",
        "encode.dtype": "encode.dtype",
    }


def test_a_sweep_says_where_each_of_its_videos_stands(project: Path):
    sweep = to_data(gather(load(project)))["sweeps"]["harbour"]
    assert [(axis["short"], axis["values"]) for axis in sweep["axes"]] == [
        ("seed", [1, 2]),
        ("guidance_scale", [3.0, 6.0]),
    ]
    assert sweep["places"] == {"harbour-1": [0, 0], "harbour-2": [0, 1], "harbour-3": [1, 0], "harbour-4": [1, 1]}


def test_a_script_holds_any_text_and_no_element():
    text = to_script("DATA", {"__proto__": "</script>\u2028'\"\\"})
    inner = text.partition("JSON.parse(")[2].removesuffix(");\n")
    assert json.loads(json.loads(inner)) == {"__proto__": "</script>\u2028'\"\\"}
    assert "<" not in text
    assert text.isascii()
