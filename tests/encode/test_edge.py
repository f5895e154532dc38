"""The stage as a process: what it reads, and what it warns of; and in this process: what it keeps."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.encode import edge
from stages.encode.text_encoders import TextEncoders
from stages.errors import CheckpointError
from stages.keys import Node
from stages.models.checkpoint import Checkpoint
from stages.pipeline.encode import STAGE
from stages.run.job import Job
from stages.run.report import Report
from stages.store.artifacts import Store
from stages.store.manifest import RUN
from stages.tensors.files import read_tensors
from tests.builders import CODE, build_job
from tests.loads import watch_loads
from tests.project import SHAPES, copy_checkpoint
from tests.stage_process import Event, StageProcess


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StageProcess]:
    process = StageProcess("encode", tmp_path_factory.mktemp("log") / "log")
    yield process
    process.close()


def encode(process: StageProcess, folder: Path, prompt: str) -> tuple[Path, list[Event]]:
    """The artifact of a job that may read the components of its contract and finds no others."""
    copy_checkpoint(folder / "checkpoint", *(component.name for component in STAGE.components))
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


def test_what_is_not_read_of_a_long_prompt_is_warned_of(process: StageProcess, tmp_path: Path):
    _, events = encode(process, tmp_path, "a circle " * 600)
    (warning,) = [event["message"] for event in events if event["event"] == "warning"]
    assert "only the first 1000 are read" in warning
    assert events[-1]["event"] == "result"


def test_an_empty_prompt_is_warned_of(process: StageProcess, tmp_path: Path):
    _, events = encode(process, tmp_path, "")
    (warning,) = [event["message"] for event in events if event["event"] == "warning"]
    assert warning == "encode.prompt is empty: the video will show anything."
    assert events[-1]["event"] == "result"


def text_job(checkpoint: Path, *, prompt: str = "", dtype: str = "float32") -> Job:
    node = Node("encode", {"prompt": prompt, "negative_prompt": "", "dtype": dtype}, {}, {})
    return build_job(node, Checkpoint(checkpoint), checkpoint / "artifacts", CODE, {})


def test_the_text_encoders_are_kept_for_the_next_job_and_gone_before_others_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    loaded, run = watch_loads(monkeypatch, TextEncoders), edge.open_stage()
    num_loaded = []
    for prompt, dtype in (("one", "float32"), ("two", "float32"), ("two", "bfloat16")):
        run(text_job(SHAPES, prompt=prompt, dtype=dtype), tmp_path, Report(lambda _event: None))
        num_loaded.append(len(loaded))
    assert num_loaded == [1, 1, 2]


def test_text_encoders_that_cannot_be_loaded_are_tried_again(tmp_path: Path):
    broken, run, quiet = tmp_path / "checkpoint", edge.open_stage(), Report(lambda _event: None)
    copy_checkpoint(broken, *(component.name for component in STAGE.components))
    weights = broken / "text_encoder" / "model.safetensors"
    weights.rename(broken / "elsewhere")
    with pytest.raises(CheckpointError):
        run(text_job(broken), tmp_path, quiet)
    (broken / "elsewhere").rename(weights)
    assert run(text_job(broken), tmp_path, quiet) == {"device": "cpu"}
