"""Tiles of the attention kernel for each kind of TPU: which compile, and how long the compiler's schedule of each is.

    python -m benchmarks.attention_tiles [TOPOLOGY ...]

Needs libtpu (the extra `preflight`), and no TPU. The kernel's loops within a tile are unrolled, so that the number of
instruction bundles in its schedule is that of the cycles of a tile, but for waiting. Without a run on a chip it is the
best measure there is; per million scores it compares tiles of different size. Writes the table to
benchmarks/results/attention_tiles.md.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

TOPOLOGIES = ("v4:2x2x1", "v5e:2x4", "v5p:2x2x1", "v6e:2x4", "tpu7x:2x2x1")
CANDIDATES = (  # queries, keys, keys of one product
    (512, 512, 512), (1024, 1024, 512), (1024, 1024, 1024), (2048, 1024, 1024), (1024, 2048, 1024), (1024, 2048, 2048),
    (2048, 2048, 512), (2048, 2048, 1024), (2048, 2048, 2048), (1024, 4096, 1024), (2048, 4096, 1024),
    (4096, 2048, 1024),
)  # fmt: skip
RESULT = Path(__file__).parent / "results/attention_tiles.md"
_BUNDLES = re.compile(r"total scheduled bundles:\s+(\d+)")
_NUM_HEADS, _SIZE, _LENGTH = 2, 128, 8192  # of a toy attention whose length every tile divides
_TIMEOUT_S = 600


def main() -> None:
    """Compile every candidate, or with `--one TOPOLOGY TILES` one of them."""
    if sys.argv[1:2] == ["--one"]:
        compile_one(sys.argv[2], *map(int, sys.argv[3:]))
        return
    topologies = sys.argv[1:] or TOPOLOGIES
    lines = [
        f"`python -m benchmarks.attention_tiles`, jax and libtpu as installed: {_versions()}. Instruction bundles per",
        "million scores; a dash where the compiler refuses the tiles.",
        "",
        "| queries, keys, product | " + " | ".join(topologies) + " |",
        "|---|" + "---|" * len(topologies),
    ]
    for tiles in CANDIDATES:
        cells = [count_bundles(topology, tiles) for topology in topologies]
        scores = tiles[0] * tiles[1] / 1e6
        shown = ["-" if bundles is None else f"{bundles / scores:,.0f}" for bundles in cells]
        lines.append(f"| {tiles[0]}, {tiles[1]}, {tiles[2]} | " + " | ".join(shown) + " |")
        print(lines[-1], flush=True)
    RESULT.write_text("\n".join(["# Attention tiles", "", *lines, ""]), encoding="utf-8")


def count_bundles(topology: str, tiles: tuple[int, int, int]) -> int | None:
    """Bundles of one tile in the compiler's last schedule; None when it refuses."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"LIBTPU_INIT_ARGS": f"--xla_jf_dump_to={folder} --xla_jf_dump_llo_text=true"}
        command = [sys.executable, "-m", "benchmarks.attention_tiles", "--one", topology, *map(str, tiles)]
        result = subprocess.run(  # noqa: S603 (no shell)
            command, env=os.environ | settings, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
        if result.returncode != 0:
            if "RESOURCE_EXHAUSTED" not in result.stderr:
                raise RuntimeError(result.stderr)
            return None
        texts = [path.read_text() for path in Path(folder).glob("*splash*schedule-analysis_final_bundles.txt")]
        return max(int(number) for text in texts for number in _BUNDLES.findall(text))


def compile_one(topology: str, query: int, key: int, compute: int) -> None:
    """Compile the unmasked kernel with these tiles; the compiler's dump goes where LIBTPU_INIT_ARGS says."""
    # in this process alone: LIBTPU_INIT_ARGS is read when libtpu is loaded
    import jax  # noqa: PLC0415
    import jax.numpy as jnp  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415
    from jax.sharding import Mesh, NamedSharding, PartitionSpec  # noqa: PLC0415

    from stages.denoise.attention.splash import splash_attention  # noqa: PLC0415
    from stages.denoise.attention.tiles import Tiles  # noqa: PLC0415
    from stages.preflight.target import find_target  # noqa: PLC0415

    device = find_target(topology, "auto").devices[0]
    alone = NamedSharding(Mesh(np.array([device]), "chip"), PartitionSpec())
    heads = jax.ShapeDtypeStruct((1, _NUM_HEADS, _LENGTH, _SIZE), jnp.bfloat16, sharding=alone)
    mask = jax.ShapeDtypeStruct((1, 0), jnp.bool_, sharding=alone)
    tiles = Tiles(query, key, compute)
    jax.jit(lambda *arguments: splash_attention(*arguments, tiles=tiles)).lower(heads, heads, heads, mask).compile()


def _versions() -> str:
    import importlib.metadata  # noqa: PLC0415

    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("jax", "libtpu"))


if __name__ == "__main__":
    main()
