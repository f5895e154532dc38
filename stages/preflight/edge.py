"""Edge of preflight: what a program is made of comes in, what it needs goes out as `figures.json`."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import jax

from stages.errors import StageError
from stages.keys import JsonValue
from stages.machine.executables import Executables
from stages.models.wording import quote
from stages.preflight.figures import Figures, figures_of_compiled, figures_of_refused
from stages.preflight.lowering import Lowered, lower
from stages.preflight.target import Target, find_target
from stages.run.accelerator import hold_accelerators
from stages.run.job import Job, Run
from stages.run.report import Report

# How messages begin of what says nothing of the program: the same question may have an answer the next time.
_PASSING = ("UNAVAILABLE", "ABORTED", "CANCELLED", "DEADLINE_EXCEEDED")


def open_stage() -> Run:
    """What does the jobs of one process; it keeps nothing from one to the next."""
    return run


def run(job: Job, draft: Path, report: Report) -> Mapping[str, JsonValue]:
    """Compile the program that the node describes, for its devices, and write down what it needs."""
    parameters = job.parameters
    with report.phase("finding the chips"):
        if not parameters["topology"]:
            hold_accelerators(job, report)
        target = find_target(str(parameters["topology"]), job.machine["platform"])
    with report.phase("lowering"):
        lowered = lower(parameters, target.devices)
    with report.phase("compiling"):
        figures, details = compile_lowered(lowered, target, Executables(job.store, warn=report.warn))
    text = json.dumps(asdict(figures), indent=2, sort_keys=True) + "\n"
    (draft / job.makes.payload).write_text(text, encoding="utf-8")
    return {"device": figures.device_kind, **details}


def compile_lowered(lowered: Lowered, target: Target, executables: Executables) -> tuple[Figures, dict[str, JsonValue]]:
    """What the program needs, and for run.json what it took to find out.

    Raises:
        StageError: the compiler could not be asked.
    """
    start = time.perf_counter()
    try:
        executable = executables.compile(lowered.program)
    except jax.errors.JaxRuntimeError as error:
        message = str(error)
        if message.startswith(_PASSING):
            raise StageError(f"the compiler gave no answer ({quote(message)}). Ask again.") from error
        figures = figures_of_refused(lowered, target, message)
        return figures, {"compile_s": round(time.perf_counter() - start, 3), "was_loaded": False}
    details: dict[str, JsonValue] = {"compile_s": round(executable.compile_s, 3), "was_loaded": executable.was_loaded}
    return figures_of_compiled(lowered, target, executable.compiled), details
