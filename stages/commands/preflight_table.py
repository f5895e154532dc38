"""How the answers of `doit preflight` look to people."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from stages.commands.display import duration
from stages.preflight_answers import GIB, Row

_WIDTH = 120
_LEFT, _RIGHT = "left", "right"
_COLUMNS = {
    "stage": _LEFT, "video": _LEFT, "tokens": _RIGHT, "mesh": _LEFT, "weights": _RIGHT, "state": _RIGHT,
    "temp.": _RIGHT, "sum GiB": _RIGHT, "of": _RIGHT, "fits": _LEFT, "TFLOP": _RIGHT, "compile": _RIGHT,
    "run, at least": _RIGHT,
}  # fmt: skip
_LEGEND = "GiB per chip. TFLOP: of a step or a latent frame, all chips together. run, at least: all calls at the peak."


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


def print_table(topology: str, rows: Sequence[Row], console: Console | None = None) -> None:
    """Print the rows, what chips send each other, and settings that fit where a program does not."""
    console = console or Console(width=_WIDTH, highlight=False)
    if not rows:
        console.print("nothing to compile")
        return
    table = Table(box=None, pad_edge=False, title_justify="left")
    for name, side in _COLUMNS.items():
        table.add_column(name, justify="right" if side == _RIGHT else "left", no_wrap=name != "video")
    for row in rows:
        table.add_row(*_cells(row))
    console.print(f"{topology or 'this machine'}: {rows[0].figures['device_kind']}")
    console.print(table)
    for row in rows:
        if sent := _sent(row):
            console.print(f"{row.question.stage} of {', '.join(row.videos)} sends per call and chip: {sent}")
    console.print(_LEGEND)
    for row in rows:
        if not row.fits:
            console.print(_way_out(row))


def _cells(row: Row) -> tuple[str, ...]:
    memory = row.figures["memory"]
    sizes = [memory["weights"], memory["state"], memory["temporaries"], row.total_bytes, row.figures["limit_bytes"]]
    return (
        row.question.stage,
        ", ".join(row.videos),
        f"{row.question.num_tokens:,}",
        str(row.figures["mesh"]),
        *(f"{size / GIB:.2f}" for size in sizes),
        "yes" if row.fits else "NO",
        _number(row.figures["flops"] / 1e12),
        f"{row.run['compile_s']:.1f} s",
        "" if row.least_s is None else duration(row.least_s),
    )


def _sent(row: Row) -> str:
    if row.figures["collectives"] is None:
        return "not known" if row.fits else ""  # of a program that does not fit there are other things to tell
    return ", ".join(
        f"{collective['count']} {collective['kind']} ({collective['size_bytes'] / GIB:.3f} GiB)"
        for collective in row.figures["collectives"]
    )


def _way_out(row: Row) -> str:
    what = f"{row.question.stage} of {', '.join(row.videos)} does not fit"
    if not row.ways_out:
        return f"{what}, and nothing near it does. Use a larger slice (--topology)."
    ways = ", or ".join(f"{way.setting} ({way.total_bytes / GIB:.2f} GiB)" for way in row.ways_out)
    return f"{what}. This does, compiled: {ways}."


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
