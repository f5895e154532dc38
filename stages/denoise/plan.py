"""The denoise step, lowered from sizes only, for devices that need not be present.

Owns the shapes of what a step is called with.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from stages.denoise.config import TransformerConfig
from stages.denoise.sharding.collectives import num_places
from stages.denoise.sharding.mesh import sharding
from stages.denoise.step import denoise_step
from stages.denoise.text_tokens import TextTokens
from stages.denoise.weights import describe_weights
from stages.geometry import LatentSize
from stages.machine.executables import Program
from stages.machine.flops import count_flops
from stages.machine.mesh_layout import NUM_BRANCHES
from stages.tensors.dtypes import DTYPES

# On a CPU, products of bfloat16 are made in float32, and this pass of XLA moves the conversion of the weights out of
# the loop over the blocks: all of them are then in memory a second time, in twice the bytes (docs/decisions/0022).
_OPTIONS_OF_BFLOAT16_ON_CPU = MappingProxyType({"xla_disable_hlo_passes": "while-loop-invariant-code-motion"})


@dataclass(frozen=True)
class StepPlan:
    """What decides how a step is compiled.

    Attributes:
        config: of the checkpoint.
        size: of the latents.
        num_prompt_tokens, num_glyph_tokens: places for text of the language model and of ByT5, as `bucket_size` gives
            them.
        is_guided: two branches, or one.
        dtype: "bfloat16" or "float32".
        window_size: as in `plain_attention`.
        has_bounded_scores: as in `denoise_step`.
    """

    config: TransformerConfig
    size: LatentSize
    num_prompt_tokens: int
    num_glyph_tokens: int
    is_guided: bool
    dtype: str
    window_size: int
    has_bounded_scores: bool

    @property
    def num_video_tokens(self) -> int:
        """Video tokens."""
        return self.size.num_cells

    @property
    def num_branches(self) -> int:
        """Entries of the batch."""
        return NUM_BRANCHES if self.is_guided else 1


def lower_step(plan: StepPlan, mesh: Mesh) -> Program:
    """`denoise_step`, lowered for the devices of `mesh`; nothing is put on them.

    Raises:
        MeshError: the weights do not split over the mesh, or the chip is of an unknown kind.
    """
    dtype = DTYPES[plan.dtype]
    weights = describe_weights(plan.config, mesh, dtype=plan.dtype)
    whole = sharding(mesh)
    latents = jax.ShapeDtypeStruct(plan.size.shape, dtype, sharding=whole)
    scalar = jax.ShapeDtypeStruct((), jnp.float32, sharding=whole)
    shape = (num_places(plan.num_video_tokens, mesh=mesh), plan.config.attention_head_dim)
    angles = jax.ShapeDtypeStruct(shape, jnp.float32, sharding=sharding(mesh, "tokens"))
    traced = denoise_step.trace(
        weights,
        latents,
        _describe_text(plan, mesh, dtype),
        (angles, angles),
        timestep=jax.ShapeDtypeStruct((1,), dtype, sharding=whole),
        sigma_change=scalar,
        guidance_scale=scalar,
        config=plan.config,
        window_size=plan.window_size,
        has_bounded_scores=plan.has_bounded_scores,
        mesh=mesh,
    )
    return Program(
        name="denoise step",
        lowered=traced.lower(),
        weights=weights,
        state=latents,
        flops=count_flops(traced.jaxpr.jaxpr),
        compiler_options=_compiler_options(plan, mesh),
    )


def _compiler_options(plan: StepPlan, mesh: Mesh) -> Mapping[str, str]:
    is_converted = plan.dtype == "bfloat16" and mesh.devices.flat[0].platform == "cpu"
    return _OPTIONS_OF_BFLOAT16_ON_CPU if is_converted else {}


def _describe_text(plan: StepPlan, mesh: Mesh, dtype: Any) -> TextTokens[jax.ShapeDtypeStruct]:
    spread = sharding(mesh, "branches")
    prompt, glyph = ((plan.num_branches, size) for size in (plan.num_prompt_tokens, plan.num_glyph_tokens))
    return TextTokens(
        prompt=jax.ShapeDtypeStruct((*prompt, plan.config.text_embed_dim), dtype, sharding=spread),
        prompt_mask=jax.ShapeDtypeStruct(prompt, bool, sharding=spread),
        glyph=jax.ShapeDtypeStruct((*glyph, plan.config.text_embed_2_dim), dtype, sharding=spread),
        glyph_mask=jax.ShapeDtypeStruct(glyph, bool, sharding=spread),
    )
