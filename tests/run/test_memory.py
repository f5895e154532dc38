"""What is said when memory runs out: by real libraries, and in a real process that may have little."""

import json
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from stages.errors import CheckpointError, StageError
from stages.keys import Node
from stages.machine.regular_files import digest_file
from stages.models.checkpoint import Checkpoint
from stages.run.job import Job
from stages.run.memory import find_exhaustion, is_exhaustion, watch_memory
from stages.run.report import Report
from tests.builders import CODE, build_job, code_of

TOO_MANY = 2**50
# A process that can have 128 MiB more than it has when its code is loaded, as with `ulimit -v`.
LIMITED = """
import resource
from pathlib import Path
from stages.from_file import edge
from stages.run.program import main
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + 2**27
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
main("stages.from_file")
"""
COMMAND = "doit preflight city denoise.num_frames=121"


def raised_by(allocate: Callable[[], object]) -> Exception:
    with pytest.raises(Exception) as error:  # noqa: PT011 (of any library)
        allocate()
    return error.value


def build(stage: str, folder: Path, **parameters: str | float | bool) -> Job:
    job = build_job(Node(stage, parameters, {}, {}), Checkpoint(folder), folder / "artifacts", CODE, {})
    return replace(job, preflight=COMMAND)


@pytest.mark.parametrize(
    "allocate",
    [
        lambda: np.empty(TOO_MANY),
        lambda: torch.empty(TOO_MANY),
        lambda: jnp.zeros(TOO_MANY, jnp.int8).block_until_ready(),
        lambda: bytearray(TOO_MANY),
    ],
    ids=["numpy", "torch", "jax", "python"],
)
def test_an_allocation_that_no_machine_has_room_for_is_told_in_the_librarys_words(allocate):
    error = raised_by(allocate)
    reason = find_exhaustion(error)
    assert reason is not None
    assert " ".join(str(error).split())[:40] in reason


@pytest.mark.parametrize(
    "error",
    [
        OSError(12, "Cannot allocate memory"),
        SafetensorError("I/O error: Cannot allocate memory (os error 12)"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 18.4G of 15.75G"),
    ],
)
def test_memory_that_runs_out_in_other_ways_is_known_by_its_words(error: Exception):
    assert find_exhaustion(error) is not None


def test_the_cause_of_an_error_of_ours_counts_and_its_own_words_do_not():
    wrong = CheckpointError("model.safetensors: not a readable safetensors file (...). Download or copy it again.")
    wrong.__cause__ = SafetensorError("I/O error: Cannot allocate memory (os error 12)")
    assert find_exhaustion(wrong) == "I/O error: Cannot allocate memory (os error 12)"
    assert find_exhaustion(CheckpointError("a prompt that says: out of memory")) is None


@pytest.mark.parametrize(
    "error", [ValueError("shapes differ"), OSError(28, "No space left on device"), ZeroDivisionError()]
)
def test_other_errors_are_left_alone(error: Exception, tmp_path: Path):
    def run(_job: Job, _draft: Path, _report: Report):
        raise error

    assert find_exhaustion(error) is None
    with pytest.raises(type(error)):
        watch_memory(run)(build("denoise", tmp_path), tmp_path, Report(lambda _: None))


@pytest.mark.parametrize("printed", ["terminate called ... what():  std::bad_alloc", "LLVM ERROR: out of memory"])
def test_what_a_process_has_printed_last_is_understood(printed: str):
    assert is_exhaustion(printed)


@pytest.mark.parametrize(
    ("stage", "parameters", "advice"),
    [
        (
            "denoise",
            {"dtype": "float32", "num_frames": 49, "height": 720, "width": 1280},
            "Less is needed with denoise.dtype=bfloat16; smaller num_frames, height or width of denoise. "
            f"`{COMMAND}` says what is needed, and which settings fit.",
        ),
        (
            "decode",
            {"decoder": "native", "enable_tiling": False, "dtype": "bfloat16"},
            f"Less is needed with decode.enable_tiling=true. `{COMMAND}` says what is needed, and which settings fit.",
        ),
        ("encode", {"dtype": "bfloat16", "prompt": ""}, "It needs a machine with more memory."),
        ("encode", {"dtype": "float32", "prompt": ""}, "Less is needed with encode.dtype=bfloat16."),
    ],
)
def test_the_message_names_what_there_is_and_settings_that_need_less(
    tmp_path: Path, stage: str, parameters, advice: str
):
    def run(_job: Job, _draft: Path, _report: Report):
        raise MemoryError

    job = build(stage, tmp_path, **parameters)
    with pytest.raises(StageError) as error:
        watch_memory(run)(job, tmp_path, Report(lambda _: None))
    before, between, after = str(error.value).partition(" are free. ")
    assert between
    assert before.startswith(f"{job.node.title}: memory ran out (MemoryError). The process had ")
    assert " GiB; this machine offers " in before
    assert after == f"{advice} What was finished is kept."


def test_a_process_that_may_have_little_memory_says_so_and_serves_the_next_job(tmp_path: Path):
    """A file of 512 MiB, of which the file system stores the header alone, where 128 MiB are left."""
    file = tmp_path / "latents.safetensors"
    entry = {"dtype": "F32", "shape": [1, 32, 64, 256, 256], "data_offsets": [0, 2**29]}
    header = json.dumps({"latents": entry}).encode()
    with file.open("wb") as opened:
        opened.write(struct.pack("<Q", len(header)) + header)
        opened.truncate(8 + len(header) + 2**29)
    node = Node("denoise", {"from_file": digest_file(file)}, {}, {})
    job = build_job(node, Checkpoint(tmp_path), tmp_path / "artifacts", code_of("from_file"), {}, file)
    served = subprocess.run(
        [sys.executable, "-c", LIMITED], input=2 * (job.to_json() + "\n"), capture_output=True, text=True, check=True
    )
    endings = [event for event in map(json.loads, served.stdout.splitlines()) if event["event"] == "error"]
    assert [ending["kind"] for ending in endings] == ["StageError", "StageError"]
    message = re.sub(r"\d+\.\d", "N", endings[0]["message"])
    assert message == (
        f"{node.title}: memory ran out (MemoryError: Cannot allocate memory (os error 12)). The process had N GiB; "
        "this machine offers N GiB, of which N are free. It needs a machine with more memory. What was finished is "
        "kept."
    )
