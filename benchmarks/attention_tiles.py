"""Tiles of the attention kernels for each kind of TPU: which compile, and how long the compiler's schedule of each is.

    python -m benchmarks.attention_tiles [TOPOLOGY ...]

Needs libtpu (the extra `preflight`), and no TPU. The kernels' loops within a tile are unrolled, so that the number of
instruction bundles in a schedule is that of the cycles of a tile, but for waiting. Without a run on a chip it is the
best measure there is; per million scores it compares tiles of different size. A schedule can be shorter than the matrix
unit needs: beside it stand the cycles in which a chip that reaches its peak makes the products of a million scores, and
what counts is the larger of the two. Writes the tables to benchmarks/results/attention_tiles.md.

Beside this project's two kernels stands tokamax's splash attention (exponents to the base 2) where `tokamax` is
installed, as it is and with `max_logit_const`, a constant in the place of the running maximum.
"""

import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Operations of one core's matrix units in a cycle: the published peak in bfloat16 by the published clock
# (cloud.google.com/tpu/docs/system-architecture-tpu-vm; v5e 197 TFLOP/s at 1.5 GHz, v6e 918 TFLOP/s at 1.75 GHz).
FLOPS_PER_CYCLE = {
    "v4:2x2x1": 131_072, "v5e:2x4": 131_072, "v5p:2x2x1": 131_072, "v6e:2x4": 524_288, "tpu7x:2x2x1": 524_288,
}  # fmt: skip
CANDIDATES = (  # queries, keys, keys of one product
    (512, 512, 512), (1024, 1024, 1024), (1024, 2048, 512), (1024, 2048, 1024), (1024, 2048, 2048), (1024, 4096, 512),
    (1024, 4096, 1024), (1024, 4096, 2048), (2048, 2048, 512), (2048, 2048, 1024), (2048, 4096, 512),
    (2048, 4096, 1024),
)  # fmt: skip
KERNELS = {  # the names by which the tables and `--one` call them
    "splash": "Splash, of JAX",
    "tokamax": "Splash, of tokamax",
    "tokamax-constant": "Splash, of tokamax, with a constant for the maximum",
    "bounded": "Bounded",
}
RESULT = Path(__file__).parent / "results/attention_tiles.md"
_BUNDLES = re.compile(r"total scheduled bundles:\s+(\d+)")
_NUM_HEADS, _SIZE, _LENGTH = 16, 128, 49_152  # every tile divides the length, which is nearly that of 49 frames at 720p
_TIMEOUT_S = 600
_BOUND = 66.0  # of a score, natural: what bounded attention takes


def main() -> None:
    """Compile every candidate, or with `--one KERNEL TOPOLOGY TILES` one of them."""
    if sys.argv[1:2] == ["--one"]:
        compile_one(sys.argv[2], sys.argv[3], *map(int, sys.argv[4:]))
        return
    topologies = sys.argv[1:] or [*FLOPS_PER_CYCLE]
    lines = [
        "# Attention tiles",
        "",
        f"`python -m benchmarks.attention_tiles`, jax and libtpu as installed: {_versions()}. Instruction bundles per",
        "million scores, of a tile of queries with one of keys; a dash where the compiler refuses the tiles.",
    ]
    for kernel, title in KERNELS.items():
        if not kernel.startswith("tokamax") or importlib.util.find_spec("tokamax"):
            lines += ["", f"## {title}", "", *_table(kernel, topologies)]
    RESULT.write_text("\n".join([*lines, ""]), encoding="utf-8")


def _table(kernel: str, topologies: list[str]) -> list[str]:
    lines = ["| queries, keys, product | " + " | ".join(topologies) + " |", "|---|" + "---|" * len(topologies)]
    best: dict[str, float] = {}
    for tiles in CANDIDATES:
        counts = {topology: count_bundles(kernel, topology, tiles) for topology in topologies}
        per_million = {
            topology: bundles / (tiles[0] * tiles[1] / 1e6) for topology, bundles in counts.items() if bundles
        }
        best |= {topology: min(best.get(topology, count), count) for topology, count in per_million.items()}
        lines.append(_row(", ".join(map(str, tiles)), per_million, topologies))
        print(kernel, lines[-1], flush=True)
    unit = {topology: 2 * 2 * _SIZE * 1e6 / FLOPS_PER_CYCLE[topology] for topology in topologies}
    lines += [
        _row("shortest", best, topologies),
        _row("the matrix unit's cycles", unit, topologies),
        _row("the larger of both", {each: max(count, unit[each]) for each, count in best.items()}, topologies),
    ]
    return lines


def _row(name: str, numbers: dict[str, float], topologies: list[str]) -> str:
    shown = [f"{numbers[topology]:,.0f}" if topology in numbers else "-" for topology in topologies]
    return f"| {name} | " + " | ".join(shown) + " |"


def count_bundles(kernel: str, topology: str, tiles: tuple[int, int, int]) -> int | None:
    """Bundles of one tile in the compiler's last schedule; None when it refuses."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"LIBTPU_INIT_ARGS": f"--xla_jf_dump_to={folder} --xla_jf_dump_llo_text=true"}
        command = [sys.executable, "-m", "benchmarks.attention_tiles", "--one", kernel, topology, *map(str, tiles)]
        result = subprocess.run(  # noqa: S603 (no shell)
            command, env=os.environ | settings, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
        if result.returncode != 0:
            if "RESOURCE_EXHAUSTED" not in result.stderr:
                raise RuntimeError(result.stderr)
            return None
        name = "bounded" if kernel == "bounded" else "splash"
        texts = [path.read_text() for path in Path(folder).glob(f"*{name}*schedule-analysis_final_bundles.txt")]
        return max(int(number) for text in texts for number in _BUNDLES.findall(text))


def compile_one(kernel: str, topology: str, query: int, key: int, compute: int) -> None:
    """Compile the unmasked kernel with these tiles; the compiler's dump goes where LIBTPU_INIT_ARGS says."""
    # in this process alone: LIBTPU_INIT_ARGS is read when libtpu is loaded
    import jax  # noqa: PLC0415
    import jax.numpy as jnp  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415
    from jax.sharding import Mesh, NamedSharding, PartitionSpec  # noqa: PLC0415

    from stages.preflight.target import find_target  # noqa: PLC0415

    device = find_target(topology, "auto").devices[0]
    alone = NamedSharding(Mesh(np.array([device]), "chip"), PartitionSpec())
    heads = jax.ShapeDtypeStruct((1, _NUM_HEADS, _LENGTH, _SIZE), jnp.bfloat16, sharding=alone)
    mask = jax.ShapeDtypeStruct((1, 0), jnp.bool_, sharding=alone)
    attend = (tokamax_kernel if kernel.startswith("tokamax") else own_kernel)(kernel, query, key, compute)
    with jax.default_device(device):  # of which tokamax's kernel asks the kind
        lowered = jax.jit(attend).lower(heads, heads, heads, mask)
    lowered.compile()


def own_kernel(kernel: str, query: int, key: int, compute: int) -> Callable[..., Any]:
    """This project's call of splash or bounded attention, of [1, heads, tokens, size] and a mask of no text."""
    from stages.denoise.attention.bounded import bounded_attention  # noqa: PLC0415
    from stages.denoise.attention.splash import splash_attention  # noqa: PLC0415
    from stages.denoise.attention.tiles import Tiles  # noqa: PLC0415

    tiles = Tiles(query, key, compute)

    def attend(query: Any, key: Any, value: Any, mask: Any) -> Any:
        if kernel == "splash":
            return splash_attention(query, key, value, mask, tiles=tiles)
        video = tuple(array.swapaxes(1, 2) for array in (query, key, value))
        text = tuple(array[:, :0] for array in video)
        return bounded_attention(video, text, mask, num_video_tokens=_LENGTH, tiles=tiles)

    return attend


def tokamax_kernel(kernel: str, query: int, key: int, compute: int) -> Callable[..., Any]:
    """The like of tokamax; its splash attention is private there, and has this form in 0.0.12."""
    import tokamax._src.ops.experimental.tpu.splash_attention.splash_attention_kernel as splash  # type: ignore[import-not-found]  # noqa: PLC0415
    from tokamax._src.ops.experimental.tpu.splash_attention.splash_attention_mask import (  # type: ignore[import-not-found]  # noqa: PLC0415
        FullMask,
    )

    config = splash.SplashConfig(
        block_q=query,
        block_kv=key,
        block_kv_compute=compute,
        max_logit_const=_BOUND if kernel == "tokamax-constant" else None,
    )
    attend = splash.make_splash_mha_single_device(FullMask((_LENGTH, _LENGTH)), config=config)
    return lambda query, key, value, _mask: attend(query[0], key[0], value[0])


def _versions() -> str:
    names = [name for name in ("jax", "libtpu", "tokamax") if importlib.util.find_spec(name)]
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


if __name__ == "__main__":
    main()
