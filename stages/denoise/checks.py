"""What can keep this stage from its work, before anything runs: settings of the checkpoint that it cannot run.

Loads neither JAX nor torch. What depends on the number of devices, the stage's process alone can know.
"""

import math
from collections.abc import Mapping
from typing import Any

from stages.denoise.config import (
    UNREAD,
    is_guided,
    parse_guider_config,
    parse_scheduler_config,
    parse_transformer_config,
)
from stages.geometry import VideoSize, latent_size
from stages.machine.binary_units import show_gib
from stages.machine.host_memory import host_memory_bytes
from stages.machine.mesh_layout import AUTO, fold_layout
from stages.models.text_layouts import QWEN, T5, TextLayout
from stages.models.weight_headers import DTYPE_BYTES
from stages.pipeline.component import Component
from stages.pipeline.denoise import GUIDER, SCHEDULER, TRANSFORMER
from stages.pipeline.encode import TEXT_ENCODER, TEXT_ENCODER_2
from stages.pipeline.stage import ACCELERATOR
from stages.run.checks import Chain, collect
from stages.run.weight_checks import find_weight_faults, is_on_host

_MAX_TOKENS = 2**31 - 1  # JAX's indices have 32 bits
# A width that the transformer reads, by its setting: the component that makes it, and the name that it has there.
_WIDTHS: Mapping[str, tuple[Component, TextLayout, str]] = {
    "text_embed_dim": (TEXT_ENCODER, QWEN, "hidden_size"),
    "text_embed_2_dim": (TEXT_ENCODER_2, T5, "d_model"),
}


def find_faults(chain: Chain, parameters: Mapping[str, Any]) -> list[str]:
    """What keeps a node from being made, a message each."""
    faults = find_weight_faults(
        chain,
        TRANSFORMER,
        ACCELERATOR,
        parameter="denoise.dtype",
        dtype=parameters["dtype"],
        anchors=("x_embedder.proj.weight",),
        unread=(UNREAD,),
    )
    faults += collect(
        lambda: parse_scheduler_config(chain.settings(SCHEDULER)),
        lambda: parse_transformer_config(chain.settings(TRANSFORMER)),
        lambda: parse_guider_config(chain.settings(GUIDER)),
    )
    if faults:
        return faults
    faults = collect(lambda: _check_mesh(chain, parameters["guidance_scale"])) + _find_faults_of_size(chain, parameters)
    return faults + (_find_other_widths(chain) if chain.makes("encode") else [])


def size_bytes(chain: Chain, parameters: Mapping[str, Any]) -> int | None:
    """Bytes of the latents."""
    size = chain.video_size
    return None if size is None else math.prod(latent_size(size).shape) * DTYPE_BYTES[parameters["dtype"]]


def _find_faults_of_size(chain: Chain, parameters: Mapping[str, Any]) -> list[str]:
    """Sizes that no device can compute; on the host, also those of which not even one layer's values fit."""
    video = VideoSize(parameters["num_frames"], parameters["height"], parameters["width"])
    num_tokens = latent_size(video).num_cells
    what = f"denoise.num_frames = {video.num_frames}, height = {video.height} and width = {video.width}"
    if num_tokens > _MAX_TOKENS:
        return [f"{what}: {num_tokens} tokens, and JAX counts up to {_MAX_TOKENS}. Make the video shorter or smaller."]
    config = parse_transformer_config(chain.settings(TRANSFORMER))
    width = config.num_attention_heads * config.attention_head_dim
    num_bytes, memory_bytes = num_tokens * width * DTYPE_BYTES[parameters["dtype"]], host_memory_bytes()
    if num_bytes <= memory_bytes or not is_on_host(str(chain.machine["platform"])):
        return []
    return [
        f"{what}: the values between two layers alone take {show_gib(num_bytes)}, and this machine has "
        f"{show_gib(memory_bytes)} of memory. Make the video shorter or smaller."
    ]


def _check_mesh(chain: Chain, guidance_scale: float) -> None:
    layout = str(chain.machine["mesh"])
    if layout != AUTO:
        config = parse_transformer_config(chain.settings(TRANSFORMER))
        fold_layout(layout, num_heads=config.num_attention_heads, is_guided=is_guided(guidance_scale))


def _find_other_widths(chain: Chain) -> list[str]:
    """Embeddings of the checkpoint's own text encoders that the transformer does not read."""
    transformer = chain.settings(TRANSFORMER)
    config = parse_transformer_config(transformer)
    faults = []
    for name, (component, layout, key) in _WIDTHS.items():
        encoder = chain.settings(component)
        found = layout.select_settings(encoder.values).get(key)
        if found != getattr(config, name):
            faults.append(
                f"{transformer.where}: `{name}` is {getattr(config, name)}, but `{key}` in {encoder.where} is {found}. "
                "Use a checkpoint whose text encoders and transformer belong together."
            )
    return faults
