"""What the TPU compiler says of the real model at full size, on every kind of chip; it needs no TPU and no weights.

    python -m benchmarks.tpu_compile                     # written to benchmarks/results/tpu_compile.md
    python -m benchmarks.tpu_compile --project FOLDER    # what it compiles is kept there: stop it, and it goes on

The denoise step and the decode chunk by topology and length (from `doit preflight`, so that anybody can ask for one
row), meshes by what chips send each other, and beside it the way of the scripts that this project replaces: most of an
hour on two cores. Programs are compiled one at a time, so that their seconds can be compared.
"""

import argparse
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.project import PROJECT, write_project

CHECKPOINT = "hunyuanvideo-community/HunyuanVideo-1.5-Diffusers-720p_t2v"
TOPOLOGIES = ("v4:2x2x1", "v5e:2x4", "v5p:2x2x1", "v6e:2x4", "tpu7x:2x2x1")
LENGTHS = (49, 121, 241)  # frames of 720 x 1280
WINDOW = 8192
MESHES = ("2x4x1", "1x8x1", "2x2x2", "1x4x2", "2x1x4", "1x1x8")
MESH_TOPOLOGY = "v6e:2x4"
NUM_BLOCKS = 54  # of the checkpoint's transformer
REFERENCE_LENGTHS = (49, 61)
RESULT = Path(__file__).parent / "results/tpu_compile.md"
_MIB, _GIB = 2**20, 2**30
Row: TypeAlias = Mapping[str, Any]


def main() -> None:
    """Compile everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, metavar="FOLDER", help="keep here what is compiled")
    parser.add_argument("--reference", type=int, metavar="FRAMES", help="compile only the scripts' way; prints JSON")
    options = parser.parse_args()
    if options.reference:
        print(json.dumps(compile_reference(options.reference)))
        return
    with tempfile.TemporaryDirectory() as folder:
        project = options.project or Path(folder)
        project.mkdir(parents=True, exist_ok=True)
        write_project(project, {"city": {"encode": {"prompt": "A city at night."}}}, checkpoint=CHECKPOINT)
        rows = {
            (topology, length): preflight(project, topology, f"denoise.num_frames={length}")
            for topology in TOPOLOGIES
            for length in LENGTHS
        }
        window = preflight(project, MESH_TOPOLOGY, f"denoise.num_frames={LENGTHS[-1]}", f"denoise.window_size={WINDOW}")
        meshes = {
            mesh: preflight(project, MESH_TOPOLOGY, f"denoise.num_frames={LENGTHS[0]}", f"machine.mesh={mesh}")
            for mesh in MESHES
        }
    sections = [
        _introduction(),
        *_stage_table(f"Denoise step, guided, all {NUM_BLOCKS} blocks", "denoise", rows),
        *_window_table(window, rows[MESH_TOPOLOGY, LENGTHS[-1]]),
        *_stage_table("Decode chunk, one latent frame", "decode", rows),
        *_mesh_table(meshes),
        *_reference_table(rows),
    ]
    RESULT.write_text("\n".join(sections) + "\n", encoding="utf-8")


def preflight(project: Path, topology: str, *overrides: str) -> Sequence[Row]:
    """The rows of `doit preflight --json`, which exits with 1 where a row does not fit."""
    command = [sys.executable, "-m", "doit", "preflight", "--topology", topology, "--json", *overrides]
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    result = subprocess.run(  # noqa: S603 (no shell)
        command, cwd=project, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    rows: Sequence[Row] = json.loads(result.stdout)["rows"]
    for row in rows:
        print(topology, *overrides, row["stage"], f"{row['total_gib']} GiB, {row['compile_s']} s", flush=True)
    return rows


def compile_reference(num_frames: int) -> Row:
    """Memory and seconds of `reference_way.lower_blocks` on MESH_TOPOLOGY."""
    from benchmarks.reference_way import lower_blocks  # noqa: PLC0415 (only in the process that compiles)
    from stages.geometry import VideoSize, latent_size  # noqa: PLC0415
    from stages.preflight.target import find_target  # noqa: PLC0415

    devices = find_target(MESH_TOPOLOGY, "auto").devices
    lowered = lower_blocks(latent_size(VideoSize(num_frames, 720, 1280)), devices)
    start = time.perf_counter()
    try:
        memory: Any = lowered.compile().memory_analysis()
    except RuntimeError as error:
        return {"refused": str(error).splitlines()[0], "compile_s": time.perf_counter() - start}
    return {"temporaries": memory.temp_size_in_bytes, "compile_s": time.perf_counter() - start}


def _introduction() -> str:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("jax", "libtpu"))
    return (
        "# What the TPU compiler says\n\n"
        f"`python -m benchmarks.tpu_compile`: {CHECKPOINT} (configs alone), 720 x 1280, bfloat16, both branches of "
        f"guidance, 256 places for text; {versions}; {os.cpu_count()} cores. Sizes are GiB per device; a chip of tpu7x "
        "is two devices. Nothing was run on a TPU.\n"
    )


def _stage_table(title: str, stage: str, rows: Mapping[tuple[str, int], Sequence[Row]]) -> list[str]:
    lines = [
        f"## {title}\n",
        "| topology | frames | tokens | devices | weights | state | temporaries | sum | limit | fits | PFLOP "
        "| collectives, received MiB | compile s |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (topology, length), found in rows.items():
        row = _of_stage(found, stage)
        sizes = [f"{row[f'{kind}_gib']:.2f}" for kind in ("weights", "state", "temporaries", "total", "limit")]
        cells = [topology, length, row["tokens"], f"{row['num_devices']} ({row['mesh']})", *sizes]
        cells += ["yes" if row["fits"] else "no", f"{row['flops'] / 1e15:.3g}", _collectives(row)]
        lines.append(_cells(*cells, f"{row['compile_s']:.0f}"))
    return [*lines, ""]


def _window_table(window: Sequence[Row], whole: Sequence[Row]) -> list[str]:
    row, full = _of_stage(window, "denoise"), _of_stage(whole, "denoise")
    return [
        f"With a window of {WINDOW:,} tokens, {LENGTHS[-1]} frames on {MESH_TOPOLOGY}: {row['flops'] / 1e15:.3g} PFLOP "
        f"per step, {row['flops'] / full['flops']:.1%} of all tokens' by all; {row['temporaries_gib']:.2f} GiB of "
        f"temporaries; {row['compile_s']:.0f} s to compile.\n"
    ]


def _mesh_table(meshes: Mapping[str, Sequence[Row]]) -> list[str]:
    lines = [
        f"## Meshes of {MESH_TOPOLOGY}, {LENGTHS[0]} frames\n",
        "By kind: how many collectives a step has, and MiB of their results on a chip; then MiB per block, a "
        f"{NUM_BLOCKS}th of all. A sum over chips (all-reduce) is sent twice, to be added up and to be copied: "
        "what goes over the wires is in docs/decisions/0016.\n",
        "| mesh (cfg x sequence x heads) | collectives of a step | MiB per block | temporaries GiB |",
        "|---|---|---|---|",
    ]
    for mesh, found in meshes.items():
        row = _of_stage(found, "denoise")
        total = sum(each["size_bytes"] for each in row["collectives"]) / _MIB
        lines.append(_cells(mesh, _collectives(row), f"{total / NUM_BLOCKS:,.0f}", f"{row['temporaries_gib']:.2f}"))
    return [*lines, ""]


def _reference_table(rows: Mapping[tuple[str, int], Sequence[Row]]) -> list[str]:
    lines = [
        f"## Beside the scripts' way, {MESH_TOPOLOGY}\n",
        "Theirs: one branch of guidance, two blocks, unrolled, hidden channels over the chips, dense attention with a "
        "mask (`benchmarks/reference_way.py`). Ours: the whole step, both branches, "
        f"{NUM_BLOCKS} blocks.\n",
        "| frames | way | temporaries GiB per chip | compile s |",
        "|---|---|---|---|",
    ]
    for length in REFERENCE_LENGTHS:
        command = [sys.executable, "-m", "benchmarks.tpu_compile", "--reference", str(length)]
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 (no shell)
        found = json.loads(result.stdout.splitlines()[-1])
        size = found.get("refused") or f"{found['temporaries'] / _GIB:.2f}"
        lines.append(_cells(length, "the scripts', 2 blocks", size, f"{found['compile_s']:.0f}"))
        print(lines[-1], flush=True)
    for length in LENGTHS:
        row = _of_stage(rows[MESH_TOPOLOGY, length], "denoise")
        lines.append(
            _cells(length, f"ours, {NUM_BLOCKS} blocks", f"{row['temporaries_gib']:.2f}", f"{row['compile_s']:.0f}")
        )
    return lines


def _of_stage(rows: Sequence[Row], stage: str) -> Row:
    return next(row for row in rows if row["stage"] == stage)


def _collectives(row: Row) -> str:
    if row["collectives"] is None:
        return "not known"
    kinds = [f"{each['kind']} {each['count']}: {each['size_bytes'] / _MIB:,.0f}" for each in row["collectives"]]
    return "; ".join(kinds) or "none"


def _cells(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    main()
