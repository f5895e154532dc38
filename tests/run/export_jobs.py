"""Jobs of the real export stage, the quickest to start. Not a test itself."""

from pathlib import Path

import numpy as np

from stages.keys import Node
from stages.machine.regular_files import digest_file
from stages.models.checkpoint import Checkpoint
from stages.run.job import Job
from stages.run.runner import Event
from stages.run.worker import Workers
from stages.store.artifacts import Store
from stages.tensors.files import write_tensors
from tests.builders import build_job, code_of, publish

FRAMES = np.random.default_rng(0).uniform(-1, 1, (1, 5, 32, 32, 3)).astype(np.float32)


def build_store(folder: Path) -> Store:
    """A store with the lineage of one video up to its frames."""
    store = Store(folder / "artifacts")
    parent = Node("encode", {"prompt": "x"}, {}, {})
    publish(store, parent)
    for stage in ("denoise", "decode"):
        parent = Node(stage, {}, {}, {parent.stage: parent.key})
        write_tensors(folder / "frames", {"frames": FRAMES})
        publish(store, parent, (folder / "frames").read_bytes())
    return store


def export_job(store: Store, **changes: object) -> Job:
    decode = next((store.root / "decode").iterdir()).name
    parameters = {"fps": 8, "codec": "h264", "crf": 18} | changes
    node = Node("export", parameters, {}, {"decode": decode})  # type: ignore[arg-type]
    return build_job(node, Checkpoint(Path()), store.root, code_of("export"), {"platform": "cpu"})


def ignore(event: Event) -> None:
    pass


def job_from_file(store: Store, folder: Path) -> Job:
    """A job of another program, which takes latents from a file and loads nothing heavy."""
    write_tensors(folder / "file", {"latents": np.ones((1, 32, 1, 2, 2), np.float32)})
    node = Node("denoise", {"from_file": digest_file(folder / "file")}, {}, {})
    return build_job(node, Checkpoint(Path()), store.root, code_of("from_file"), {}, folder / "file")


def replace_program(folder: Path, text: str) -> Workers:
    """Workers whose programs are all this one."""
    program = folder / "stages" / "run" / "__main__.py"  # found before the real one
    program.parent.mkdir(parents=True)
    for package in (program.parent, program.parent.parent):
        (package / "__init__.py").touch()
    program.write_text(text)
    return Workers(folder, folder / "logs")
