"""Which programs preflight asks about, and when two of them are the same."""

from pathlib import Path

import numpy as np
import pytest
from preflight_builders import write_project
from safetensors.numpy import save_file

from stages.errors import ContractError
from stages.params import load_params
from stages.preflight_questions import Question, ask, describe_target


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_project(tmp_path)


def questions(root: Path, *, topology: str = "v6e:2x4", **overrides: str) -> list[Question]:
    params = load_params(root, {name.replace("__", "."): text for name, text in overrides.items()})
    return ask(params.videos["demo"], root, describe_target(topology, params.machine), mesh=params.machine.mesh)


def changed(root: Path, **overrides: str) -> set[str]:
    """Stages whose program is another one with these parameters."""
    before, after = questions(root), questions(root, **overrides)
    return {old.stage for old, new in zip(before, after, strict=True) if old.node.key != new.node.key}


def test_a_video_asks_for_its_step_and_its_chunk(root: Path):
    denoise, decode = questions(root)
    assert (denoise.stage, denoise.num_calls, denoise.num_tokens) == ("denoise", 20, 3 * 2 * 3)
    assert (decode.stage, decode.num_calls, decode.num_tokens) == ("decode", 3, 3 * 2 * 3)


@pytest.mark.parametrize(
    ("name", "text", "stages"),
    [
        ("denoise__num_frames", "5", {"denoise", "decode"}),
        ("denoise__width", "64", {"denoise", "decode"}),
        ("denoise__window_size", "16", {"denoise"}),
        ("denoise__dtype", "bfloat16", {"denoise"}),
        ("denoise__guidance_scale", "1.0", {"denoise"}),
        ("encode__prompt", 'a sign that says "stop"', {"denoise"}),
        ("decode__enable_tiling", "true", {"decode"}),
        ("decode__dtype", "bfloat16", {"decode"}),
        ("machine__mesh", "1x2x4", {"denoise"}),
        ("denoise__seed", "5", set()),
        ("denoise__num_inference_steps", "5", set()),
        ("denoise__guidance_scale", "5.0", set()),
        ("encode__prompt", 'a board, 6" wide', set()),
        ("decode__tile_size", "32", set()),
        ("export__fps", "7", set()),
        ("machine__platform", "auto", set()),
    ],
)
def test_a_parameter_asks_anew_for_the_programs_that_it_changes(root: Path, name: str, text: str, stages: set[str]):
    assert changed(root, **{name: text}) == stages


def test_other_settings_of_the_checkpoint_ask_anew(root: Path):
    before = questions(root)
    config = root / "model" / "transformer" / "config.json"
    config.write_text(config.read_text().replace('"num_layers": 2', '"num_layers": 3'))
    assert [a.node.key == b.node.key for a, b in zip(before, questions(root), strict=True)] == [False, True]


def test_another_slice_asks_anew(root: Path):
    keys = {
        question.node.key for topology in ("", "v6e:2x4", "v6e:2x2") for question in questions(root, topology=topology)
    }
    assert len(keys) == 6


def test_other_compiler_flags_ask_anew(root: Path, monkeypatch: pytest.MonkeyPatch):
    before = questions(root)
    monkeypatch.setenv("LIBTPU_INIT_ARGS", "--xla_tpu_scoped_vmem_limit_kib=65536")
    assert not {question.node.key for question in before} & {question.node.key for question in questions(root)}


def test_latents_from_a_file_have_its_size_and_no_step(root: Path):
    save_file({"latents": np.zeros((1, 32, 5, 4, 6), np.float32)}, root / "latents.safetensors")
    (decode,) = questions(root, denoise__from_file="latents.safetensors")
    assert (decode.stage, decode.num_calls, decode.num_tokens) == ("decode", 5, 5 * 4 * 6)


def test_a_file_that_holds_no_latents_is_told(root: Path):
    (root / "latents.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ContractError, match="not a whole safetensors file"):
        questions(root, denoise__from_file="latents.safetensors")


def test_tiles_are_one_program_and_many_states(root: Path):
    _, decode = questions(root, decode__enable_tiling="true")
    parameters = decode.node.parameters
    assert (parameters["height"], parameters["width"], parameters["num_tiles"]) == (1, 1, 2 * 3)


def test_a_decoder_that_is_not_compiled_is_not_asked_for(root: Path):
    assert [question.stage for question in questions(root, decode__decoder="diffusers")] == ["denoise"]
