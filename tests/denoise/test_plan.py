"""A planned step is the one that is run, does little more than it must, and fits by the TPU compiler's word."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest

from stages.denoise.config import TransformerConfig
from stages.denoise.plan import StepPlan, lower_step
from stages.denoise.step import denoise_step, place_constants
from stages.denoise.text_tokens import pack_text_tokens
from stages.denoise.torch_bridge import initial_noise
from stages.geometry import LatentSize
from tests.denoise.builders import MESH, TOY, TOY_SIZE, build_prompt, load, write_checkpoint
from tests.denoise.min_flops import min_flops
from tests.devices import TPU_COMPILER, run_python
from tests.quick_compiler import as_in_a_run

pytestmark = pytest.mark.compiles

PLAN = StepPlan(TOY, TOY_SIZE, 32, 32, is_guided=True, dtype="float32", window_size=0, has_bounded_scores=True)
# The real widths, two blocks of the 54: weights, temporaries and collectives of a block, in seconds of compiling.
ON_TPU = """
import json, re, jax
from stages.run.lean_imports import import_program
import_program("stages.denoise")
from dataclasses import replace
from jax.experimental import topologies
from stages.denoise.config import TransformerConfig
from stages.denoise.sharding.mesh import build_mesh
from stages.denoise.plan import StepPlan, lower_step
from tests.denoise.min_flops import min_flops
from stages.geometry import VideoSize, latent_size
mesh = build_mesh(
    "auto", topologies.get_topology_desc("v5e:2x4", "tpu").devices, num_heads=16, is_guided=True
)
config = TransformerConfig(num_layers=2)
plan = StepPlan(config, latent_size(VideoSize(49, 720, 1280)), 256, 0, is_guided=True, dtype="bfloat16", window_size=0,
                has_bounded_scores=True)
program = lower_step(plan, mesh)
memory = (compiled := program.compile()).memory_analysis()
whole = replace(plan, config=TransformerConfig())
flops = {
    f"{frames} {window}": (lower_step(each, mesh).flops, min_flops(each, num_text_tokens=256))
    for frames, window in ((49, 0), (241, 0), (241, 8192))
    for each in [replace(whole, size=latent_size(VideoSize(frames, 720, 1280)), window_size=window)]
}
print(json.dumps({
    "weights": sum(leaf.size * 2 for leaf in jax.tree.leaves(program.weights)),
    "arguments": memory.argument_size_in_bytes,
    "temporaries": memory.temp_size_in_bytes,
    "options": dict(program.compiler_options),
    "kinds": sorted(set(re.findall(r" (all-gather|all-to-all|all-reduce|collective-permute)[(]", compiled.as_text()))),
    "flops": flops,
}))
"""


@pytest.fixture(scope="module")
def on_tpu() -> dict:
    """What the TPU compiler says of a step on eight chips, those for which it takes the least time."""
    return json.loads(run_python("-c", ON_TPU, settings=TPU_COMPILER).splitlines()[-1])


def test_a_planned_step_takes_what_a_run_gives_it_and_gives_the_same_bits(tmp_path):
    weights = load(write_checkpoint(tmp_path))
    text = pack_text_tokens([build_prompt(5, 3), build_prompt(2)], dtype=np.dtype(np.float32))
    noise = initial_noise(TOY_SIZE, seed=0, dtype="float32")
    numbers = {
        "timestep": np.array([900], np.float32),
        "sigma_change": np.float32(-0.5),
        "guidance_scale": np.float32(2),
    }
    planned, run = (
        step(weights, jax.device_put(noise), *place_constants(text, TOY_SIZE, TOY, MESH), **numbers)
        for step in (
            lower_step(PLAN, MESH).compile(),
            lambda *arguments, **named: denoise_step(
                *arguments, **named, config=TOY, window_size=0, has_bounded_scores=True, mesh=MESH
            ),
        )
    )
    assert np.array_equal(planned, run)


def test_a_plan_knows_its_weights_and_its_state(tmp_path):
    weights, program = load(write_checkpoint(tmp_path)), lower_step(PLAN, MESH)
    assert jax.tree.map(lambda array: (array.shape, array.dtype, array.sharding), weights) == jax.tree.map(
        lambda array: (array.shape, array.dtype, array.sharding), program.weights
    )
    assert (program.state.shape, program.state.dtype) == (TOY_SIZE.shape, np.float32)


@pytest.mark.parametrize("is_as_planned", [True, False])
def test_on_a_cpu_no_more_than_two_blocks_are_float32_at_a_time_in_bfloat16(is_as_planned: bool):
    """At a quarter of the real width. When the second case fails, XLA does so by itself, and the option can go."""
    config = replace(TransformerConfig(), num_attention_heads=4)
    plan = StepPlan(
        config, LatentSize(2, 8, 8), 32, 0, is_guided=True, dtype="bfloat16", window_size=0, has_bounded_scores=True
    )
    program = lower_step(plan, MESH)
    compiled = program.compile() if is_as_planned else program.lowered.compile()
    blocks_bytes = sum(2 * leaf.size * leaf.dtype.itemsize for leaf in program.weights.blocks.values())  # in float32
    is_little = compiled.memory_analysis().temp_size_in_bytes < 2 * blocks_bytes / config.num_layers
    assert is_little == is_as_planned


def test_how_a_step_is_compiled_on_a_cpu_changes_no_bit(tmp_path):
    weights = load(write_checkpoint(tmp_path), dtype="bfloat16")
    text = pack_text_tokens([build_prompt(5, 3), build_prompt(2)], dtype=np.dtype("bfloat16"))
    noise = initial_noise(TOY_SIZE, seed=0, dtype="bfloat16")
    program = lower_step(replace(PLAN, dtype="bfloat16"), MESH)
    assert program.compiler_options
    with as_in_a_run():
        steps = (program.compile(), program.lowered.compile())
    with_options, without = (
        step(
            weights,
            jax.device_put(noise, may_alias=False),
            *place_constants(text, TOY_SIZE, TOY, MESH),
            timestep=noise[0, 0, 0, 0, :1],
            sigma_change=np.float32(-0.5),
            guidance_scale=np.float32(2),
        )
        for step in steps
    )
    assert np.array_equal(with_options, without)


def test_a_step_in_float32_has_no_option_and_one_on_a_tpu_has_none(on_tpu):
    assert not lower_step(PLAN, MESH).compiler_options
    assert on_tpu["options"] == {}


def test_the_least_that_a_step_can_do_is_counted_by_hand():
    # 30 video and 7 text tokens, 24 channels, 96 in a feed-forward layer, 3 blocks, 2 branches.
    layers, pairs = 37 * (4 * 24 * 24 + 2 * 24 * 96), 37 * 37
    assert min_flops(PLAN, num_text_tokens=7) == 2 * 3 * (2 * layers + 4 * 24 * pairs)


@pytest.mark.parametrize("length", ["49 0", "241 0"])
def test_a_step_does_at_most_a_hundredth_more_than_it_must(on_tpu, length: str):
    done, least = on_tpu["flops"][length]
    assert least < done < 1.01 * least


def test_a_window_saves_what_it_promises_but_for_tiles_at_its_edges(on_tpu):
    done, least = on_tpu["flops"]["241 8192"]
    whole, _ = on_tpu["flops"]["241 0"]
    assert done < 1.25 * least < whole / 8


def test_each_chip_holds_an_eighth_of_the_weights_and_less_than_a_gibibyte_of_temporaries(on_tpu):
    assert on_tpu["arguments"] < on_tpu["weights"] / 8 + 2**26
    assert on_tpu["temporaries"] < 2**30


def test_chips_send_each_other_tokens_for_heads_and_weights_and_no_sums(on_tpu):
    assert on_tpu["kinds"] == ["all-gather", "all-to-all"]
