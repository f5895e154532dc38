"""The whole pipeline at the real size on a CPU: seconds and peak memory of each stage. Needs 40 GB of disk.

    python -m benchmarks.full_size FOLDER            # writes the checkpoint there, unless it is there, and measures
    python -m benchmarks.full_size FOLDER --write    # writes the table to benchmarks/results/full_size.md, too

Writes a checkpoint whose components all have the sizes of HunyuanVideo-1.5, with random weights in bfloat16, and takes
a small video through `doit`, stage by stage: 5 frames of 128x128, 2 guided steps. Memory is what the stage's process
has held at most, by run.json; it may be 1.1 of its components' weights and 3 GiB. Exit code 1 where a stage has more.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import torch
from diffusers import AutoencoderKLHunyuanVideo15, HunyuanVideo15Transformer3DModel
from numpy.typing import NDArray
from safetensors.numpy import save_file
from transformers import Qwen2_5_VLTextConfig, Qwen2_5_VLTextModel, T5Config, T5EncoderModel

import stages
from benchmarks.project import PROJECT, Tables, run_doit, write_project

RESULTS = PROJECT / "benchmarks/results/full_size.md"
PACKAGE = Path(stages.__file__).parent / "models"
HUB_ID = "hunyuanvideo-community/HunyuanVideo-1.5-Diffusers-720p_t2v"
GIB = 2**30
SHARD_BYTES = 2 * 10**9
ALLOWED_SHARE, ALLOWED_BYTES = 1.1, 3 * GIB  # of memory, beside the weights
VIDEO: Tables = {
    "encode": {"prompt": 'A city at night, and a sign that reads "Open".'},  # quoted, so that ByT5 runs, too
    "denoise": {"num_frames": 5, "height": 128, "width": 128, "num_inference_steps": 2, "guidance_scale": 6.0},
}
# Of the language model of Qwen2.5-VL-7B-Instruct, and of the ByT5-small with which glyphs are encoded.
QWEN: Mapping[str, Any] = {
    "vocab_size": 152_064,
    "hidden_size": 3584,
    "intermediate_size": 18_944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-6,
    "rope_parameters": {"mrope_section": [16, 24, 24], "rope_theta": 1e6, "rope_type": "default"},
    "use_cache": False,
}
BYT5: Mapping[str, Any] = {
    "vocab_size": 1510,
    "d_model": 1472,
    "d_kv": 64,
    "d_ff": 3584,
    "num_layers": 12,
    "num_heads": 6,
    "feed_forward_proj": "gated-gelu",
    "use_cache": False,
}


@dataclass(frozen=True)
class Component:
    """A component of the checkpoint.

    Attributes:
        stem: how the names of its weight files begin.
        build: makes the module, which gives names and shapes.
    """

    stem: str
    build: Callable[[], torch.nn.Module]


def hub_config(component: str) -> dict[str, Any]:
    """Settings of the transformer or the VAE, as the package has them; without those for diffusers itself."""
    path = PACKAGE / "hub_configs" / HUB_ID / component / "config.json"
    return {name: value for name, value in json.loads(path.read_text()).items() if name[0] != "_"}


COMPONENTS: Mapping[str, Component] = {
    "text_encoder": Component("model", lambda: Qwen2_5_VLTextModel(Qwen2_5_VLTextConfig(**QWEN))),
    "text_encoder_2": Component("model", lambda: T5EncoderModel(T5Config(**BYT5))),
    "transformer": Component(
        "diffusion_pytorch_model", lambda: HunyuanVideo15Transformer3DModel(**hub_config("transformer"))
    ),
    "vae": Component("diffusion_pytorch_model", lambda: AutoencoderKLHunyuanVideo15(**hub_config("vae"))),
}
READS = {"encode": ("text_encoder", "text_encoder_2"), "denoise": ("transformer",), "decode": ("vae",), "export": ()}


@dataclass(frozen=True)
class Measured:
    """A stage: seconds of `doit`, what run.json says, and the bytes of the weights that it reads."""

    wall_s: float
    run: Mapping[str, Any]
    weight_bytes: int

    @property
    def allowed_bytes(self) -> int:
        """The most memory that it may have."""
        return int(ALLOWED_SHARE * self.weight_bytes) + ALLOWED_BYTES


def main() -> None:
    """Write the checkpoint, measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for the checkpoint and the project; stays")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}, too")
    options = parser.parse_args()
    checkpoint = options.folder.resolve() / "checkpoint"
    if not checkpoint.is_dir():
        write_checkpoint(checkpoint)
    measured = measure(checkpoint, options.folder / "project")
    text = to_page(measured)
    print(text)
    if options.write:
        RESULTS.write_text(text, encoding="utf-8")
    sys.exit(any(each.run["peak_memory_bytes"] > each.allowed_bytes for each in measured.values()))


def write_checkpoint(folder: Path) -> None:
    """Write it beside its name and rename it, so that one that is there is whole."""
    unfinished = folder.with_name("unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(PACKAGE / "builtin/shapes", unfinished, ignore=shutil.ignore_patterns("*.safetensors", "README.md"))
    shutil.copytree(PACKAGE / "hub_configs" / HUB_ID, unfinished, dirs_exist_ok=True)
    for name, component in COMPONENTS.items():
        with torch.device("meta"):
            module = component.build()
        if name.startswith("text_encoder"):
            module.config.architectures = [type(module).__name__]  # type: ignore[union-attr]  # transformers'
            module.config.save_pretrained(unfinished / name)  # type: ignore[operator, union-attr]  # transformers'
        write_weights(unfinished / name, component.stem, shapes_of(module))
        print(f"{name}: {size_of(unfinished / name) / GIB:.2f} GiB", flush=True)
    unfinished.rename(folder)


def shapes_of(module: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    """Shape of each weight by name; one that has several names comes once."""
    return {name: tuple(weight.shape) for name, weight in module.named_parameters()}


def write_weights(folder: Path, stem: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Write random weights shard by shard, with their index; no more than a shard is in memory."""
    shards = list(split(shapes))
    weight_map: dict[str, str] = {}
    for number, names in enumerate(shards, start=1):
        file = f"{stem}-{number:05d}-of-{len(shards):05d}.safetensors"
        save_file({name: fill(name, shapes[name]) for name in names}, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(names, file)
    index = {"metadata": {"total_size": sum(map(size_bytes, shapes.values()))}, "weight_map": weight_map}
    (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(index))


def split(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[list[str]]:
    """The names of each shard."""
    names: list[str] = []
    filled = 0
    for name, shape in shapes.items():
        if names and filled + size_bytes(shape) > SHARD_BYTES:
            yield names
            names, filled = [], 0
        names.append(name)
        filled += size_bytes(shape)
    yield names


def size_bytes(shape: tuple[int, ...]) -> int:
    """Of a weight in bfloat16."""
    return 2 * int(np.prod(shape))


def fill(name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """A weight under which activations keep their order of magnitude: noise by the fan-in, ones, or zeros as biases.

    Noise is taken from the same numbers again and again: 17 billion new ones would take minutes.
    """
    fan_in = int(np.prod(shape[1:]))
    if fan_in == 1:
        return np.full(shape, not name.endswith("bias"), ml_dtypes.bfloat16)
    return np.resize(scaled_noise(fan_in), shape)


@cache
def scaled_noise(fan_in: int) -> NDArray[Any]:
    """Random numbers of deviation fan_in ** -0.5, bfloat16."""
    noise = np.random.default_rng(0).standard_normal(2**22, np.float32)
    return (noise * np.float32(fan_in**-0.5)).astype(ml_dtypes.bfloat16)


def size_of(folder: Path) -> int:
    """Bytes of a component's weights."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def measure(checkpoint: Path, project: Path) -> dict[str, Measured]:
    """Take the video through `doit`, from an empty store."""
    shutil.rmtree(project, ignore_errors=True)
    write_project(project, {"city": VIDEO}, checkpoint=str(checkpoint))
    measured = {}
    for stage, components in READS.items():
        start = time.perf_counter()
        run_doit(project, stage)
        wall_s = time.perf_counter() - start
        (run,) = project.glob(f"artifacts/{stage}/*/run.json")
        weight_bytes = sum(size_of(checkpoint / name) for name in components)
        measured[stage] = Measured(wall_s, json.loads(run.read_text()), weight_bytes)
    return measured


def to_page(measured: Mapping[str, Measured]) -> str:
    """The table and what it is of."""
    cpu_info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    cpu = next(line.split(": ")[1] for line in cpu_info.splitlines() if line.startswith("model name"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "diffusers", "transformers", "jax", "jaxlib"))
    lines = [
        "# The real size on a CPU\n",
        f"`python -m benchmarks.full_size FOLDER --write`, which says how it is measured. {cpu}, {os.cpu_count()} "
        f"cores, {memory:.1f} GiB, Python {platform.python_version()}, {libraries}. Random weights, bfloat16; 5 frames "
        "of 128x128, 2 guided steps. Seconds are those of `doit <stage>`, process and all; phases are in run.json. "
        "A stage may have 1.1 of the weights and 3 GiB.\n",
        "| stage | weights, GiB | peak, GiB | allowed, GiB | whole, s | phases, s | steady |",
        "|---|---|---|---|---|---|---|",
    ]
    for stage, each in measured.items():
        phases = ", ".join(f"{name} {seconds:.1f}" for name, seconds in each.run["wall_s"].items())
        steady = ", ".join(f"{seconds:.2f} s per {unit}" for unit, seconds in each.run["steady_s"].items())
        sizes = (each.weight_bytes, each.run["peak_memory_bytes"], each.allowed_bytes)
        cells = " | ".join(f"{size / GIB:.2f}" for size in sizes)
        lines.append(f"| {stage} | {cells} | {each.wall_s:.1f} | {phases} | {steady} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
