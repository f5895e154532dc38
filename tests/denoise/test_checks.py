"""What keeps denoise from its work is known without JAX and torch."""

import json
from dataclasses import replace
from pathlib import Path

from stages.run.checks import find_faults
from tests.builders import PIPELINE
from tests.chains import MACHINE, build_chain, edit_settings, faults_of
from tests.project import SHAPES, copy_checkpoint


def test_text_encoders_of_another_width_than_the_transformer_reads_are_found(tmp_path: Path):
    checkpoint = copy_checkpoint(tmp_path / "model")
    edit_settings(checkpoint / "text_encoder" / "config.json", hidden_size=72)
    (fault,) = faults_of(checkpoint, first="denoise")
    width = json.loads((SHAPES / "transformer" / "config.json").read_text())["text_embed_dim"]
    assert fault == (
        f"{checkpoint}/transformer/config.json: `text_embed_dim` is {width}, but `hidden_size` in "
        f"{checkpoint}/text_encoder/config.json is 72. Use a checkpoint whose text encoders and transformer belong "
        "together."
    )


def test_the_width_of_a_part_is_that_of_its_own_settings_as_the_stage_reads_them(tmp_path: Path):
    checkpoint = copy_checkpoint(tmp_path / "model")
    file = checkpoint / "text_encoder" / "config.json"
    width = json.loads(file.read_text())["hidden_size"]
    whole = ["Qwen2_5_VLForConditionalGeneration"]
    edit_settings(file, architectures=whole, hidden_size=72, text_config={"hidden_size": width})
    assert faults_of(checkpoint, first="denoise") == []
    edit_settings(file, hidden_size=width, text_config={"hidden_size": 72})
    (fault,) = faults_of(checkpoint, first="denoise")
    assert f"`hidden_size` in {file} is 72." in fault
    edit_settings(file, architectures=["Qwen2_5_VLTextModel"])  # by itself, it has no parts
    assert faults_of(checkpoint, first="denoise") == []


def test_another_scheduler_is_refused(tmp_path: Path):
    checkpoint = copy_checkpoint(tmp_path / "model")
    file = checkpoint / "scheduler" / "scheduler_config.json"
    edit_settings(file, _class_name="UniPCMultistepScheduler")
    (fault,) = faults_of(checkpoint, first="denoise")
    assert fault.startswith(f"{file}: holds 'UniPCMultistepScheduler', not FlowMatchEulerDiscreteScheduler.")


def test_a_mesh_that_does_not_split_the_heads_is_refused():
    (fault,) = find_faults(build_chain(SHAPES, {**MACHINE, "mesh": "1x3x1"}), PIPELINE, "denoise")
    heads = json.loads((SHAPES / "transformer" / "config.json").read_text())["num_attention_heads"]
    assert fault == (
        f'mesh "1x3x1": {heads} heads do not split over 3 devices (sequence x heads). Set machine.mesh in '
        f"params/machine.toml to sizes whose product divides {heads}."
    )


def test_a_mesh_that_splits_them_is_no_fault_however_many_devices_there_are():
    assert find_faults(build_chain(SHAPES, {**MACHINE, "mesh": "2x1x1"}), PIPELINE, "denoise") == []


def faults_of_size(**parameters: int | str) -> list[str]:
    chain = build_chain(SHAPES)
    node = chain.nodes["denoise"]
    changed = replace(node, parameters={**node.parameters, **parameters})
    return find_faults(replace(chain, nodes={**chain.nodes, "denoise": changed}), PIPELINE, "denoise")


def test_more_tokens_than_jax_counts_are_refused():
    assert faults_of_size(num_frames=86_401, height=16_384, width=16_384) == [
        "denoise.num_frames = 86401, height = 16384 and width = 16384: 22650290176 tokens, and JAX counts up to "
        "2147483647. Make the video shorter or smaller."
    ]


def test_a_video_of_which_one_layer_does_not_fit_into_memory_is_refused_on_the_host():
    config = json.loads((SHAPES / "transformer" / "config.json").read_text())
    width = config["num_attention_heads"] * config["attention_head_dim"]
    needed_gib = 21_601 * 1024 * 90 * width * 4 / 2**30
    (fault,) = faults_of_size(num_frames=86_401, height=16_384, width=1440, dtype="float32")
    assert fault.startswith(
        "denoise.num_frames = 86401, height = 16384 and width = 1440: the values between two layers alone take "
        f"{needed_gib:.1f} GiB, and this machine has "
    )
    assert fault.endswith(" GiB of memory. Make the video shorter or smaller.")
