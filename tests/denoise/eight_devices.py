"""A toy model's latents on meshes of eight virtual CPU devices: a program, because their number is set at the start.

    python -m tests.denoise.eight_devices CHECKPOINT OUT

Writes to OUT, as .npz, the latents of each mesh and of one device, and prints as JSON what each device holds of the
weights.
"""

import functools
import json
import sys
from pathlib import Path

import jax
import numpy as np

from stages.denoise.config import SchedulerConfig
from stages.denoise.mesh import build_mesh
from stages.denoise.sampling import is_guided, make_schedule, sample
from stages.denoise.step import denoise_step
from stages.denoise.text_tokens import pack_text_tokens
from stages.denoise.torch_bridge import initial_noise
from stages.denoise.weights import load_weights
from stages.geometry import LatentSize
from stages.tensors import WeightFiles
from tests.denoise.builders import EIGHT_HEADS, build_prompt

SIZE = LatentSize(2, 3, 5)  # 30 tokens: no number of devices divides them
LAYOUTS = ("1x1x1", "1x1x8", "2x1x4", "2x2x2", "1x8x1", "1x4x2", "2x4x1", "auto")
WINDOW = 7


def denoise(folder: Path, layout: str, *, guidance_scale: float = 2.0, window_size: int = 0) -> np.ndarray:
    """Two steps on the devices of a layout; prints the share of the weights that each device holds."""
    branches = [build_prompt(5, 3, seed=1, config=EIGHT_HEADS), build_prompt(2, seed=2, config=EIGHT_HEADS)]
    guided = is_guided(guidance_scale)
    mesh = build_mesh(layout, jax.devices(), num_heads=EIGHT_HEADS.num_attention_heads, is_guided=guided)
    weights = load_weights(WeightFiles(folder), EIGHT_HEADS, dtype="float32", mesh=mesh)
    latents = sample(
        functools.partial(denoise_step, config=EIGHT_HEADS, window_size=window_size, mesh=mesh),
        weights,
        pack_text_tokens(branches if guided else branches[:1], dtype=np.dtype(np.float32)),
        initial_noise(SIZE, seed=0, dtype="float32"),
        make_schedule(2, SchedulerConfig(shift=3.0)),
        config=EIGHT_HEADS,
        mesh=mesh,
        guidance_scale=guidance_scale,
        progress=lambda *_: None,
    )
    arrays = jax.tree.leaves(weights)
    held = sum(array.addressable_shards[0].data.nbytes for array in arrays)
    whole = sum(array.nbytes for array in arrays)
    print(json.dumps({"layout": layout, "mesh": list(mesh.shape.values()), "held": held, "whole": whole}))
    return np.asarray(latents)


def main(folder: Path, out: Path) -> None:
    """All layouts; then without guidance, and with a window. Compiled in half the time."""
    jax.config.update("jax_disable_most_optimizations", True)
    results = {layout: denoise(folder, layout) for layout in LAYOUTS}
    for layout in ("1x1x1", "2x2x2"):
        results[f"{layout} unguided"] = denoise(folder, layout, guidance_scale=1.0)
        results[f"{layout} window"] = denoise(folder, layout, window_size=WINDOW)
    np.savez(out, **results)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
