"""The largest score that a checkpoint's attention can have, whatever the video: from the weights of its norms alone."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from stages.denoise.config import TransformerConfig
from stages.tensors.weight_files import WeightFiles

_QUERY_NORMS, _KEY_NORMS = ("norm_q", "norm_added_q"), ("norm_k", "norm_added_k")  # of video, of text
_ROUNDING = 1 + 2**-5  # norms, rotation and products in bfloat16 are each off by up to 2^-8


def read_max_score(files: WeightFiles, config: TransformerConfig) -> float:
    """Upper bound of |query . key| / sqrt(d) over all blocks, heads and tokens.

    An RMS norm makes d values whose squares sum to at most d, and multiplies each by its weight. Rotary embedding turns
    pairs of neighbours, (0, 1), (2, 3), ..., which keeps the length of each. With g the larger weight of a pair, in
    size, a score is at most sum g_query |q| g_key |k| / sqrt(d) <= max(g_query g_key) sqrt(d), by Cauchy and Schwarz.

    Args:
        files: the component `transformer`.
        config: its settings.
    Raises:
        CheckpointError: a file can no longer be read.
    Source:
        Zhang and Sennrich 2019, arXiv:1910.07467; Su et al. 2021, arXiv:2104.09864, section 3.2;
        `HunyuanVideo15AttnProcessor2_0` of diffusers.
    """
    layers = range(config.num_layers)
    weights = files.read_all(_name(layer, norm) for layer in layers for norm in (*_QUERY_NORMS, *_KEY_NORMS))
    largest = max(
        float((_pair_weights(weights, layer, _QUERY_NORMS) * _pair_weights(weights, layer, _KEY_NORMS)).max())
        for layer in layers
    )
    return largest * config.attention_head_dim**0.5 * _ROUNDING


def _name(layer: int, norm: str) -> str:
    return f"transformer_blocks.{layer}.attn.{norm}.weight"


def _pair_weights(
    weights: Mapping[str, NDArray[Any]], layer: int, norms: tuple[str, str]
) -> Float32[np.ndarray, " pairs"]:
    """The largest weight of each pair, in size, of video or text."""
    sizes = np.abs([weights[_name(layer, norm)].astype(np.float32) for norm in norms])
    pairs: NDArray[np.float32] = sizes.reshape(len(norms), -1, 2).max(axis=(0, 2))
    return pairs
