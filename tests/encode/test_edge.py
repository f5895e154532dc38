"""The stage as a process: what it reads, and what it warns of."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import stages
from stages.keys import Node
from stages.models.checkpoint import Checkpoint
from stages.pipeline.encode import STAGE
from stages.store.artifacts import RUN, Store
from stages.tensors.files import read_tensors
from tests.builders import CODE, build_job
from tests.stage_process import Event, StageProcess

pytestmark = pytest.mark.processes

SHAPES = Path(stages.__file__).parent / "models" / "builtin" / "shapes"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StageProcess]:
    process = StageProcess("encode", tmp_path_factory.mktemp("log") / "log")
    yield process
    process.close()


def encode(process: StageProcess, folder: Path, prompt: str) -> tuple[Path, list[Event]]:
    """The artifact of a job that may read the components of its contract and finds no others."""
    for name in STAGE.components:
        shutil.copytree(SHAPES / name, folder / "checkpoint" / name)
    node = Node("encode", {"prompt": prompt, "negative_prompt": "", "dtype": "float32"}, {}, {})
    store = Store(folder / "artifacts")
    events = process.run(build_job(node, Checkpoint(folder / "checkpoint"), store.root, CODE, {"platform": "cpu"}))
    return store.folder(node.artifact), events


def test_it_needs_the_text_encoders_and_their_tokenizers_alone(process: StageProcess, tmp_path: Path):
    artifact, events = encode(process, tmp_path, "A red circle.")
    assert events[-1]["event"] == "result", events[-1]
    assert read_tensors(artifact / "embeddings.safetensors").keys() == STAGE.makes.tensors.keys()
    run = json.loads((artifact / RUN).read_text())
    assert set(run["versions"]) == {"numpy", "torch", "transformers"}  # no JAX, and no diffusers


def test_what_is_cut_off_a_long_prompt_is_told(process: StageProcess, tmp_path: Path):
    _, events = encode(process, tmp_path, "a circle " * 600)
    (warning,) = [event["message"] for event in events if event["event"] == "warning"]
    assert "only the first 1000 are read" in warning
    assert events[-1]["event"] == "result"
