"""One step from noise to latents, for all chips of a mesh: predict, guide, move.

Owns the arithmetic of flow matching and guidance. The velocity is predicted in transformer.py; where arrays go is said
in mesh.py.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Float32
from numpy.typing import NDArray

from stages.denoise.attention.kernels import pick_attention
from stages.denoise.config import TransformerConfig
from stages.denoise.sharding.collectives import all_branches, all_tokens, num_places
from stages.denoise.sharding.mesh import sharding, spec
from stages.denoise.text_tokens import TextTokens
from stages.denoise.torch_bridge import rotary_embedding
from stages.denoise.transformer import predict_velocity
from stages.denoise.weights import DiTWeights, weight_specs
from stages.geometry import LatentSize

_FLOAT_BITS = {"bfloat16": (8, 7), "float32": (8, 23)}  # of the exponent, of the mantissa


@functools.partial(
    jax.jit, static_argnames=("config", "window_size", "has_bounded_scores", "mesh"), donate_argnames="latents"
)
def denoise_step(
    weights: DiTWeights[Array],
    latents: Float[Array, "1 c f h w"],
    text: TextTokens[Array],
    rotary: tuple[Float[Array, "t d"], Float[Array, "t d"]],
    *,
    timestep: Float[Array, "1"],
    sigma_change: Float[Array, ""],
    guidance_scale: Float[Array, ""],
    config: TransformerConfig,
    window_size: int,
    has_bounded_scores: bool,
    mesh: Mesh,
) -> Float[Array, "1 c f h w"]:
    """One step along the flow, both branches of guidance at once. `latents` is donated.

    With float32 every matrix product is float32: on a TPU it would otherwise be one of bfloat16. (Not run on a TPU so
    far; that every product asks for it, those of the attention kernels too, is tested.)

    Args:
        weights: of all chips, model dtype, spread as layouts.py says.
        latents: [1, c, f, h, w], model dtype, DiT space; whole on each chip.
        text: two texts (cond, uncond) for guidance, one without.
        rotary: cosines and sines, float32, a row for each of `num_places` video tokens.
        timestep: [1], model dtype, as in `predict_velocity`.
        sigma_change: float32, next noise level minus this one, < 0.
        guidance_scale: float32, not read when there is one text.
        config: of the checkpoint.
        window_size: as in `plain_attention`.
        has_bounded_scores: whether those of all blocks are, as `bounded_attention` wants them.
        mesh: where to compute.
    Returns:
        [1, c, f, h, w], model dtype.
    """
    num_video_tokens = latents[0, 0].size
    device = mesh.devices.flat[0]
    kernel = pick_attention(device, window_size=window_size, has_bounded_scores=has_bounded_scores)

    def predict(*arguments: Any) -> Array:
        share = predict_velocity(*arguments, config=config, kernel=kernel, mesh=mesh)
        return all_branches(all_tokens(share, num_video_tokens, mesh=mesh), mesh=mesh)

    with jax.default_matmul_precision("highest" if latents.dtype == jnp.float32 else None):
        tokens = jax.shard_map(
            predict,
            mesh=mesh,
            in_specs=(weight_specs(config, mesh), spec(), spec("branches"), spec(), spec("tokens")),
            out_specs=spec(),
            check_vma=False,  # of kernels it cannot know
        )(weights, latents, text, timestep, rotary)
    velocity = jnp.moveaxis(tokens, 2, 1).reshape(-1, *latents.shape[1:])
    if velocity.shape[0] > 1:
        velocity = guide(velocity[:1], velocity[1:], guidance_scale)
    return euler_step(latents, velocity, sigma_change)


def place_constants(
    text: TextTokens[NDArray[Any]], size: LatentSize, config: TransformerConfig, mesh: Mesh
) -> tuple[TextTokens[Array], tuple[Array, Array]]:
    """What stays the same in all steps, put on the chips.

    Returns:
        The text tokens, in their shapes and dtypes, each branch of guidance on its chips; cosines and sines of the
        rotary embedding, float32, [`num_places` of f * h * w tokens, d], spread over `sequence`, with zeros as padding.
    """
    rotary = rotary_embedding(size, config)
    padding = num_places(len(rotary[0]), mesh=mesh) - len(rotary[0])
    padded = tuple(np.pad(angles, ((0, padding), (0, 0))) for angles in rotary)
    return jax.device_put(text, sharding(mesh, "branches")), jax.device_put(padded, sharding(mesh, "tokens"))


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


def euler_step(
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
