"""What is said when memory runs out: how much there is, which command finds settings that fit, which need less.

Owns how errors of libraries are told from others: each has a type or words of its own. Used by the process in which it
happens (program.py) and by the one that finds it dead (worker.py). Loads nothing heavy.
"""

import errno
import re
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from stages.errors import StageError, StagesError
from stages.keys import JsonValue
from stages.machine.binary_units import GIB, show_gib
from stages.machine.host_memory import available_memory_bytes, host_memory_bytes
from stages.models.wording import quote
from stages.pipeline.stage import ACCELERATOR
from stages.run.job import PEAK_UNIT, Job, Run
from stages.run.report import Report

_OF_A_DEVICE = "RESOURCE_EXHAUSTED"  # JAX's, at run time and from the compiler
# Of errors that have no type for it: JAX's, torch's, safetensors', those of C++ and of the dynamic linker.
_WORDS = re.compile(
    rf"{_OF_A_DEVICE}|out of memory|can't allocate memory|not enough memory|cannot allocate memory|bad_alloc"
    "|failed to map segment from shared object",
    re.IGNORECASE,
)
# Values of parameters with which a stage takes more memory than with another one.
_HEAVY: Mapping[tuple[str, JsonValue], str] = MappingProxyType({
    ("dtype", "float32"): "bfloat16",
    ("decoder", "diffusers"): "native",
    ("decoder", "diffusers-tpu"): "native",
    ("enable_tiling", False): "true",
})  # fmt: skip
_SIZES = ("num_frames", "height", "width")


def watch_memory(run: Run) -> Run:
    """`run`, with one StageError that says what to do in place of any error that means that memory ran out."""

    def watched(job: Job, draft: Path, report: Report) -> Mapping[str, JsonValue]:
        try:
            return run(job, draft, report)
        except Exception as error:
            reason = find_exhaustion(error)
            if reason is None:
                raise
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * PEAK_UNIT
            raise StageError(f"{job.node.title}: memory ran out ({reason}). {advise(job, reason, peak)}") from error

    return watched


def find_exhaustion(error: BaseException) -> str | None:
    """A library's own words, on one line and not too long, where an error or its cause means that memory ran out."""
    cause: BaseException | None = error
    while cause is not None:
        is_ours = isinstance(cause, StagesError)  # its words are about another error
        if isinstance(cause, MemoryError) or (isinstance(cause, OSError) and cause.errno == errno.ENOMEM):
            return shorten(f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__)
        if not is_ours and is_exhaustion(str(cause)):
            return shorten(str(cause))
        cause = cause.__cause__
    return None


def is_exhaustion(text: str) -> bool:
    """Whether what a library has said, or printed, means that memory ran out."""
    return _WORDS.search(text) is not None


def advise(job: Job, reason: str, peak_bytes: int | None) -> str:
    """Sentences after the one that says that memory ran out: what there is, and what to do.

    Args:
        job: that was being done.
        reason: the library's words; "" where nobody heard them.
        peak_bytes: the most that the process has had; None where it is not known.
    """
    return " ".join(filter(None, (_describe_memory(reason, peak_bytes), _advise(job), "What was finished is kept.")))


def shorten(message: str) -> str:
    """A library's message on one line, without a full stop, cut where it is long."""
    return quote(message.rstrip(". \n"))


def _describe_memory(reason: str, peak_bytes: int | None) -> str:
    if device := _describe_device() if _OF_A_DEVICE in reason else "":
        return device
    offer = f"his machine offers {show_gib(host_memory_bytes())}, of which {_gib(available_memory_bytes())} are free."
    return f"T{offer}" if peak_bytes is None else f"The process had {show_gib(peak_bytes)}; t{offer}"


def _describe_device() -> str:
    """What JAX's device has; "" for one that shares the memory of the host, as a CPU, or where no device is in use.

    gRPC, by which hosts join before they choose devices, has the same word as JAX for what ran out.
    """
    internals: Any = sys.modules.get("stages.machine.jax_internals")  # of a stage that uses JAX; loaded by no other
    if internals is None or not internals.has_backend():
        return ""
    device: Any = sys.modules["jax"].local_devices()[0]
    statistics = device.memory_stats() or {}
    used, limit = statistics.get("peak_bytes_in_use", 0), statistics.get("bytes_limit")
    if limit is None:
        return ""
    return f"Each {device.device_kind} offers {show_gib(limit)}; at most {_gib(used)} were in use."


def _advise(job: Job) -> str:
    values = job.parameters.items()
    lighter = [
        f"{job.node.stage}.{name}={_HEAVY[name, value]}"
        for name, value in values
        if isinstance(value, str | bool) and (name, value) in _HEAVY
    ]
    if all(name in job.parameters for name in _SIZES):
        lighter.append(f"smaller {', '.join(_SIZES[:-1])} or {_SIZES[-1]} of {job.node.stage}")
    less = f"Less is needed with {'; '.join(lighter)}." if lighter else "It needs a machine with more memory."
    if job.preflight and job.program.device == ACCELERATOR:
        return f"{less} `{job.preflight}` says what is needed, and which settings fit."
    return less


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / GIB:.1f}"
