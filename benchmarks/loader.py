"""Peak resident memory while the transformer's weights are loaded, at the real widths. Linux only.

    python -m benchmarks.loader              # 2048 channels, 16 heads, 2 blocks; about a minute and 1 GB of disk
    python -m benchmarks.loader --write      # writes the table to benchmarks/results/loader.md, too

Each line is a process of its own: one with one device, one with eight virtual ones, and two that share the work, as two
hosts do. "Peak" is what the process holds at most while it loads, without what it held before, by the kernel's count of
resident pages, those of mapped files included. "Held" is what its devices hold in the end.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from benchmarks.hub_checkpoint import write_hub_checkpoint
from stages.denoise.config import TransformerConfig, parse_transformer_config
from stages.denoise.sharding.mesh import build_mesh
from stages.denoise.torch_bridge import weight_shapes
from stages.denoise.weights import load_weights
from stages.machine.host_discovery import find_place
from stages.machine.host_protocol import join
from stages.models.checkpoint import Checkpoint, open_component
from stages.models.settings import read_settings
from stages.models.weights import open_weights
from stages.pipeline.denoise import TRANSFORMER

MB = 10**6
NUM_BLOCKS = 2
SHARD_BYTES = 150 * MB
_RESULTS = Path(__file__).parent / "results/loader.md"
_RESET_PEAK = "5"  # what makes Linux forget the highest resident size so far
_WAIT_S = 300


def main() -> None:
    """Measure and print the table; with `--measure`, be one of the processes that are measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write {_RESULTS.name}, too")
    parser.add_argument("--measure", type=Path, metavar="CHECKPOINT", help=argparse.SUPPRESS)
    parser.add_argument("--hosts", default="one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.hosts)))
        return
    with tempfile.TemporaryDirectory() as name:
        write_hub_checkpoint(Path(name) / "hub", TransformerConfig(num_layers=NUM_BLOCKS), shard_bytes=SHARD_BYTES)
        (one,) = measure_apart(Path(name) / "hub", ["one"], num_devices=1)
        (eight,) = measure_apart(Path(name) / "hub", ["one"], num_devices=8)
        with socket.create_server(("", 0)) as server:
            port = server.getsockname()[1]
        places = [f"localhost:{port} {index}/2" for index in range(2)]
        first, second = measure_apart(Path(name) / "hub", places, num_devices=4)
    lines = {"1 device": one, "8 devices": eight, "2 hosts of 4 devices: host 0": first, "host 1": second}
    text = _table(lines)
    print(text)
    if options.write:
        _RESULTS.parent.mkdir(exist_ok=True)
        _RESULTS.write_text(f"# Loading the transformer's weights\n\n`python -m benchmarks.loader --write`\n\n{text}")


def measure_apart(checkpoint: Path, hosts: Sequence[str], *, num_devices: int) -> list[dict[str, Any]]:
    """`measure` in a process for each of `hosts`, with so many virtual devices each, all at once."""
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={num_devices}",
    }
    command = [sys.executable, "-m", "benchmarks.loader", "--measure", str(checkpoint), "--hosts"]
    processes = [
        subprocess.Popen([*command, place], env=environment, stdout=subprocess.PIPE, text=True)  # noqa: S603 (no shell)
        for place in hosts
    ]
    try:
        outputs = [process.communicate(timeout=_WAIT_S)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [json.loads(output.splitlines()[-1]) for output in outputs]


def measure(checkpoint: Path, hosts: str) -> dict[str, Any]:
    """Load the weights of a checkpoint in bfloat16 on the default mesh; bytes held, and at most resident meanwhile."""
    place = find_place(hosts, platform="cpu")
    if place is not None:
        join(place)
    files = open_component(Checkpoint(checkpoint), TRANSFORMER)
    config = parse_transformer_config(read_settings(files.settings))
    mesh = build_mesh("auto", jax.devices(), num_heads=config.num_attention_heads, is_guided=True)
    weight_shapes(config)  # what is imported and kept for it is no part of the weights
    Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
    before = _resident("VmRSS")
    weights = load_weights(open_weights(files), config, dtype="bfloat16", mesh=mesh)
    arrays = jax.tree.leaves(weights)
    return {
        "peak": _resident("VmHWM") - before,
        "held": sum(part.data.nbytes for array in arrays for part in array.addressable_shards),
        "whole": sum(array.nbytes for array in arrays),
    }


def _resident(field: str) -> int:
    """Bytes by a field of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def _table(lines: dict[str, dict[str, Any]]) -> str:
    rows = ["| process | weights MB | held MB | peak MB | peak / held |", "|---|---|---|---|---|"]
    for name, sizes in lines.items():
        whole, held, peak = (f"{sizes[kind] / MB:.1f}" for kind in ("whole", "held", "peak"))
        rows.append(f"| {name} | {whole} | {held} | {peak} | {sizes['peak'] / sizes['held']:.3f} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    main()
