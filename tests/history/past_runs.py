"""Runs that were, of nodes that a test names."""

import json
from collections.abc import Mapping
from pathlib import Path

from stages.geometry import VideoSize
from stages.history.runs import PastRun, Place, read_runs
from stages.history.work import Work, describe_work
from stages.keys import Node
from stages.store.artifacts import Store
from stages.store.inventory import take_inventory
from stages.store.manifest import RUN
from tests.builders import PIPELINE, build_node, publish

SETTINGS = ("auto", "auto", "auto")
HERE = Place("here", "cpu", 1, SETTINGS)
SLICE = Place("slice-1", "TPU v6 lite", 8, SETTINGS)
SMALL = VideoSize(9, 96, 96)
MACHINE = {"platform": "auto", "mesh": "auto", "hosts": "auto"}


def denoise_work(size: VideoSize = SMALL, *, steps: int = 20, **parameters: str | float) -> Work:
    """That of a denoise node, guided unless `guidance_scale` is 1."""
    own: dict[str, str | float] = {"guidance_scale": 6.0, "dtype": "float32", "num_inference_steps": steps}
    return describe_work(build_node("denoise", inputs={"encode": build_node().key}, **own | parameters), PIPELINE, size)


def past_run(work: Work, *, name: str = "1", place: Place = HERE, is_first: bool = True, **facts: object) -> PastRun:
    """A first run of 40 s that has started, loaded and compiled for 38 s, or one of 2 s that found all of that."""
    own: dict[str, object] = {"start_s": 5.0, "load_s": 3.0, "compile_s": 30.0, "getting_s": 20.0}
    found: dict[str, object] = {
        "was_compiled": is_first,
        "rest_s": 2.0,
        "step_s": 0.1,
        "peak_memory_bytes": 2**20,
        "programs": ("p",) if is_first else (),
        "size_bytes": 1000,
        "started": f"2026-01-01T00:00:0{name}+00:00",
        **(own if is_first else dict.fromkeys(own, 0.0)),
    }
    artifact = build_node(work.stage, name=name).artifact
    return PastRun(artifact, work, place, is_first, **found | facts)  # type: ignore[arg-type]


def record(store: Store, node: Node, **facts: object) -> Node:
    """Publish a node with a run.json as stages write it; other facts take the place of its own."""
    publish(store, node)
    own: dict[str, object] = {
        "started": "2026-01-01T00:00:00+00:00",
        "number_in_process": 1,
        "start_s": 5.0,
        "job_s": 36.0,
        "host": "here",
        "device": "cpu",
        "machine": MACHINE,
        "wall_s": {"load": 3.0, "compile": 30.0, "denoise": 2.0},
        "steady_s": {"step": 0.1, "MiB": 4.0},
        "peak_memory_bytes": 2**20,
    }
    (store.folder(node.artifact) / RUN).write_text(json.dumps(own | facts))
    return node


def runs_of(root: Path) -> Mapping[str, PastRun]:
    """Those of a store, by stage."""
    return {run.artifact.stage: run for run in read_runs(root, take_inventory(root), PIPELINE)}
