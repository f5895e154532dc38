"""A project whose checkpoint is settings alone, and answers for its store."""

import json
from pathlib import Path
from typing import Any

from stages.keys import JsonValue
from stages.preflight.questions import FIGURES, PREFLIGHT, Question
from stages.store.artifacts import Store
from tests.builders import code_of
from tests.project import copy_params, set_defaults

GIB = 2**30
SETTINGS: dict[str, dict[str, Any]] = {
    "transformer": {
        "_class_name": "HunyuanVideo15Transformer3DModel",
        "num_attention_heads": 2,
        "attention_head_dim": 12,
        "num_layers": 2,
        "num_refiner_layers": 1,
        "text_embed_dim": 20,
        "text_embed_2_dim": 10,
        "image_embed_dim": 6,
        "rope_axes_dim": [4, 4, 4],
    },
    "vae": {
        "_class_name": "AutoencoderKLHunyuanVideo15",
        "block_out_channels": [4, 4, 8, 16, 32],
        "latent_channels": 32,
        "layers_per_block": 0,
        "out_channels": 3,
        "scaling_factor": 1.0,
        "spatial_compression_ratio": 16,
        "temporal_compression_ratio": 4,
        "upsample_match_channel": True,
    },
}
VIDEO = """\
[model]
checkpoint = "model"
[encode]
prompt = "a"
[denoise]
num_frames = 9
height = 32
width = 48
num_inference_steps = 20
guidance_scale = 3.0
dtype = "float32"
[decode]
tile_size = 16
dtype = "float32"
"""


def write_project(root: Path, *videos: str) -> Path:
    """A project with these videos; its checkpoint has no weights."""
    set_defaults(copy_params(root), "machine", platform="cpu", hosts="one")
    (root / "params" / "videos" / "demo.toml").unlink()
    for video in videos or ("demo",):
        (root / "params" / "videos" / f"{video}.toml").write_text(VIDEO)
    for component, settings in SETTINGS.items():
        (root / "model" / component).mkdir(parents=True)
        (root / "model" / component / "config.json").write_text(json.dumps(settings))
    return root


def build_figures(
    *, weights: float = 2, state: float = 0.5, temporaries: float = 1, limit: float = 16, **others: JsonValue
) -> dict[str, JsonValue]:
    """What `figures.json` says; memory in GiB."""
    memory = {"weights": weights, "state": state, "temporaries": temporaries}
    work: dict[str, JsonValue] = {"flops": 1e15, "read_bytes": int((weights + state) * GIB)}
    return {
        "device_kind": "TPU v5 lite",
        "num_devices": 8,
        "mesh": "2x4x1",
        "memory": {name: int(size * GIB) for name, size in memory.items()},
        "growing_bytes": int((state + temporaries) * GIB),
        "limit_bytes": int(limit * GIB),
        "fits": weights + state + temporaries <= limit,
        "refusal": "",
        "flops": 8e15,
        "first": work,
        "later": work,
        "collectives": [{"kind": "all-to-all", "count": 216, "size_bytes": 3 * GIB}],
        "expected": {"compute_s": 4.0, "kernels_s": 5.0, "chips_s": 0.75, "memory_s": 0.25},
        **others,
    }


def publish_answer(root: Path, question: Question, figures: dict[str, JsonValue]) -> None:
    """Put an answer into the project's store as the process that compiles does."""
    store = Store(root / "artifacts")
    with store.draft() as draft:
        (draft / FIGURES.payload).write_text(json.dumps(figures))
        store.publish(
            question.node,
            draft,
            payload=FIGURES.payload,
            inputs={},
            code=code_of(PREFLIGHT),
            run={"compile_s": 12.3, "was_loaded": False},
        )
