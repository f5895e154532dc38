"""The planned programs: those that run, how they are compiled, and what chips hold and send by the compiler's word."""

import json
import re
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stages.decode.config import parse_config
from stages.decode.forward import decode_first, decode_next
from stages.decode.layers import ConvWeights, causal_conv
from stages.decode.plan import COMPILER_OPTIONS, ChunkPlan, compile_programs, count_needs, lower_chunk, lower_first
from stages.decode.weights import load_weights
from stages.geometry import LatentSize
from stages.machine.executables import Program
from stages.models.settings import Settings
from tests.decode.builders import DEVICE, SMALL, load_config, random_latents, vae_weights, write_vae
from tests.devices import TPU_COMPILER, run_python
from tests.preflight_builders import SETTINGS

pytestmark = pytest.mark.compiles

# Two lengths of a small decoder on eight chips: bytes, and how often chips send each other what.
ON_TPU = """
import json, re, jax
from collections import Counter
from dataclasses import replace
from jax.experimental import topologies
from stages.decode.config import DecoderConfig
from stages.decode.plan import ChunkPlan, lower_chunk
from stages.geometry import LatentSize
devices = topologies.get_topology_desc("v5e:2x4", "tpu").devices
config = DecoderConfig(
    latent_channels=32, out_channels=3, block_channels=(128, 128), num_resnets=1, spatial_compression=2,
    temporal_compression=2, upsample_match_channel=True, scaling_factor=1.0,
)
kinds = "all-gather|all-reduce|reduce-scatter|collective-permute|all-to-all"
for num_frames in (4, 16):
    program = lower_chunk(ChunkPlan(config, LatentSize(num_frames, 8, 64), "bfloat16"), devices)
    compiled = program.lowered.compile()
    memory = compiled.memory_analysis()
    size = lambda tree: sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
    print(json.dumps({
        "weights": size(program.weights),
        "state": size(program.state),
        "cache": size(program.state.mid_attention),
        "arguments": memory.argument_size_in_bytes,
        "total": memory.argument_size_in_bytes + memory.temp_size_in_bytes
            + memory.output_size_in_bytes - memory.alias_size_in_bytes,
        "collectives": Counter(re.findall(rf" ({kinds})(?:-start)?[(]", compiled.as_text())),
    }))
"""


@pytest.fixture(scope="module")
def on_tpu() -> list[dict]:
    """What the TPU compiler says of a chunk on a v5e slice of eight chips: of a short video, and of a longer one."""
    return [json.loads(line) for line in run_python("-c", ON_TPU, settings=TPU_COMPILER).splitlines()]


def test_the_chunks_memory_has_room_for_all_latent_frames():
    config = parse_config(Settings(Path(), SETTINGS["vae"]))
    program = lower_chunk(ChunkPlan(config, LatentSize(5, 2, 3), "float32"), jax.devices())
    assert program.state.mid_attention.keys.shape[:3] == (1, 5, 6)


def test_planned_programs_take_what_a_run_gives_them_and_give_the_same_frames(tmp_path: Path):
    folder = write_vae(tmp_path / "vae", **SMALL)
    config = load_config(folder)
    weights = load_weights(vae_weights(folder), config, dtype="float32", devices=[DEVICE])
    plan = ChunkPlan(config, LatentSize(2, 2, 3), "float32")
    programs = compile_programs(plan, devices=[DEVICE], compile_program=Program.compile)
    first, second = jnp.moveaxis(random_latents(2, 2, 3), 1, -1)[0][:, None]
    memory, frames = programs.first(weights, first)
    expected_memory, expected = decode_first(weights, first, config=config, num_latent_frames=2)
    np.testing.assert_allclose(frames, expected, atol=1e-5)  # compiled with other options
    assert programs.later is not None
    _, frames = programs.later(weights, second, memory, jnp.int32(1))
    _, expected = decode_next(weights, second, expected_memory, jnp.int32(1), config=config)
    np.testing.assert_allclose(frames, expected, atol=1e-5)  # compiled with other options


def test_a_video_of_one_latent_frame_needs_one_program(tmp_path: Path):
    config = load_config(write_vae(tmp_path / "vae", **SMALL))
    names = []
    plan = ChunkPlan(config, LatentSize(1, 2, 3), "float32")

    def compile_program(program):
        names.append(program.name)
        return program.compile()

    assert compile_programs(plan, devices=[DEVICE], compile_program=compile_program).later is None
    assert names == ["first decode chunk"]


def test_the_work_of_a_chunk_is_that_of_the_middle_of_the_video():
    config = parse_config(Settings(Path(), SETTINGS["vae"]))
    plan = ChunkPlan(config, LatentSize(4, 2, 3), "float32")
    flops = [
        lower_chunk(replace(plan, size=LatentSize(num_frames, 2, 3)), jax.devices()).flops for num_frames in (4, 6)
    ]
    assert flops[1] - flops[0] == 4 * 6 * 6 * config.block_channels[0]  # one frame's keys and values more


def test_needs_are_those_of_the_lowered_programs():
    plan = ChunkPlan(parse_config(Settings(Path(), SETTINGS["vae"])), LatentSize(4, 2, 3), "float32")
    first, later = lower_first(plan, jax.devices()), lower_chunk(plan, jax.devices())
    needs = count_needs(plan, jax.devices())
    assert (needs.first_flops, needs.later_flops) == (first.flops, later.flops)
    assert needs.memory == later.state
    image = count_needs(replace(plan, size=LatentSize(1, 2, 3)), jax.devices())
    assert (image.memory, image.first_flops, image.later_flops) == (None, first.flops, 0)


def makers_of_ynnpack(program: jax.stages.Compiled) -> list[str]:
    """What in the source became a fusion of YNNPACK's, such as "jit(decode_first)/conv_general_dilated"."""
    return re.findall(r'%ynn_fusion\S* = .*op_name="([^"]*)"', program.as_text())


@pytest.mark.parametrize(("options", "is_ynnpacks"), [({}, True), (COMPILER_OPTIONS, False)])
def test_the_compiler_options_and_nothing_else_keep_a_convolution_from_ynnpack(options, is_ynnpacks: bool):
    """When the first case fails, XLA has changed its mind and the options are due for another look."""
    weights = ConvWeights((jnp.ones((3, 3, 64, 64)),) * 3, jnp.ones(64))
    past = (jnp.ones((1, 14, 14, 64)),) * 2
    lowered = jax.jit(causal_conv).lower(jnp.ones((1, 12, 12, 64)), weights, past)
    program = lowered.compile(compiler_options=dict(options))
    assert any("conv_general_dilated" in maker for maker in makers_of_ynnpack(program)) == is_ynnpacks


def test_decode_is_compiled_with_the_compiler_options(tmp_path: Path):
    config = load_config(write_vae(tmp_path / "vae", **SMALL | {"block_out_channels": (8, 16, 64)}))
    plan = ChunkPlan(config, LatentSize(2, 12, 12), "float32")
    for program in (lower_first(plan, [DEVICE]), lower_chunk(plan, [DEVICE])):
        makers = makers_of_ynnpack(program.compile())
        assert any("dot_general" in maker for maker in makers)
        assert not any("conv_general_dilated" in maker for maker in makers)


def test_a_chip_holds_all_weights_and_an_eighth_of_the_state(on_tpu: list[dict]):
    for figures in on_tpu:
        expected = figures["weights"] + figures["state"] / 8
        assert expected <= figures["arguments"] < 1.1 * expected  # the rest: latents, and rows filled up


def test_a_longer_video_takes_more_memory_for_its_attention_alone(on_tpu: list[dict]):
    short, long = on_tpu
    growth = (long["cache"] - short["cache"]) / 8
    assert growth <= long["total"] - short["total"] < 1.1 * growth


def test_chips_send_each_other_edges_queries_and_sums_and_the_frames(on_tpu: list[dict]):
    # the first, four of the mid-block, two of each up block, the upsampler's and the last
    num_convolutions = 1 + 4 + 2 * 2 + 1 + 1
    for figures in on_tpu:
        assert figures["collectives"]["collective-permute"] == 2 * num_convolutions
        assert "all-to-all" not in figures["collectives"]
