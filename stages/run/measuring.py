"""How far two payloads of one stage are from each other, measured in a process of its own: this one loads no NumPy."""

import math
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

from stages.machine.json_files import parse_json
from stages.machine.lifeline import run_module
from stages.pipeline.stage import Program, Stage

_MODULE = "difference"  # of a program's package: measures what it makes; see stages/export/difference.py
_OF_TENSORS = f"stages.tensors.{_MODULE}"
# By name, num_values, num_unequal, max_abs and psnr_db (stages/tensors/difference.py), or why there are none.
Differences: TypeAlias = Mapping[str, Mapping[str, int | float] | str]


def measure_payloads(stage: Stage, program: Program, files: tuple[Path, Path], root: Path) -> tuple[Differences, str]:
    """The difference of each tensor, or of the pictures, of two files.

    Args:
        stage: whose payloads they are.
        program: that made the first.
        files: whose bytes differ.
        root: the project's folder, which may hold the program.
    Returns:
        The differences; and why there are none, in words, "" otherwise.
    """
    own = f"{program.package}.{_MODULE}"
    if find_spec(own):
        module = own
    elif stage.makes.tensors:
        module = _OF_TENSORS
    else:
        return {}, f"no program measures the difference of {files[0].suffix} files"
    printed, fault = run_measurement(module, files, root)
    if fault:
        return {}, fault
    if not isinstance(printed, dict) or not all(map(_is_difference, printed.values())):
        return {}, (
            f"{module} has to print one JSON object and nothing else: it is not a table of tables of numbers, or of "
            "texts"
        )
    return printed, ""


def describe_difference(difference: Mapping[str, int | float]) -> str:
    """One of these differences, in words. Where the first's values are all the same, there is no PSNR."""
    psnr_db = difference["psnr_db"]
    return (
        f"{difference['num_unequal']:,.0f} of {difference['num_values']:,.0f} values differ, "
        f"by {difference['max_abs']:.3g} at most{f', PSNR {psnr_db:.1f} dB' if math.isfinite(psnr_db) else ''}"
    )


def run_measurement(module: str, files: tuple[Path, Path], root: Path) -> tuple[Any, str]:
    """What a module that measures two files has printed as JSON; and why it has not, in words, "" otherwise."""
    ended = run_module(module, *map(str, files), cwd=root)
    if ended.returncode:
        lines = ended.stderr.strip().splitlines() or [f"{module} ended with exit code {ended.returncode}"]
        return None, lines[-1]
    try:
        return parse_json(ended.stdout), ""
    except ValueError as error:
        return None, f"{module} has to print one JSON object and nothing else: {error}"


def _is_difference(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(number, int | float) for number in value.values())
    return isinstance(value, str)
