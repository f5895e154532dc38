"""From a node's parameters to a program."""

from pathlib import Path

import jax
import pytest
from preflight_builders import SETTINGS, write_project

from stages.component_config import Settings
from stages.decode.config import DecoderConfig, parse_config
from stages.errors import MeshError
from stages.geometry import LatentSize
from stages.params import load_params
from stages.preflight.lowering import Lowered, chunk_flops, lower
from stages.preflight_questions import ask, describe_target


def lowered(root: Path, stage: str, **overrides: str) -> Lowered:
    write_project(root)
    params = load_params(root, {name.replace("__", "."): text for name, text in overrides.items()})
    questions = ask(params.videos["demo"], root, describe_target("", params.machine), mesh=params.machine.mesh)
    (question,) = (question for question in questions if question.stage == stage)
    return lower(question.node.parameters, jax.devices())


def decoder_config(**changes: object) -> DecoderConfig:
    return parse_config(Settings(Path("config.json"), SETTINGS["vae"] | changes))


def test_the_chunks_state_holds_keys_of_all_latent_frames(tmp_path: Path):
    program = lowered(tmp_path, "decode").program
    assert program.name == "decode chunk"
    assert program.state.mid_attention.keys.shape[1] == 3


def test_tiles_have_a_state_each(tmp_path: Path):
    found = lowered(tmp_path, "decode", decode__enable_tiling="true")
    assert found.num_states == 6
    assert found.program.state.mid_attention.keys.shape[2] == 1


def test_a_mesh_that_the_devices_cannot_form_is_refused(tmp_path: Path):
    with pytest.raises(MeshError):
        lowered(tmp_path, "denoise", machine__mesh="1x1x999")


def test_the_chunks_arithmetic_is_that_of_its_convolutions_and_attention():
    config = decoder_config(block_out_channels=[8, 8, 8, 8, 32], upsample_match_channel=False)
    size = LatentSize(num_frames=3, height=2, width=5)
    cells = 10
    expected = cells * 27 * (32 * 32 + 4 * 32 * 32) + cells * 4 * 32 * 32  # into the mid-block, and through it
    expected += 2 * cells * (2 * cells) * 32  # attention to two latent frames, the mean of one to three
    expected += cells * (27 * 2 * 32 * 32 + 27 * 32 * 32 * 8)  # a residual block, and an upsampler, both times two
    cells *= 8
    expected += cells * (27 * (32 * 8 + 8 * 8) + 32 * 8 + 27 * 8 * 8 * 8)
    cells *= 8
    for _ in range(2):
        expected += cells * (27 * 2 * 8 * 8 + 27 * 8 * 8 * 4)
        cells *= 4
    expected += cells * (27 * 2 * 8 * 8 + 27 * 8 * 3)
    assert chunk_flops(config, size) == 2 * expected
