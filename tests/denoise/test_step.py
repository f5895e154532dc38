"""A step: guidance and Euler's rule against diffusers; which precision its products ask for."""

import functools

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch
from diffusers import ClassifierFreeGuidance, FlowMatchEulerDiscreteScheduler
from jax.extend.core import ClosedJaxpr

from stages.denoise.config import SchedulerConfig
from stages.denoise.sampling import make_schedule
from stages.denoise.step import denoise_step, euler_step, guide
from stages.denoise.text_tokens import pack_text_tokens
from stages.denoise.torch_bridge import rotary_embedding
from stages.denoise.weights import DiTWeights
from tests.denoise.builders import MESH, TOY, TOY_SIZE, build_prompt, load, write_checkpoint
from tests.products import list_precisions

pytestmark = pytest.mark.compiles


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> DiTWeights:
    return load(write_checkpoint(tmp_path_factory.mktemp("transformer")))


def trace_step(weights: DiTWeights, dtype: str) -> ClosedJaxpr:
    """The program of a guided step."""
    step = functools.partial(denoise_step, config=TOY, window_size=0, has_bounded_scores=True, mesh=MESH)
    return jax.make_jaxpr(step)(
        jax.tree.map(lambda array: array.astype(dtype), weights),
        jnp.zeros(TOY_SIZE.shape, dtype),
        pack_text_tokens([build_prompt(5, 3), build_prompt(2)], dtype=np.dtype(dtype)),
        rotary_embedding(TOY_SIZE, TOY),
        timestep=jnp.zeros(1, dtype),
        sigma_change=np.float32(-0.5),
        guidance_scale=np.float32(2),
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_latents_keep_their_dtype(weights, dtype: str):
    (latents,) = trace_step(weights, dtype).out_avals
    assert (latents.shape, latents.dtype) == (TOY_SIZE.shape, dtype)


def test_every_product_of_float32_matrices_is_made_in_float32(weights):
    highest = (jax.lax.Precision.HIGHEST, jax.lax.Precision.HIGHEST)
    precisions = list_precisions(trace_step(weights, "float32").jaxpr)
    assert len(precisions) > 20
    assert set(precisions) == {highest}
    assert highest not in list_precisions(trace_step(weights, "bfloat16").jaxpr)


@pytest.mark.parametrize("guidance_scale", [1.5, 6.0, 7.3])
def test_guidance_and_step_in_bfloat16_equal_diffusers_to_the_bit(guidance_scale: float):
    generator = torch.Generator().manual_seed(0)
    cond, uncond, latents = torch.randn(3, 1, 32, 3, 9, 9, generator=generator, dtype=torch.bfloat16)
    scheduler, guider = FlowMatchEulerDiscreteScheduler(shift=7.0), ClassifierFreeGuidance(guidance_scale)
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 0.0, 51)[:-1])
    schedule = make_schedule(50, SchedulerConfig(shift=7.0))
    tail = jax.jit(lambda latents, cond, uncond, scale, change: euler_step(latents, guide(cond, uncond, scale), change))
    ours = [as_jax(tensor) for tensor in (latents, cond, uncond)]
    for timestep, sigma_change in zip(scheduler.timesteps, np.diff(schedule.sigmas), strict=True):
        velocity = guider.forward(cond, uncond).pred
        expected = scheduler.step(velocity, timestep, latents, return_dict=False)[0]
        result = tail(*ours, np.float32(guidance_scale), sigma_change)
        assert np.array_equal(result, as_jax(expected))


def as_jax(tensor: torch.Tensor) -> jax.Array:
    """The same bits, bfloat16."""
    return jnp.asarray(tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16))
