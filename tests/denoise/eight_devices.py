"""A toy model's latents on meshes of eight virtual CPU devices: a program, because their number is set at the start.

    python -m tests.denoise.eight_devices CHECKPOINT OUT [HOSTS]

Writes to OUT, as .npz, the latents of each mesh and of one device, and prints as JSON what a device holds of the
weights, and what all devices of this process hold and have read. With HOSTS, as in params/machine.toml, the devices are
those of several processes, and the mesh is one that leaves none of them out.
"""

import functools
import json
import sys
from pathlib import Path

import jax
import numpy as np

from stages.denoise.config import SchedulerConfig, is_guided
from stages.denoise.sampling import make_schedule, sample
from stages.denoise.sharding.mesh import build_mesh
from stages.denoise.step import denoise_step
from stages.denoise.text_tokens import pack_text_tokens
from stages.denoise.torch_bridge import initial_noise
from stages.denoise.weights import load_weights
from stages.geometry import LatentSize
from stages.machine.host_discovery import find_place
from stages.machine.host_protocol import join
from stages.tensors.weight_files import WeightFiles

SIZE = LatentSize(2, 3, 5)  # 30 tokens: no number of devices divides them
LAYOUTS = ("1x1x1", "1x1x8", "2x1x4", "2x2x2", "1x8x1", "1x4x2", "2x4x1", "auto")
HOSTS_LAYOUT = "1x4x2"  # tokens and heads change places between hosts
WINDOW = 7


class CountingFiles(WeightFiles):
    """Counts the bytes that are read."""

    num_bytes = 0

    def read(self, name: str, index: tuple[slice, ...] | None = None) -> np.ndarray:
        values = super().read(name, index)
        self.num_bytes += values.nbytes
        return values


def denoise(folder: Path, layout: str, *, guidance_scale: float = 2.0, window_size: int = 0) -> np.ndarray:
    """Two steps on the devices of a layout; prints the share of the weights that each device holds."""
    from tests.denoise.builders import EIGHT_HEADS, build_prompt  # noqa: PLC0415 (asks for devices: after hosts join)

    branches = [build_prompt(5, 3, seed=1, config=EIGHT_HEADS), build_prompt(2, seed=2, config=EIGHT_HEADS)]
    guided = is_guided(guidance_scale)
    mesh = build_mesh(layout, jax.devices(), num_heads=EIGHT_HEADS.num_attention_heads, is_guided=guided)
    files = CountingFiles(folder, {"diffusion_pytorch_model.safetensors": None})
    weights = load_weights(files, EIGHT_HEADS, dtype="float32", mesh=mesh)
    latents = sample(
        functools.partial(
            denoise_step, config=EIGHT_HEADS, window_size=window_size, has_bounded_scores=True, mesh=mesh
        ),
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
    here = sum(part.data.nbytes for array in arrays for part in array.addressable_shards)
    whole = sum(array.nbytes for array in arrays)
    sizes = {"held": held, "here": here, "whole": whole, "read": files.num_bytes}
    print(json.dumps({"layout": layout, "mesh": list(mesh.shape.values()), **sizes}))
    return np.asarray(latents)


def main(folder: Path, out: Path, hosts: str = "one") -> None:
    """All layouts; on one host without guidance, and with a window, too."""
    place = find_place(hosts, platform="cpu")
    if place is not None:
        join(place)
        np.savez(out, **{HOSTS_LAYOUT: denoise(folder, HOSTS_LAYOUT)})
        return
    results = {layout: denoise(folder, layout) for layout in LAYOUTS}
    for layout in ("1x1x1", "2x2x2"):
        results[f"{layout} unguided"] = denoise(folder, layout, guidance_scale=1.0)
        results[f"{layout} window"] = denoise(folder, layout, window_size=WINDOW)
    np.savez(out, **results)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
