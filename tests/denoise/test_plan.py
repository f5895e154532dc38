"""The planned step."""

from dataclasses import replace

import jax
from denoise.builders import TOY

from stages.denoise.config import TransformerConfig
from stages.denoise.mesh import build_mesh
from stages.denoise.plan import StepPlan, lower_step, step_flops
from stages.geometry import LatentSize

FULL = StepPlan(TransformerConfig(), LatentSize(13, 45, 80), 256, 0, is_guided=True, dtype="bfloat16", window_size=0)
SMALL = StepPlan(TOY, LatentSize(2, 2, 2), 32, 0, is_guided=True, dtype="float32", window_size=0)


def test_fifty_guided_steps_of_the_real_model_need_1e17_operations():
    assert 1.15e17 < 50 * step_flops(FULL) < 1.3e17


def test_without_guidance_it_is_half_the_work():
    assert step_flops(replace(FULL, is_guided=False)) == step_flops(FULL) / 2


def test_a_window_saves_the_pairs_that_nobody_sees():
    saved = step_flops(FULL) - step_flops(replace(FULL, window_size=8192))
    assert saved == 2 * 54 * 4 * 2048 * 46800 * (46800 - 8192)


def test_the_step_donates_latents_of_the_videos_size():
    mesh = build_mesh("1x1x1", jax.devices(), num_heads=TOY.num_attention_heads, is_guided=True)
    program = lower_step(SMALL, mesh)
    assert (program.name, program.state.shape) == ("denoise step", (1, 32, 2, 2, 2))
