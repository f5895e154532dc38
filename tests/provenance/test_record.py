"""What is known of how something was made."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stages.keys import Digest
from stages.provenance.record import Made, Record, find_misfits, parse_line
from tests.builders import PIPELINE
from tests.provenance.videos import build_project, line_of, nodes_of


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_project(tmp_path_factory.mktemp("record"))


def edited(line: str, *path: str, to: object) -> str:
    """The line with another value at a place."""
    record: Any = json.loads(line)
    inner = record
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = to
    return json.dumps(record)


def test_a_line_gives_back_the_nodes_and_the_code(root: Path):
    nodes, code = nodes_of(root), Digest("a" * 32)
    made = parse_line(line_of(root, codes={"decode": code}))
    assert {each.stage: (each.key, dict(each.parameters), dict(each.components)) for each in made} == {
        stage: (node.key, dict(node.parameters), dict(node.components)) for stage, node in nodes.items()
    }
    assert {each.stage: each.code for each in made}["decode"] == code


def test_a_line_that_was_written_before_there_was_code_in_it_has_none(root: Path):
    fields = json.loads(line_of(root))
    for entry in fields["stages"].values():
        del entry["code"]
    assert {made.code for made in parse_line(json.dumps(fields))} == {None}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("stages",), [], "it is not what this project writes"),
        (("format",), 2, "its format is '2', and this version reads 1"),
        (("format",), True, "its format is 'True', and this version reads 1"),
        (("stages",), {}, "it names 0 stages"),
        (("stages", "decode"), [], "what it says of the stage 'decode' is not what this project writes"),
        (("stages", "../x"), {}, "what it says of the stage '../x' is not what this project writes"),
        (("stages", "decode", "key"), "../..", "what it says of the stage 'decode' is not what this project writes"),
        (("stages", "decode", "code"), 7, "what it says of the stage 'decode' is not what this project writes"),
        (("stages", "decode", "more"), 7, "what it says of the stage 'decode' is not what this project writes"),
        (("stages", "decode", "components"), {"vae": 1}, "what it says of the stage 'decode' is not what this project "
         "writes"),
        (("stages", "encode", "parameters"), {"prompt": "\ud800"}, "what it says of the stage 'encode' is not what "
         "this project writes"),
        (("stages", "encode", "parameters"), {"a": float("nan")}, "what it says of the stage 'encode' is not what this "
         "project writes"),
    ],
)  # fmt: skip
def test_a_line_of_another_hand_is_an_error(root: Path, path: tuple[str, ...], value: object, message: str):
    with pytest.raises(ValueError, match=f"^{message}$"):
        parse_line(edited(line_of(root), *path, to=value))


@pytest.mark.parametrize("text", ["", "hello", "7", "[]", "null", "[" * 100_000, '{"stages":' * 50_000, "1" * 10_000])
def test_a_comment_of_another_tool_is_an_error(text: str):
    with pytest.raises(ValueError, match=r".+"):
        parse_line(text)


def test_keys_that_follow_from_what_is_said_are_no_misfits(root: Path):
    assert find_misfits(parse_line(line_of(root)), PIPELINE) == []


def test_an_edited_value_is_a_misfit_of_its_stage(root: Path):
    line = edited(line_of(root), "stages", "denoise", "parameters", "seed", to=7)
    assert find_misfits(parse_line(line), PIPELINE) == ["denoise"]


def test_a_stage_that_the_project_has_not_is_no_misfit(root: Path):
    made = [*parse_line(line_of(root)), Made("upscale", nodes_of(root)["export"].key, {}, {})]
    assert find_misfits(made, PIPELINE) == []


def test_stages_stand_in_the_order_of_the_project_and_others_last(root: Path):
    made = [Made("upscale", nodes_of(root)["export"].key, {}, {}), *parse_line(line_of(root))]
    ordered = Record("a", "a video", "itself", made).in_order(PIPELINE)
    assert [each.stage for each in ordered.made] == ["encode", "denoise", "decode", "export", "upscale"]


def test_what_a_store_knows_of_the_same_bytes_goes_before_what_a_video_says(root: Path):
    (first, second, *_) = parse_line(line_of(root))
    known = replace(first, code=Digest("e" * 32), run={"host": "vm"})
    record = Record("a", "a video", "itself", [first, second]).with_known([known, replace(second, code=None)])
    assert [(each.code, each.run) for each in record.made] == [("e" * 32, {"host": "vm"}), (second.code, None)]


def test_an_artifact_is_named_by_its_stage_and_key(root: Path):
    node = nodes_of(root)["decode"]
    assert Made("decode", node.key, {}, {}).artifact == node.artifact


def test_the_prompt_is_that_of_encode_and_none_where_no_prompt_was_read(root: Path):
    assert Record("a", "a video", "itself", parse_line(line_of(root))).prompt == "A red circle moves to the right."
    assert Record("a", "a video", "itself", ()).prompt is None
