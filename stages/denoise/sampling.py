"""From noise to latents: the noise schedule, one jitted step, and the loop over steps.

Owns the arithmetic of flow matching and guidance. The velocity is predicted in transformer.py; where arrays go is said
in mesh.py.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Float32

from stages.denoise.attention import plain_attention
from stages.denoise.config import SchedulerConfig, TransformerConfig
from stages.denoise.mesh import sharding
from stages.denoise.text_tokens import PromptEmbeds, TextTokens, pack_text_tokens
from stages.denoise.torch_bridge import rotary_embedding
from stages.denoise.transformer import predict_velocity
from stages.denoise.weights import DiTWeights
from stages.geometry import LatentSize

_FLOAT_BITS = {"bfloat16": (8, 7), "float32": (8, 23)}  # of the exponent, of the mantissa


@dataclass(frozen=True)
class Schedule:
    """Noise levels: `sigmas` [steps + 1] from 1 down to 0, and what the DiT is told, `timesteps` [steps]; float32."""

    sigmas: Float[np.ndarray, " levels"]
    timesteps: Float[np.ndarray, " steps"]


def shift_sigmas(sigmas: Float[np.ndarray, " steps"], flow_shift: float) -> Float[np.ndarray, " steps"]:
    """Bend a noise schedule so that more steps fall at high noise.

    Args:
        sigmas: [steps], float32, share of noise (no unit), from 1 = pure noise down to 0 = clean.
        flow_shift: > 0, no unit; 1 changes nothing.
    Returns:
        [steps], float32; 0, 1 and the order are kept.
    Source:
        Esser et al. 2024, arXiv:2403.03206, part on resolution-dependent shifting.
    """
    return flow_shift * sigmas / (1 + (flow_shift - 1) * sigmas)


def make_schedule(num_inference_steps: int, scheduler: SchedulerConfig, *, flow_shift: float | None = None) -> Schedule:
    """Noise levels of a run.

    Args:
        num_inference_steps: >= 1.
        scheduler: of the checkpoint.
        flow_shift: > 0, in place of the scheduler's own shift; None keeps that.
    Returns:
        Equal to the bit to FlowMatchEulerDiscreteScheduler as diffusers' pipeline calls it.
    Source:
        `HunyuanVideo15Pipeline.__call__`, step 4, and `FlowMatchEulerDiscreteScheduler.set_timesteps` of diffusers.
    """
    levels = np.linspace(1.0, 0.0, num_inference_steps + 1)[:-1].astype(np.float32)
    sigmas = shift_sigmas(levels, scheduler.shift if flow_shift is None else flow_shift)
    timesteps = sigmas * np.float32(scheduler.num_train_timesteps)
    return Schedule(sigmas=np.append(sigmas, np.float32(0)), timesteps=timesteps)


def sample(
    weights: DiTWeights,
    prompt: PromptEmbeds,
    negative_prompt: PromptEmbeds,
    noise: Float[np.ndarray, "1 c f h w"],
    schedule: Schedule,
    *,
    config: TransformerConfig,
    mesh: Mesh,
    guidance_scale: float,
    window_size: int,
    progress: Callable[[int, int], None],
) -> Float[Array, "1 c f h w"]:
    """Denoise one video.

    Args:
        weights: in the model dtype, on `mesh`.
        prompt, negative_prompt: what the video shall show, and what it shall stay away from.
        noise: [1, c, f, h, w], model dtype, from `torch_bridge.initial_noise`.
        schedule: noise levels of all steps.
        config: of the checkpoint.
        mesh: where to compute.
        guidance_scale: >= 1, no unit; with 1 the negative prompt has no weight and is not computed.
        window_size: 0, or the number of video tokens that a video token sees (`plain_attention`).
        progress: called with (steps done, steps in all) when a step's latents are there.
    Returns:
        [1, c, f, h, w], model dtype, DiT space.
    Raises:
        ContractError: a prompt has no valid token.
    """
    is_guided = not math.isclose(guidance_scale, 1.0)
    text = pack_text_tokens([prompt, negative_prompt] if is_guided else [prompt], dtype=noise.dtype)
    rotary = rotary_embedding(LatentSize(*noise.shape[2:]), config)
    constants = jax.device_put((text, rotary), sharding(mesh))
    latents: Array = jax.device_put(jnp.array(noise, copy=True), sharding(mesh))  # a copy: the first step donates it
    num_steps = len(schedule.timesteps)
    for step in range(num_steps):
        latents = denoise_step(
            weights,
            latents,
            *constants,
            timestep=schedule.timesteps[step : step + 1].astype(noise.dtype),
            sigma_change=schedule.sigmas[step + 1] - schedule.sigmas[step],
            guidance_scale=np.float32(guidance_scale),
            config=config,
            window_size=window_size,
        )
        latents.block_until_ready()
        progress(step + 1, num_steps)
    return latents


@functools.partial(jax.jit, static_argnames=("config", "window_size"), donate_argnames="latents")
def denoise_step(
    weights: DiTWeights,
    latents: Float[Array, "1 c f h w"],
    text: TextTokens,
    rotary: tuple[Float[Array, "s d"], Float[Array, "s d"]],
    *,
    timestep: Float[Array, "1"],
    sigma_change: Float[Array, ""],
    guidance_scale: Float[Array, ""],
    config: TransformerConfig,
    window_size: int,
) -> Float[Array, "1 c f h w"]:
    """One step along the flow, both branches of guidance in one batch. `latents` is donated.

    With float32 every matrix product is float32: on a TPU it would otherwise be one of bfloat16. (Not run on a TPU so
    far; that every product asks for it is tested.)

    Args:
        weights, latents, text, rotary, timestep, config: as in `predict_velocity`; two texts (cond, uncond) for
            guidance, one without.
        sigma_change: float32, next noise level minus this one, < 0.
        guidance_scale: float32, not read when there is one text.
        window_size: as in `plain_attention`.
    Returns:
        [1, c, f, h, w], model dtype.
    """
    attention = functools.partial(plain_attention, window_size=window_size)
    with jax.default_matmul_precision("highest" if latents.dtype == jnp.float32 else None):
        velocity = predict_velocity(weights, latents, text, timestep, rotary, config=config, attention=attention)
    if velocity.shape[0] > 1:
        velocity = guide(velocity[:1], velocity[1:], guidance_scale)
    return move(latents, velocity, sigma_change)


def guide(
    cond: Float[Array, "1 c f h w"], uncond: Float[Array, "1 c f h w"], guidance_scale: Float[Array, ""]
) -> Float[Array, "1 c f h w"]:
    """Both branches of guidance become one velocity, [1, c, f, h, w], in their dtype.

    Source:
        `ClassifierFreeGuidance.forward` of diffusers, equal to the bit in bfloat16 (see `_rounded`).
    """
    shift = _rounded(_wide(cond) - _wide(uncond), cond.dtype)
    guided: Array = _wide(uncond) + _rounded(shift * guidance_scale, cond.dtype)
    return _rounded(guided, cond.dtype).astype(cond.dtype)


def move(
    latents: Float[Array, "1 c f h w"], velocity: Float[Array, "1 c f h w"], sigma_change: Float[Array, ""]
) -> Float[Array, "1 c f h w"]:
    """Latents, [1, c, f, h, w], one step further along the velocity, in their dtype.

    Source:
        `FlowMatchEulerDiscreteScheduler.step` of diffusers, equal to the bit in bfloat16: torch rounds the change of
        the noise level to the dtype of the velocity, makes the product in that dtype and the sum in float32.
    """
    dtype = velocity.dtype
    product = _rounded(_wide(velocity) * _rounded(sigma_change, dtype), dtype)
    moved: Array = (_wide(latents) + product).astype(latents.dtype)
    return moved


def _wide(array: Array) -> Array:
    return array.astype(jnp.float32)


def _rounded(array: Float32[Array, "*axes"], dtype: np.dtype[Any]) -> Float32[Array, "*axes"]:
    """The values as `dtype` would hold them, still float32.

    A cast there and back would not do: XLA drops it, and what is computed after it is off by a rounding.
    """
    exponent_bits, mantissa_bits = _FLOAT_BITS[dtype.name]
    rounded: Array = jax.lax.reduce_precision(array, exponent_bits, mantissa_bits)
    return rounded
