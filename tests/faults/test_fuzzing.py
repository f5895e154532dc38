"""Whatever text is read, what is wrong with it is a ValueError: no other error, no wait, no memory without end."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.errors import ContractError, ParamsError
from stages.keys import canonical_json
from stages.machine.json_files import decode_json, parse_json
from stages.pipeline.contract import check_shapes
from stages.pipeline.contracts import EMBEDDINGS, LATENTS
from stages.pipeline.stages import Pipeline
from stages.pipeline.toml_text import parse_toml
from stages.request.params import load_params
from tests.project import PROJECT, copy_params

READERS = ("toml", "json", "manifest", "header", "mp4", "line", "index", "listing")
_SECONDS = 60

EXAMPLES = settings(derandomize=True, deadline=None, max_examples=300)
_TOML = st.text("[]{}\"'.=,#\n\t \\abetrunfi0123456789-+_:TZxo", max_size=80) | st.text(max_size=20)


@EXAMPLES
@given(_TOML)
def test_any_toml_is_a_table_or_a_value_error(text: str):
    with suppress(ValueError):
        assert isinstance(parse_toml(text), dict)


@EXAMPLES
@given(st.binary(max_size=40) | st.text('[]{}",:0123456789eE+-.nultrfas\\d8', max_size=40).map(str.encode))
def test_any_json_is_a_value_or_a_value_error(content: bytes):
    with suppress(ValueError):
        parse_json(decode_json(content))


_NAMES = st.sampled_from([
    f"{table}.{name}"
    for table, model in ((stage.name, stage.parameters) for stage in Pipeline())
    for name in model.model_fields
]) | st.sampled_from(["model.checkpoint", "model.revision", "model.variant", "machine.mesh", "machine.hosts",
                      "machine.artifacts", "machine.platform", "video", "", "x.y"])  # fmt: skip
_TEXTS = (
    st.text(max_size=20)
    | st.integers().map(str)
    | st.floats().map(repr)
    | st.integers(0, 20_000).map(lambda bits: hex(2**bits))
    | st.integers(1, 6000).map(lambda digits: "9" * digits)
    | st.integers(1, 3000).map(lambda depth: "[" * depth + "]" * depth)
    | st.sampled_from(["true", "1979-05-27", "[1, [2]]", "{a = 1}", '"x"', "1e400", "-0.0", "inf", "nan", "~nobody/x"])
)


@EXAMPLES
@given(st.dictionaries(_NAMES, _TEXTS, min_size=1, max_size=3))
def test_any_overrides_are_parameters_or_one_message(params_folder: Path, overrides: dict[str, str]):
    with suppress(ParamsError):
        params = load_params(params_folder, overrides, Pipeline())
        for video in params.videos.values():
            for stage in Pipeline():
                assert canonical_json(video.of_stage(stage.name))


@pytest.fixture(scope="module")
def params_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_params(tmp_path_factory.mktemp("params"))


_ANY_VIDEO = st.dictionaries(
    st.sampled_from(["encode", "denoise", "decode", "export", "model", "machine", "x", "seed"]),
    st.dictionaries(st.text("abcdefs_.", min_size=1, max_size=6), st.integers() | st.booleans() | st.text(max_size=4))
    | st.integers(),
    max_size=3,
)


@EXAMPLES
@given(_ANY_VIDEO)
def test_any_tables_of_a_video_are_parameters_or_one_message(params_folder: Path, tables: dict[str, Any]):
    file = params_folder / "params/videos/any.toml"
    file.write_text(_to_toml(tables), encoding="utf-8")
    params = load_params(params_folder, {}, Pipeline())
    assert "demo" in params.videos
    assert ("any" in params.videos) != ("any" in params.faults)
    file.unlink()


def _to_toml(tables: dict[str, Any]) -> str:
    """TOML of tables and whole numbers; any text as a basic string."""
    lines = [f"{name} = {value}" for name, value in tables.items() if not isinstance(value, dict)]
    for table, values in tables.items():
        if isinstance(values, dict):
            lines.append(f"[{table}]")
            lines += [f'"{name}" = {_value(value)}' for name, value in values.items()]
    return "\n".join(lines)


def _value(value: object) -> str:
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(character):08x}" for character in value) + '"'
    return str(value).lower()


@EXAMPLES
@given(
    st.sampled_from([LATENTS, EMBEDDINGS]),
    st.dictionaries(
        st.sampled_from(["latents", "prompt_embeds", "x"]), st.lists(st.integers(0, 2**64), max_size=6).map(tuple)
    ),
)
def test_any_shapes_keep_a_contract_or_are_one_message(contract: Any, shapes: dict[str, tuple[int, ...]]):
    with suppress(ContractError):
        check_shapes(contract, shapes, where="file")
        assert shapes.keys() == contract.tensors.keys()


@pytest.mark.faults
@pytest.mark.parametrize("reader", READERS)
def test_a_reader_under_atheris_raises_nothing_but_value_errors(tmp_path: Path, reader: str):
    pytest.importorskip("atheris", reason="atheris is not installed (extra `fuzz`)")
    command = [sys.executable, "-m", "tests.faults.fuzzing", reader, str(_SECONDS), str(tmp_path)]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
