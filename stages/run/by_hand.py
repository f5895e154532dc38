"""One node in the foreground: `python -m stages.<program> --video NAME`."""

import logging
import os
import pdb as debugger
import signal
import sys
import traceback
from bdb import BdbQuit
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.console import Console

from stages.errors import ParamsError, StagesError
from stages.keys import Node
from stages.models.wording import name_some
from stages.pipeline.stage import command_of
from stages.request.params import read_overrides
from stages.run.build import Build
from stages.run.display import Display
from stages.run.fingerprint import Fingerprinter
from stages.run.interruption import describe_left
from stages.run.job import Job, Run, perform
from stages.run.lifetime import Lifetime
from stages.run.loading import load_build
from stages.run.needed_inputs import require_inputs
from stages.run.report import Report
from stages.run.signals import heard_at_once
from stages.run.stopping import StopWatch
from stages.run.text_streams import find_fault_of_stdout
from stages.store.stat_cache import STAT_CACHE, StatCache

_NOT_STARTED = "interrupted. Nothing had been started."


class _InterruptedError(Exception):
    """The job was interrupted; the message says what is left of it."""


def run_by_hand(
    load: Callable[[], Run], package: str, video: str, overrides: Sequence[str], *, debug: bool, pdb: bool
) -> int:
    """Make a video's node of this program, whether it is fresh or not, and publish it.

    Args:
        load: gives what makes a job's payload; called when everything else is clear.
        package: of the program.
        video: name of a file in params/videos/.
        overrides: `name=value`, as on doit's command line.
        debug: show the traceback of every error.
        pdb: start the debugger where an error happened.
    Returns:
        The exit code: 0, or 1 after an error, whose message has been printed.
    """
    # what draws on the terminal would be in the debugger's way
    console = Console(soft_wrap=True, stderr=True, force_terminal=False if pdb else None)
    display = Display(console)
    logging.basicConfig(level=logging.INFO, handlers=[_LogHandler(console, display)])
    try:
        with closing(display):
            _make(load, package, video, overrides, display)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(_NOT_STARTED, file=sys.stderr)
        return 1
    except _InterruptedError as error:
        print(error, file=sys.stderr)
        return 1
    except Exception as error:
        if fault := find_fault_of_stdout(error):
            print(fault, file=sys.stderr)
            return 1
        is_expected = isinstance(error, StagesError)
        if debug or pdb or not is_expected:
            traceback.print_exc()
        if is_expected:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        if pdb:
            debugger.post_mortem(error.__traceback__)
        return 1
    return 0


class _LogHandler(logging.Handler):
    """Log lines above the board."""

    def __init__(self, console: Console, display: Display) -> None:
        super().__init__()
        self._console, self._display = console, display
        self.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        with self._display.above():
            self._console.print(self.format(record), markup=False, highlight=False)


def _make(load: Callable[[], Run], package: str, video: str, overrides: Sequence[str], display: Display) -> None:
    root = Path.cwd()
    if not (root / "params").is_dir():
        raise ParamsError(f"{root}: holds no params/. Run this in the folder of dodo.py, as doit.")
    build = load_build(root, read_overrides(overrides))
    node = _find_node(build, package, video)
    require_inputs(build, node)
    build.precheck.require_room([(node, video)])
    stop = StopWatch(node, build.leases, _end)
    with display.show(node, build.graph.videos_of(node), "by hand") as shown, build.lease(node, shown), stop:
        sources = Fingerprinter(StatCache(build.store.root / STAT_CACHE)).digests(package)
        job, run, report = replace(build.job(node), sources=sources), load(), Report(shown)
        say_left = partial(_explain_interrupt, job)
        try:
            with _saved_when_asked_to_end(report, display, say_left):
                shown.finish(perform(job, run, report))
        except (KeyboardInterrupt, BdbQuit) as error:  # Ctrl-C, or `q` at a breakpoint
            raise _InterruptedError(say_left()) from error
    print(build.store.payload(node.artifact))


def _end(at_once: bool) -> None:
    """End this process as a signal from elsewhere does, which is heard at once, and saves."""
    os.kill(os.getpid(), signal.SIGKILL if at_once else signal.SIGTERM)


def _explain_interrupt(job: Job) -> str:
    return f"interrupted. {describe_left([job.node], job.store)}"


@contextmanager
def _saved_when_asked_to_end(report: Report, display: Display, say_left: Callable[[], str]) -> Iterator[None]:
    """Save the job at once when a signal comes. SIGINT then ends it as ever; the others end the process here."""

    def hear(number: int) -> None:
        if number == signal.SIGINT:
            report.interrupt()
        else:
            lifetime.end()

    def save() -> None:
        try:
            report.interrupt()
        finally:
            display.close()  # else the board would be drawn over what is said
            print(say_left(), file=sys.stderr, flush=True)

    lifetime = Lifetime()
    lifetime.begin(save)
    with heard_at_once(hear):
        yield


def _find_node(build: Build, package: str, video: str) -> Node:
    """The node of a video that the program makes."""
    if video in build.graph.faults:
        raise build.graph.faults[video]
    if video not in build.graph.videos:
        if video in build.graph.sweeps:
            raise ParamsError(
                f"--video {video}: is a sweep. Name one of its videos: {name_some([*build.graph.sweeps[video]])}."
            )
        names = ", ".join(build.graph.videos)
        raise ParamsError(f"--video {video}: there is no params/videos/{video}.toml. There is: {names}.")
    nodes = build.graph.videos[video]
    for node in nodes.values():
        if build.program_of(node).package == package:
            return node
    commands = {stage: command_of(build.program_of(node).package) for stage, node in nodes.items()}
    makers = ", ".join(f"{stage} by `{command}`" for stage, command in commands.items())
    raise ParamsError(f"--video {video}: no part of it is made by {package}. It is made so: {makers}.")
