"""From a node's parameters to a program."""

from pathlib import Path

import jax
import pytest
from preflight_builders import write_project

from stages.errors import MeshError
from stages.params import load_params
from stages.preflight.lowering import Lowered, lower
from stages.preflight_questions import ask, describe_target


def lowered(root: Path, stage: str, **overrides: str) -> Lowered:
    write_project(root)
    params = load_params(root, {name.replace("__", "."): text for name, text in overrides.items()})
    questions = ask(params.videos["demo"], root, describe_target("", params.machine), mesh=params.machine.mesh)
    (question,) = (question for question in questions if question.stage == stage)
    return lower(question.node.parameters, jax.devices())


def test_the_chunks_state_holds_keys_of_all_latent_frames(tmp_path: Path):
    program = lowered(tmp_path, "decode").program
    assert program.name == "decode chunk"
    assert program.state.mid_attention.keys.shape[1] == 3


def test_tiles_have_a_state_each(tmp_path: Path):
    found = lowered(tmp_path, "decode", decode__enable_tiling="true")
    assert found.num_tiles == 6
    assert found.program.state.mid_attention.keys.shape[2] == 1


def test_a_mesh_that_the_devices_cannot_form_is_refused(tmp_path: Path):
    with pytest.raises(MeshError):
        lowered(tmp_path, "denoise", machine__mesh="1x1x999")
