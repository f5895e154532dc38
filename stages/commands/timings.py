"""`doit timings`: what earlier runs took, by stage, device and size."""

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from stages.commands.command_line import DEBUG
from stages.commands.store_command import JSON, StoreCommand, print_table
from stages.errors import ParamsError
from stages.history.runs import PastRun, Place, read_runs
from stages.history.timings import Timing, group_runs, median_s
from stages.history.work import Work
from stages.machine.printable import local_time, printable
from stages.request.names import near
from stages.run.build import Build
from stages.store.inventory import take_inventory
from stages.store.quantities import show_bytes, show_seconds

_HEADING = ("stage", "size", "steps", "compiled", "first", "later", "s/step", "memory")


class Timings(StoreCommand):
    """All runs of the store whose run.json is there, whatever parameters made them."""

    doc_purpose = "say what earlier runs took, by stage, device and size"
    doc_usage = "[STAGE ...] [--json]"
    doc_description = """\
A table of what making the artifacts of this store took, from their run.json files; also of those whose payload
`doit gc` has deleted. Downloads are left out. Each cell is the median of the seconds, and the number of runs:

  compiled   runs that compiled a program (and started a process, and loaded the model)
  first      other first runs of a process: its programs were loaded from the store, or it has none
  later      runs of a process that had the model already: the second video of a `doit`, the third, ...
  s/step     seconds per step, per latent frame, per frame or per prompt, without the first; the median
  memory     the most that a process had

A run that took more than 1.5 times the median of at least three equal ones is named below the table.

Examples:
doit timings
doit timings denoise --json
"""
    cmd_options = ({**JSON, "help": "print JSON; times are seconds, sizes are bytes"}, DEBUG)
    takes_names = True
    interrupted = "Nothing was changed."

    def act(self, build: Build, options: Mapping[str, Any], names: Sequence[str]) -> int:
        """Print it; 0."""
        stages = build.pipeline.names
        for name in names:
            if name not in stages:
                raise ParamsError(
                    f"doit timings: {name}: no such stage.{near(name, stages)} There is {', '.join(stages)}."
                )
        runs = read_runs(build.store.root, take_inventory(build.store.root), build.pipeline)
        found = group_runs((run for run in runs if not names or run.artifact.stage in names), stages)
        if options["json"]:
            print(json.dumps({"timings": [timing.to_json() for timing in found]}, indent=2))
        else:
            _print(found)
        return 0


def _print(timings: Sequence[Timing]) -> None:
    if not timings:
        print("nothing has been made yet, as far as the store says.")
    for number, (place, alike) in enumerate(groupby(timings, key=lambda timing: timing.place)):
        rows = [*alike]
        print(f"{chr(10) if number else ''}{_name_place(place)}")
        _print_rows(rows)
        for run, factor in (each for timing in rows for each in timing.slow):
            print(printable(_say_slow(run, factor)))


def _name_place(place: Place) -> str:
    devices = place.device if place.num_devices == 1 else f"{place.num_devices} x {place.device}"
    return printable(f"{place.host}, {devices}")


def _print_rows(timings: Sequence[Timing]) -> None:
    """Rows of one place; what else those of a stage differ in stands beside its name."""
    more = [_name_differences(timing.work, [each.work for each in timings]) for timing in timings]
    if not any(more):
        print_table(_HEADING, [_cells(timing) for timing in timings])
        return
    rows = [(stage, text, *cells) for (stage, *cells), text in zip(map(_cells, timings), more, strict=True)]
    print_table((_HEADING[0], "with", *_HEADING[1:]), rows, num_texts=2)


def _cells(timing: Timing) -> tuple[str, ...]:
    size, step_s, memory = timing.work.size, timing.step_s, timing.peak_memory_bytes
    mark = " *" if timing.slow else ""
    return (
        f"{timing.work.stage}{mark}",
        "" if size is None else f"{size.num_frames}x{size.height}x{size.width}",
        str(timing.work.num_steps or ""),
        *(f"{_show(median_s(runs))} ({len(runs)})" if runs else "-" for runs in _kinds(timing)),
        "-" if step_s is None else f"{step_s:.3g}",
        "-" if memory is None else show_bytes(memory),
    )


def _kinds(timing: Timing) -> tuple[Sequence[PastRun], ...]:
    return timing.compiled, timing.first, timing.later


def _show(seconds: float) -> str:
    return f"{seconds:.2f}" if seconds < 10 else f"{seconds:.1f}" if seconds < 1000 else f"{seconds:.0f}"


def _name_differences(work: Work, others: Sequence[Work]) -> str:
    """What a work's stage has in other rows in another way: its parameters, and which model it is of."""
    rivals = [other for other in others if other.stage == work.stage]
    differing = [name for name, value in work.kind.items() if any(other.kind.get(name) != value for other in rivals)]
    parts = [f"{name}={work.kind[name]}" for name in differing]
    for name, identity in work.components.items():
        if any(other.components.get(name) != identity for other in rivals):
            parts.append(f"{name} {identity[:12]}")
    return printable(", ".join(parts))


def _say_slow(run: PastRun, factor: float) -> str:
    return (
        f"* {run.artifact.title} took {show_seconds(run.total_s)}, {factor:.1f} times the median of its equals "
        f"(started {local_time(run.started)})"
    )
