"""What chips send each other within a step. Each function is for the inside of `jax.shard_map` over the mesh.

Owns the collectives. How arrays are spread is said in mesh.py and, for weights, in layouts.py. Where a mesh axis has
one device nothing is sent, and the array is returned as it came.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float

from stages.denoise.attention.padding import pad_end, round_up
from stages.denoise.attention.parts import Attention, Heads
from stages.denoise.sharding.layouts import Layout
from stages.denoise.sharding.mesh import MESH_AXES, num_parts
from stages.machine.mesh_layout import AXES

# Each chip's share of the tokens is a multiple of it. A vector register of a TPU holds 16 rows of bfloat16; with shares
# that end within one, the step of 241 frames took 107 s to compile and 2.94 GiB of temporaries, not 42 s and 2.26 GiB.
SHARE_MULTIPLE = 16


def collect_weights(weights: Mapping[str, Array], layouts: Mapping[str, Layout], *, mesh: Mesh) -> dict[str, Array]:
    """Gather the weights of a part of the module: each chip stores a part of them and needs them whole.

    A weight whose heads or hidden channels are split over `heads` stays so. An output bias that the chips of that axis
    would all add to their share of a sum stays on the first of them. Dtypes are kept.
    """
    return {name: _collect(weight, layouts[name], mesh) for name, weight in weights.items()}


def _collect(weight: Array, layout: Layout, mesh: Mesh) -> Array:
    for axis, logical_axis in enumerate(layout.axes):
        if logical_axis in ("stored", "rest"):
            weight = _gather(weight, MESH_AXES[logical_axis], mesh, axis=axis)
    if layout.is_added_once and mesh.shape["heads"] > 1:
        return jnp.where(jax.lax.axis_index("heads") == 0, weight, jnp.zeros_like(weight))
    return weight


def gather_channels(channels: Float[Array, "b part"], *, mesh: Mesh) -> Float[Array, "b whole"]:
    """Channels that all chips have made a part of, [b, c / chips], put together: [b, c]; any dtype."""
    return _gather(channels, AXES, mesh, axis=1)


def sum_over_heads(partial_sums: Float[Array, "..."], *, mesh: Mesh) -> Float[Array, "..."]:
    """The sum of what the chips of `heads` have each computed from their share of the hidden channels, in its dtype."""
    if mesh.shape["heads"] == 1:
        return partial_sums
    total: Array = jax.lax.psum(partial_sums, "heads")
    return total


def num_places(num_tokens: int, *, mesh: Mesh) -> int:
    """Tokens of all chips' shares, with their padding; p shares have `num_places` / p each."""
    parts = num_parts(mesh, "tokens")
    return num_tokens if parts == 1 else round_up(num_tokens, parts * SHARE_MULTIPLE)


def local_tokens(tokens: Float[Array, "b t c"], *, mesh: Mesh) -> Float[Array, "b part c"]:
    """This chip's share of tokens that it has all of, any dtype: `num_places` / p of p chips; zeros are the padding."""
    parts = num_parts(mesh, "tokens")
    if parts == 1:
        return tokens
    padded = pad_end(tokens, num_places(tokens.shape[1], mesh=mesh), axis=1)
    size = padded.shape[1] // parts
    return jax.lax.dynamic_slice_in_dim(padded, jax.lax.axis_index("sequence") * size, size, axis=1)


def all_tokens(tokens: Float[Array, "b part c"], num_tokens: int, *, mesh: Mesh) -> Float[Array, "b t c"]:
    """The inverse of `local_tokens`: all tokens, without padding; any dtype."""
    return _gather(tokens, MESH_AXES["tokens"], mesh, axis=1)[:, :num_tokens]


def all_branches(velocity: Float[Array, "part t c"], *, mesh: Mesh) -> Float[Array, "b t c"]:
    """Both branches of guidance, from the chips that computed one each; any dtype."""
    return _gather(velocity, MESH_AXES["branches"], mesh, axis=0)


def attend_across(
    video: Heads,
    text: Heads,
    text_mask: Bool[Array, "b l"],
    *,
    attention: Attention,
    num_video_tokens: int,
    mesh: Mesh,
) -> tuple[Float[Array, "b t n d"], Float[Array, "b l n d"]]:
    """Joint attention of tokens that are spread over chips: tokens change places with heads, and back.

    Args:
        video: query, key and value of this chip's video tokens, any float dtype: [b, t, n, d] each, where t is
            `num_places` of s tokens / p, for p chips in `sequence`.
        text: those of its text tokens, likewise of l tokens.
        text_mask: [b, l], bool, True where a text token exists; of all text tokens.
        attention: sees all tokens of n / p heads.
        num_video_tokens: s, of all chips, without padding.
        mesh: whose axis `sequence` divides n.
    Returns:
        The results for this chip's video and text tokens, in the shapes and the dtype of their values.
    Source:
        Jacobs et al. 2023, arXiv:2309.14509 (DeepSpeed-Ulysses).
    """
    num_text = text_mask.shape[1]
    of_video = tuple(_to_heads(array, mesh=mesh) for array in video)
    of_text = tuple(_to_heads(array, mesh=mesh)[:, :num_text] for array in text)
    mixed_video, mixed_text = attention(of_video, of_text, text_mask, num_video_tokens=num_video_tokens)
    mixed_text = pad_end(mixed_text, num_places(num_text, mesh=mesh), axis=1)
    return _to_tokens(mixed_video, mesh=mesh), _to_tokens(mixed_text, mesh=mesh)


def _to_heads(tokens: Float[Array, "b t n d"], *, mesh: Mesh) -> Float[Array, "b t2 n2 d"]:
    """All tokens of some heads, from some tokens of all heads."""
    parts = mesh.shape["sequence"]
    if parts == 1:
        return tokens
    batch, num_tokens, num_heads, size = tokens.shape
    by_chip = tokens.reshape(batch, num_tokens, parts, -1).transpose(2, 0, 1, 3)
    return _exchange(by_chip).swapaxes(0, 1).reshape(batch, parts * num_tokens, num_heads // parts, size)


def _to_tokens(tokens: Float[Array, "b t2 n2 d"], *, mesh: Mesh) -> Float[Array, "b t n d"]:
    """The inverse of `_to_heads`."""
    parts = mesh.shape["sequence"]
    if parts == 1:
        return tokens
    batch, num_tokens, num_heads, size = tokens.shape
    by_chip = tokens.reshape(batch, parts, num_tokens // parts, num_heads * size).swapaxes(0, 1)
    return _exchange(by_chip).transpose(1, 2, 0, 3).reshape(batch, num_tokens // parts, num_heads * parts, size)


def _exchange(by_chip: Float[Array, "p b t c"]) -> Float[Array, "p b t c"]:
    """What each chip of the sequence has for each other, from each other. Heads stand side by side: whole registers."""
    swapped: Array = jax.lax.all_to_all(by_chip, "sequence", split_axis=0, concat_axis=0, tiled=True)
    return swapped


def _gather(array: Array, mesh_axes: tuple[str, ...], mesh: Mesh, *, axis: int) -> Array:
    axes = tuple(name for name in mesh_axes if mesh.shape[name] > 1)
    if not axes:
        return array
    whole: Array = jax.lax.all_gather(array, axes, axis=axis, tiled=True)
    return whole
