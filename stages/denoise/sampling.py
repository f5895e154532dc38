"""From noise to latents: the settings of a video, the noise schedule, and the loop over steps.

Owns the order and the noise levels of the steps. What a step does is in step.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float
from numpy.typing import NDArray

from stages.denoise.config import SchedulerConfig, TransformerConfig, is_guided
from stages.denoise.sharding.mesh import sharding
from stages.denoise.step import place_constants
from stages.denoise.text_tokens import TextTokens
from stages.denoise.weights import DiTWeights
from stages.geometry import LatentSize, VideoSize, latent_size


@dataclass(frozen=True)
class SamplingSettings:
    """What decides a video's latents, besides the model and the embeddings; named as the parameters of denoise.

    Attributes:
        num_frames: 4k + 1.
        height, width: pixels, multiples of 16.
        num_inference_steps: >= 1.
        guidance_scale: >= 1, no unit; see `is_guided`.
        seed: of the initial noise, 0 .. 2**63 - 1.
        flow_shift: > 0, no unit; None is the scheduler's own.
        window_size: as in `plain_attention`.
    """

    num_frames: int
    height: int
    width: int
    num_inference_steps: int
    guidance_scale: float
    seed: int
    flow_shift: float | None
    window_size: int

    @property
    def size(self) -> LatentSize:
        """Size of the latents."""
        return latent_size(VideoSize(self.num_frames, self.height, self.width))

    @property
    def is_guided(self) -> bool:
        """Whether there are two branches of guidance."""
        return is_guided(self.guidance_scale)


@dataclass(frozen=True)
class Schedule:
    """Noise levels: `sigmas` [steps + 1] from 1 down to 0, and the DiT's argument, `timesteps` [steps]; float32."""

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
    step: Callable[..., Array],
    weights: DiTWeights[Array],
    text: TextTokens[NDArray[Any]],
    noise: Float[np.ndarray, "1 c f h w"],
    schedule: Schedule,
    *,
    config: TransformerConfig,
    mesh: Mesh,
    guidance_scale: float,
    progress: Callable[[int, int], None],
    num_done: int = 0,
    keep: Callable[[int, NDArray[Any]], None] | None = None,
) -> Float[Array, "1 c f h w"]:
    """Denoise one video.

    Args:
        step: `denoise_step` for these sizes, as `plan.lower_step` plans it: without its static arguments.
        weights: in the model dtype, on `mesh`.
        text: of both branches of guidance, or of one.
        noise: [1, c, f, h, w], model dtype, from `torch_bridge.initial_noise`; or latents after some steps.
        schedule: noise levels of all steps.
        config: of the checkpoint.
        mesh: where to compute.
        guidance_scale: >= 1, no unit; see `is_guided`.
        progress: called with (steps done, steps in all) when a step's latents are there.
        num_done: steps that `noise` has been through, 0 .. steps in all.
        keep: called before `progress` with (steps done, a copy of the latents in the host's memory): all that the next
            step reads and that is no argument here.
    Returns:
        [1, c, f, h, w], model dtype, DiT space; whole on each chip.
    """
    constants = place_constants(text, LatentSize(*noise.shape[2:]), config, mesh)
    # a copy: the first step donates it
    latents: Array = jax.device_put(noise, sharding(mesh), may_alias=False)
    num_steps = len(schedule.timesteps)
    for index in range(num_done, num_steps):
        latents = step(
            weights,
            latents,
            *constants,
            timestep=schedule.timesteps[index : index + 1].astype(noise.dtype),
            sigma_change=schedule.sigmas[index + 1] - schedule.sigmas[index],
            guidance_scale=np.float32(guidance_scale),
        )
        latents.block_until_ready()
        if keep is not None:
            keep(index + 1, np.array(latents))  # `asarray` would be a view on a CPU, and the next step could not donate
        progress(index + 1, num_steps)
    return latents
