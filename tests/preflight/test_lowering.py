"""From a node's parameters to a program."""

from pathlib import Path

import jax
import pytest
from preflight_builders import write_project

from stages.denoise.sampling import is_guided
from stages.denoise.text_tokens import bucket_size
from stages.errors import MeshError
from stages.geometry import VideoSize, latent_size
from stages.params import load_params
from stages.preflight.lowering import Lowered, lower
from stages.preflight_questions import NUM_PROMPT_TOKENS, ask, describe_target


def lowered(root: Path, stage: str, **overrides: str) -> Lowered:
    write_project(root)
    params = load_params(root, {name.replace("__", "."): text for name, text in overrides.items()})
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


def test_an_image_is_decoded_by_the_program_for_first_latent_frames(tmp_path: Path):
    assert lowered(tmp_path, "decode", denoise__num_frames="1").program.name == "first decode chunk"


def test_tiles_have_a_state_each(tmp_path: Path):
    found = lowered(tmp_path, "decode", decode__enable_tiling="true")
    assert found.num_tiles == 6
    assert found.program.state.mid_attention.keys.shape[2] == 1


def test_a_mesh_that_the_devices_cannot_form_is_refused(tmp_path: Path):
    with pytest.raises(MeshError):
        lowered(tmp_path, "denoise", machine__mesh="1x1x999")
