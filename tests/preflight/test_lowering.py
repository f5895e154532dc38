"""From a node's parameters to a program."""

from pathlib import Path

import jax
import pytest

from stages.denoise.config import is_guided
from stages.denoise.text_tokens import bucket_size
from stages.errors import MeshError
from stages.geometry import VideoSize, latent_size
from stages.pipeline.stages import Pipeline
from stages.preflight.lowering import Lowered, bytes_on_device, lower
from stages.preflight.questions import NUM_PROMPT_TOKENS, ask, describe_target
from stages.request.params import load_params
from tests.preflight_builders import write_project


def lowered(root: Path, stage: str, **overrides: str) -> Lowered:
    write_project(root)
    params = load_params(root, {name.replace("__", "."): text for name, text in overrides.items()}, Pipeline())
    questions = ask(params.videos["demo"], root, describe_target("", params.machine), mesh=params.machine.mesh)
    (question,) = (question for question in questions if question.stage == stage)
    return lower(question.node.parameters, jax.devices())


def test_a_long_video_has_the_places_for_text_that_are_assumed():
    num_cells = latent_size(VideoSize(49, 720, 1280)).num_cells
    assert bucket_size(1, num_video_tokens=num_cells) == bucket_size(NUM_PROMPT_TOKENS, num_video_tokens=num_cells)
    assert bucket_size(1, num_video_tokens=num_cells) == NUM_PROMPT_TOKENS


@pytest.mark.parametrize("scale", [1.0, 1.0 + 1e-12, 1.001, 6.0])
def test_guidance_is_assumed_where_a_run_guides(tmp_path: Path, scale: float):
    program = lowered(tmp_path, "denoise", denoise__guidance_scale=repr(scale)).program
    text = program.lowered.args_info[0][2]
    assert text.prompt.shape[0] == (2 if is_guided(scale) else 1)


def test_the_chunks_state_holds_keys_of_all_latent_frames(tmp_path: Path):
    program = lowered(tmp_path, "decode").program
    assert program.name == "decode chunk"
    assert program.state.mid_attention.keys.shape[1] == 3


@pytest.mark.parametrize("tiling", ["true", "false"])
def test_an_image_is_decoded_by_the_program_for_first_latent_frames_and_keeps_nothing(tmp_path: Path, tiling: str):
    found = lowered(tmp_path, "decode", denoise__num_frames="1", decode__enable_tiling=tiling)
    assert found.program.name == "first decode chunk"
    assert (found.state_bytes, found.growing_bytes, found.later.flops) == (0, 0, 0)
    memory, _ = found.program.lowered.out_info
    assert memory is None
    assert found.flops == found.first.flops > 0


def test_a_step_is_read_and_computed_alike_each_time(tmp_path: Path):
    found = lowered(tmp_path, "denoise")
    assert found.first == found.later
    assert found.later.flops == found.flops // found.num_devices


def test_a_chunk_reads_weights_and_what_is_remembered_but_the_keys_and_values(tmp_path: Path):
    found = lowered(tmp_path, "decode")
    cache_bytes = bytes_on_device(found.program.state.mid_attention)
    weight_bytes = bytes_on_device(found.program.weights)
    assert found.growing_bytes == cache_bytes
    assert found.first.read_bytes == weight_bytes
    assert found.later.read_bytes == weight_bytes + found.state_bytes - cache_bytes


def test_tiles_count_by_their_size(tmp_path: Path):
    """2 x 5 cells in tiles of 2 x 2, side by side: two of them and one of 2 x 1."""
    tiles = {"decode__enable_tiling": "true", "decode__tile_size": "32", "decode__tile_overlap": "0.0"}
    found, large, small = (
        lowered(tmp_path / width, "decode", denoise__width=width, **tiles) for width in ("80", "32", "16")
    )
    assert found.num_tiles == 3
    assert found.program.state.mid_attention.keys.shape[2] == 2 * 2  # of the largest
    assert found.state_bytes == 2 * large.state_bytes + small.state_bytes
    assert found.growing_bytes == 2 * large.growing_bytes + small.growing_bytes
    assert found.flops == 2 * large.flops + small.flops
    assert found.first.flops == 2 * large.first.flops + small.first.flops


def test_a_mesh_that_the_devices_cannot_form_is_refused(tmp_path: Path):
    with pytest.raises(MeshError, match="1x1x999"):
        lowered(tmp_path, "denoise", machine__mesh="1x1x999")
