"""Real jobs for the stage's process: a small checkpoint of all that it reads, a store with embeddings."""

from pathlib import Path
from typing import Any

import numpy as np
from diffusers import ClassifierFreeGuidance, FlowMatchEulerDiscreteScheduler

from stages.denoise.config import TransformerConfig
from stages.geometry import MAX_GLYPH_TOKENS, MAX_PROMPT_TOKENS
from stages.keys import Node
from stages.models.checkpoint import Checkpoint
from stages.run.job import Job
from stages.store.artifacts import Store
from stages.tensors.files import write_tensors
from tests.builders import CODE, build_job, publish
from tests.denoise.builders import TOY, write_checkpoint

PARAMETERS = {
    "num_frames": 1,
    "height": 32,
    "width": 32,
    "num_inference_steps": 1,
    "guidance_scale": 2.0,
    "seed": 0,
    "window_size": 0,
    "flow_shift": None,
    "dtype": "float32",
}


def write_whole_checkpoint(folder: Path, config: TransformerConfig = TOY) -> Path:
    """The components that the stage reads."""
    write_checkpoint(folder / "transformer", config)
    FlowMatchEulerDiscreteScheduler(shift=3.0).save_pretrained(folder / "scheduler")
    ClassifierFreeGuidance(guidance_scale=6.0).save_pretrained(folder / "guider")
    return folder


def denoise_job(
    checkpoint: Path,
    root: Path,
    *,
    width: int = TOY.text_embed_dim,
    machine: dict[str, str] | None = None,
    **changes: Any,
) -> Job:
    """A job of the store in `root`, which gets random embeddings `width` wide; `changes` of its parameters."""
    store = Store(root)
    encode = Node("encode", {"width": width}, {}, {})
    write_tensors(root.with_name(f"{root.name}-embeddings"), embeddings(width))
    publish(store, encode, root.with_name(f"{root.name}-embeddings").read_bytes())
    node = Node("denoise", PARAMETERS | changes, {}, {"encode": encode.key})
    machine = {
        "platform": "cpu",
        "mesh": "auto",
        "hosts": "one",
        "checkpoint_every": "auto",
        "preview_every": "never",
    } | (machine or {})
    return build_job(node, Checkpoint(checkpoint), store.root, CODE, machine)


def latents_file(root: Path) -> Path:
    """What the one denoise node of a store has made."""
    (file,) = (root / "denoise").glob("*/latents.safetensors")
    return file


def embeddings(width: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    tensors = {}
    for prefix in ("", "negative_"):
        for suffix, num_tokens, size in (
            ("", MAX_PROMPT_TOKENS, width),
            ("_2", MAX_GLYPH_TOKENS, TOY.text_embed_2_dim),
        ):
            tensors[f"{prefix}prompt_embeds{suffix}"] = random.normal(size=(1, num_tokens, size)).astype(np.float32)
            tensors[f"{prefix}prompt_embeds_mask{suffix}"] = (np.arange(num_tokens) < 3).astype(np.float32)[None]
    return tensors
