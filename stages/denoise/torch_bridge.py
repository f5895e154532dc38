"""Where torch is used in this stage: diffusers' DiT as pure functions on JAX arrays, and the initial noise.

Owns the module definition (on the meta device, never with weights) and torch's random numbers. Which function runs when
is said in transformer.py; attention comes in as an argument. How torch's operators run under JAX is in
torchax_environment.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import torch
from diffusers.models.attention_processor import Attention as DiffusersAttention
from diffusers.models.transformers.transformer_hunyuan_video15 import (
    HunyuanVideo15RotaryPosEmbed,
    HunyuanVideo15Transformer3DModel,
)
from jaxtyping import Array, Float
from torch.overrides import TorchFunctionMode

from stages.denoise.attention.parts import Heads, Prepare
from stages.denoise.attention.plain import plain_attention
from stages.denoise.config import TransformerConfig, as_arguments
from stages.denoise.torchax_environment import torchax_environment
from stages.geometry import LatentSize

Weights: TypeAlias = Mapping[str, Array]
Shapes: TypeAlias = dict[str, tuple[int, ...]]
Module: TypeAlias = HunyuanVideo15Transformer3DModel

BLOCK = "transformer_blocks.0"  # the one block of the module; it runs for all blocks, whose weights are stacked
_TORCH_DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


@dataclass(frozen=True)
class Surroundings:
    """What happens around the layers of the module, so that a chip can run its share of them.

    Attributes:
        attend: query, key and value of video tokens and of text tokens, and [b, l], which text tokens exist; gives
            what the attention makes of both, [b, t, n, d].
        prepare: queries or keys of video tokens before it, as `norm_and_rotate`.
        after: by the name of a layer within the module, what is done to its result.
    """

    attend: Callable[[Heads, Heads, Array], tuple[Array, Array]]
    prepare: Prepare
    after: Mapping[str, Callable[[Array], Array]]


class _JointAttention:
    """Attention of diffusers' blocks, with the attention itself as an argument.

    Unlike diffusers' own processor it builds no mask of all queries by all keys.
    Source: HunyuanVideo15AttnProcessor2_0 of diffusers.
    """

    def __init__(self, surroundings: "Surroundings") -> None:
        self._attend, self._prepare = surroundings.attend, surroundings.prepare

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        attention_mask: Any,
        image_rotary_emb: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Run a block's attention on video and text tokens; `attention_mask` is [b, l], of the text."""
        query, key, value = _as_heads(_project(attn, hidden_states, ("to_q", "to_k", "to_v"), ()))
        angles = tuple(array.jax() for array in image_rotary_emb)
        query, key = (
            self._prepare(heads, norm.weight.jax(), angles, epsilon=norm.eps)
            for heads, norm in ((query, attn.norm_q), (key, attn.norm_k))
        )
        text = _project(attn, encoder_hidden_states, _TEXT_PROJECTIONS, ("norm_added_q", "norm_added_k"))
        mixed_video, mixed_text = self._attend((query, key, value), _as_heads(text), attention_mask.jax())
        return attn.to_out[0](_as_tokens(mixed_video)), attn.to_add_out(_as_tokens(mixed_text))


class _TextAttention:
    """Attention of the text refiner, each chip with all tokens of its texts. Source: AttnProcessor2_0 of diffusers."""

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: None = None,  # noqa: ARG002 (diffusers names it)
        attention_mask: Any = None,
    ) -> torch.Tensor:
        """Run the attention; `attention_mask` is [b, 1, l, l], True for pairs of tokens that exist."""
        heads = _as_heads(_project(attn, hidden_states, ("to_q", "to_k", "to_v"), ()))
        # A key that some query sees is a token that exists.
        exist = jnp.any(attention_mask.jax(), axis=(1, 2))
        query, key, value = (array.swapaxes(1, 2) for array in heads)
        mixed = plain_attention(query, key, value, exist).swapaxes(1, 2)
        result: torch.Tensor = attn.to_out[0](_as_tokens(mixed))
        return result


_TEXT_PROJECTIONS = ("add_q_proj", "add_k_proj", "add_v_proj")


def _project(
    attn: Any, hidden: torch.Tensor, projections: tuple[str, str, str], norms: tuple[str, ...]
) -> list[torch.Tensor]:
    """Query, key and value of some tokens, [b, t, n, d] each, query and key normed where the module has norms.

    With the weights of a share of the heads, n is that share.
    """
    size = attn.inner_dim // attn.heads
    result = [getattr(attn, name)(hidden).unflatten(2, (-1, size)) for name in projections]
    for index, name in enumerate(norms):
        result[index] = getattr(attn, name)(result[index])
    return result


def _as_heads(projected: list[torch.Tensor]) -> Heads:
    """[b, t, n, d] for JAX."""
    query, key, value = torchax_environment().t2j_iso(projected)
    return query, key, value


def _as_tokens(mixed: Float[Array, "b t n d"]) -> torch.Tensor:
    """[b, t, c] for the module, heads side by side."""
    wrapped: torch.Tensor = torchax_environment().j2t_iso(mixed.reshape(*mixed.shape[:2], -1))
    return wrapped


def build_module(config: TransformerConfig, surroundings: Surroundings) -> Module:
    """Diffusers' DiT on the meta device, with one block in place of all."""
    module = _meta_module(config)
    for layer in module.context_embedder.modules():
        if isinstance(layer, DiffusersAttention):
            layer.set_processor(_TextAttention())
    module.transformer_blocks[0].attn.set_processor(_JointAttention(surroundings))
    for name, change in surroundings.after.items():
        module.get_submodule(name).register_forward_hook(_hook(change))
    return module


def _meta_module(config: TransformerConfig) -> Module:
    with _NoInitialisation(), torch.device("meta"):
        module: Module = HunyuanVideo15Transformer3DModel(**as_arguments(replace(config, num_layers=1)))
    return module.eval().requires_grad_(False)


class _NoInitialisation(TorchFunctionMode):
    """Leaves weights as they are allocated.

    On the meta device there are no values to draw, and drawing them would first import torch's compiler, for a second.
    """

    def __torch_function__(self, function: Any, _types: Any, arguments: Any = (), options: Any = None) -> Any:
        options = options or {}
        if getattr(function, "__module__", "") == torch.nn.init.__name__:
            return arguments[0] if arguments else options["tensor"]
        return function(*arguments, **options)


def _hook(change: Callable[[Array], Array]) -> Callable[[Any, Any, Any], torch.Tensor]:
    def run(_layer: Any, _inputs: Any, output: Any) -> torch.Tensor:
        wrapped: torch.Tensor = torchax_environment().j2t_iso(change(output.jax()))
        return wrapped

    return run


def call(module: Module, name: str, weights: Weights, *arguments: Any) -> Any:
    """Run a part of the module as a pure function; traceable by JAX.

    Args:
        module: from `build_module`.
        name: the part, as in `torch.nn.Module.get_submodule`.
        weights: all parameters of the part, by their names within it.
        arguments: positional arguments of its `forward`: arrays, or tuples of them.
    Returns:
        What `forward` returns, with arrays in place of tensors.
    """
    environment = torchax_environment()
    with torch.no_grad(), environment:
        result = torch.func.functional_call(
            module.get_submodule(name),
            environment.j2t_iso(dict(weights)),
            environment.j2t_iso(arguments),
            strict=True,
        )
        return environment.t2j_iso(result)


def weight_shapes(config: TransformerConfig) -> tuple[Shapes, Shapes]:
    """Names and shapes of the weights: those of one block, by their names within it, and those outside the blocks."""
    shapes = {name: tuple(weight.shape) for name, weight in _meta_module(config).state_dict().items()}
    block = {name.removeprefix(f"{BLOCK}."): shape for name, shape in shapes.items() if name.startswith(BLOCK)}
    return block, {name: shape for name, shape in shapes.items() if not name.startswith(BLOCK)}


def rotary_embedding(
    size: LatentSize, config: TransformerConfig
) -> tuple[Float[np.ndarray, "s d"], Float[np.ndarray, "s d"]]:
    """Cosines and sines of the rotary embedding of all video tokens, as diffusers makes them.

    Returns:
        Two arrays [s, d], float32, in [-1, 1]; tokens frame by frame, row by row.
    """
    rope = HunyuanVideo15RotaryPosEmbed(
        config.patch_size, config.patch_size_t, list(config.rope_axes_dim), config.rope_theta
    )
    cosines, sines = rope(torch.empty(size.shape, device="cpu"))
    return cosines.numpy(), sines.numpy()


def initial_noise(size: LatentSize, *, seed: int, dtype: str) -> Float[np.ndarray, "1 c f h w"]:
    """The noise that diffusers' pipeline starts from, with a generator on the CPU.

    Args:
        size: of the latents.
        seed: 0 .. 2**63 - 1.
        dtype: "bfloat16" or "float32", the model's; each has noise of its own, none is the other's, rounded.
    Returns:
        [1, c, f, h, w], `dtype`, mean 0, deviation 1.
    Source:
        `randn_tensor` and `HunyuanVideo15Pipeline.prepare_latents` of diffusers.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    noise = torch.randn(size.shape, generator=generator, device="cpu", dtype=_TORCH_DTYPES[dtype])
    if dtype == "bfloat16":
        return noise.view(torch.int16).numpy().view(ml_dtypes.bfloat16)  # torch has no bfloat16 for numpy
    return noise.numpy()
