"""Files as the reference scripts write them, and others that are nearly so."""

import json
from collections.abc import Mapping
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

from stages.geometry import MAX_GLYPH_TOKENS, MAX_PROMPT_TOKENS

Tensors = Mapping[str, np.ndarray]


def random_latents(*, num_frames: int = 3, dtype: type = ml_dtypes.bfloat16) -> Tensors:
    """Latents of a small video."""
    return {"latents": np.random.default_rng(0).normal(size=(1, 32, num_frames, 2, 4)).astype(dtype)}


def random_embeddings(dtype: type = ml_dtypes.bfloat16) -> Tensors:
    """Embeddings of two prompts, narrow ones."""
    random = np.random.default_rng(0)
    tensors = {}
    for prefix in ("", "negative_"):
        for suffix, num_tokens, width in (("", MAX_PROMPT_TOKENS, 5), ("_2", MAX_GLYPH_TOKENS, 3)):
            tensors[f"{prefix}prompt_embeds{suffix}"] = random.normal(size=(1, num_tokens, width)).astype(dtype)
            tensors[f"{prefix}prompt_embeds_mask{suffix}"] = (np.arange(num_tokens) < 3).astype(dtype)[None]
    return tensors


def write_reference_embeddings(path: Path, tensors: Tensors) -> None:
    """As `save_embeddings_to_safetensors` does: bfloat16 is stored as float32."""
    dtype_info = {name: array.dtype.name for name, array in tensors.items()}
    metadata = {"prompt": "a cat", "negative_prompt": "", "model_id": "x", "dtype_info": json.dumps(dtype_info)}
    save_file({name: array.astype(np.float32) for name, array in tensors.items()}, path, metadata)


def write_reference_latents(path: Path, tensors: Tensors) -> None:
    """As `save_latents_to_safetensors` does: every dtype is stored as it is."""
    dtype_info = {name: f"torch.{array.dtype.name}" for name, array in tensors.items()}
    metadata = {"seed": "42", "num_frames": "9", "dtype_info": json.dumps(dtype_info)}
    save_file(dict(tensors), path, metadata)
