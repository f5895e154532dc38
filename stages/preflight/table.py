"""How the answers of `doit preflight` look to people."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from stages.machine.binary_units import GIB
from stages.preflight.answers import Row
from stages.preflight.survey import Survey
from stages.run.display import duration

_WIDTH = 120  # of a terminal, which would break longer lines
_UNLIMITED = 10_000  # of a file or a pipe, where nothing is cut and no line is broken
_LEFT, _RIGHT = "left", "right"
_COLUMNS = {
    "stage": _LEFT, "video": _LEFT, "tokens": _RIGHT, "mesh": _LEFT, "weights": _RIGHT, "state": _RIGHT,
    "temp.": _RIGHT, "sum GiB": _RIGHT, "of": _RIGHT, "fits": _LEFT, "TFLOP": _RIGHT, "compile": _RIGHT,
    "at least": _RIGHT, "expected": _RIGHT,
}  # fmt: skip
_CALLS = {"denoise": "step", "decode": "latent frame"}
_LEGEND = (
    "GiB per device. TFLOP: of a step or latent frame, all devices together. at least: a run at the chips' peak.",
    "expected: a run by the compiler's schedule, which nobody has measured.",
)


@contextmanager
def show_progress() -> Iterator[Callable[[str], None]]:
    """On stderr, what goes on at present and for how long; where there is no terminal, a line for each new thing."""
    console = Console(stderr=True, soft_wrap=True)
    if not console.is_terminal:
        yield lambda text: console.print(escape(text), highlight=False)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda text: progress.reset(task, description=escape(text))


def print_table(topology: str, found: Survey, console: Console | None = None) -> None:
    """Print the rows, what chips send each other, and settings that fit where a program does not."""
    console = console or Console(width=_WIDTH if sys.stdout.isatty() else _UNLIMITED, highlight=False)
    answered = [row for row in found.rows if row.figures]
    if answered:
        _print_answers(topology, answered, console)
    elif not found.rows and not found.faults:
        console.print("nothing to compile")
    for decoder, videos in found.not_compiled.items():
        console.print(f"decode of {', '.join(videos)}: by {decoder}, which is not compiled")
    for row in found.rows:
        if row.figures and not row.fits:
            console.print(escape(_alternatives(row, row.figures)))
        if row.error:
            console.print(escape(row.error))


def _print_answers(topology: str, rows: Sequence[Row], console: Console) -> None:
    table = Table(box=None, pad_edge=False, title_justify="left")
    for name, side in _COLUMNS.items():
        table.add_column(name, justify="right" if side == _RIGHT else "left", no_wrap=name != "video")
    for row in rows:
        table.add_row(*_cells(topology, row, row.figures or {}))
    kinds = dict.fromkeys(row.figures["device_kind"] for row in rows if row.figures)
    console.print(f"{topology or 'this machine'}: {', '.join(kinds)}")
    console.print(table)
    for row in rows:
        if row.figures and (sent := _sent(row, row.figures)):
            console.print(f"{_program(row)} sends per {_CALLS[row.question.stage]} and device: {sent}")
    console.print("\n".join(_LEGEND))


def _cells(topology: str, row: Row, figures: Mapping[str, Any]) -> tuple[str, ...]:
    memory = figures["memory"]
    sizes = [memory["weights"], memory["state"], memory["temporaries"], row.total_bytes, figures["limit_bytes"]]
    where = "" if row.question.topology == topology else f" of {row.question.topology}"
    return (
        row.question.stage,
        ", ".join(row.videos),
        f"{row.question.num_tokens:,}",
        f"{figures['mesh']}{where}",
        *("?" if size is None else f"{size / GIB:.2f}" for size in sizes),
        "yes" if row.fits else "NO",
        _number(figures["flops"] / 1e12),
        _compile_time(row.run),
        *("" if seconds is None else duration(seconds) for seconds in (row.least_s, row.expected_s)),
    )


def _compile_time(run: Mapping[str, Any]) -> str:
    if run.get("was_loaded"):
        return "loaded"
    return f"{run['compile_s']:.1f} s" if "compile_s" in run else "?"


def _sent(row: Row, figures: Mapping[str, Any]) -> str:
    if figures["collectives"] is None:
        return "not known" if row.fits else ""  # of a program that does not fit, this does not matter
    return ", ".join(
        f"{collective['count']} {collective['kind']} ({collective['size_bytes'] / GIB:.3f} GiB)"
        for collective in figures["collectives"]
    )


def _alternatives(row: Row, figures: Mapping[str, Any]) -> str:
    what = f"{_program(row)} does not fit"
    if row.total_bytes is None:
        what = f"The compiler refuses {_program(row)} ({figures['refusal']})"
    if not row.alternatives and row.error:
        return f"{what}, and settings near it could not all be tried:"
    if not row.alternatives:
        return f"{what}, and nothing near it fits. Use a larger slice (--topology)."
    settings = ", or ".join(f"{other.setting} ({other.total_bytes / GIB:.2f} GiB)" for other in row.alternatives)
    return f"{what}. This fits, compiled: {settings}."


def _program(row: Row) -> str:
    return f"{row.question.stage} of {', '.join(row.videos)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
