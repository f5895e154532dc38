"""The program as a process: a file in, an artifact of the stage whose place it takes out."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from stages.keys import Node
from stages.machine.regular_files import digest_file
from stages.models.checkpoint import Checkpoint
from stages.pipeline.contracts import EMBEDDINGS
from stages.store.artifacts import Store
from stages.store.manifest import RUN
from stages.tensors.files import write_tensors
from tests.builders import build_job, code_of
from tests.from_file.builders import (
    random_embeddings,
    random_latents,
    write_reference_embeddings,
    write_reference_latents,
)
from tests.stage_process import Event, StageProcess


@dataclass(frozen=True)
class Program:
    """The running program, and a store and a file of one test."""

    process: StageProcess
    store: Store
    file: Path

    def run(self, stage: str) -> tuple[Node, list[Event]]:
        """The node of the file, and the events of its job."""
        node = Node(stage, {"from_file": digest_file(self.file)}, {}, {})
        no_model = Checkpoint(self.file.parent / "no" / "model")
        return node, self.process.run(build_job(node, no_model, self.store.root, code_of("from_file"), {}, self.file))


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StageProcess]:
    process = StageProcess("from_file", tmp_path_factory.mktemp("log") / "log")
    yield process
    process.close()


@pytest.fixture
def program(process: StageProcess, tmp_path: Path) -> Program:
    return Program(process, Store(tmp_path / "artifacts"), tmp_path / "file")


@pytest.mark.parametrize(
    ("stage", "make", "write"),
    [
        ("encode", random_embeddings, write_reference_embeddings),
        ("denoise", random_latents, write_reference_latents),
    ],
)
def test_the_artifact_is_byte_for_byte_what_the_stage_would_have_written(
    program: Program, tmp_path: Path, stage: str, make: Callable, write: Callable
):
    write(program.file, make())
    write_tensors(tmp_path / "wanted", make())
    node, events = program.run(stage)
    assert events[-1]["event"] == "result", events[-1]
    assert not [event for event in events if event["event"] == "warning"]
    assert program.store.payload(node.artifact).read_bytes() == (tmp_path / "wanted").read_bytes()
    assert program.store.verdict(node, code_of("from_file")).is_fresh


def test_run_json_names_the_file_and_no_library_of_the_models(program: Program):
    write_reference_latents(program.file, random_latents())
    node, _ = program.run("denoise")
    run = json.loads((program.store.folder(node.artifact) / RUN).read_text())
    assert run["from_file"] == str(program.file)
    assert set(run["versions"]) == {"numpy"}


def test_values_that_had_to_be_rounded_are_warned_of(program: Program):
    latents = np.ones((1, 32, 1, 1, 1), np.float32)
    latents[0, :3] = 0.1
    save_file({"latents": latents}, program.file, {"dtype_info": '{"latents": "bfloat16"}'})
    _, events = program.run("denoise")
    assert events[-1]["event"] == "result", events[-1]
    assert [event["message"] for event in events if event["event"] == "warning"] == [
        f"{program.file}: 3 of 32 values of `latents` are no bfloat16 numbers, though its `dtype_info` says so. They "
        "were rounded; without that entry they stay float32."
    ]


def test_values_that_are_not_finite_are_not_published(program: Program):
    latents = random_latents()["latents"]
    latents[0, 0, 0, 0, 0] = np.nan
    write_reference_latents(program.file, {"latents": latents})
    node, events = program.run("denoise")
    assert events[-1] == {
        "event": "error",
        "kind": "ContractError",
        "message": f"{program.file}: 1 of 768 values of `latents` are not finite in bfloat16. Make the file again.",
    }
    assert program.store.verdict(node, code_of("from_file")).state == "absent"


def test_the_file_of_another_stage_is_reported(program: Program):
    write_reference_latents(program.file, random_latents())
    node, events = program.run("encode")
    missing = "; ".join(f"`{name}` is missing" for name in EMBEDDINGS.tensors)
    assert events[-1] == {
        "event": "error",
        "kind": "ContractError",
        "message": f"{program.file}: does not hold embeddings: {missing}; `latents` is not part of it. "
        "Name another file in encode.from_file, or convert this one.",
    }
    assert program.store.verdict(node, code_of("from_file")).state == "absent"
