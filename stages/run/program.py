"""The command line of a stage's program, `python -m stages.<program>`: jobs from doit, or one node by hand.

A job comes in as a JSON line on stdin. Events go out as JSON lines on a pipe of their own, or on stdout where none is
named. stdout and stderr belong to the libraries, whatever they print. This is the child's half of worker.py.
"""

import argparse
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn, TextIO

from stages.errors import StageError, StagesError
from stages.keys import Digest, JsonValue
from stages.machine.lifeline import PARENT_OPTION, Lifeline
from stages.pipeline.stage import command_of
from stages.run.environment import clean_environment, note_environment
from stages.run.fingerprint import Fingerprinter
from stages.run.job import Job, Run, perform
from stages.run.lean_imports import import_program
from stages.run.lifetime import Lifetime
from stages.run.memory import watch_memory
from stages.run.report import ACCEPTED, EVENTS_OPTION, JOINING, Report
from stages.run.signals import heard_at_once
from stages.run.text_streams import accept_any_text, from_command_line, open_standard_streams
from stages.store.stat_cache import StatCache

_DESCRIPTION = """\
Runs one node in the foreground, with everything that the stage and its libraries print.
Without --video, serves jobs of doit: one JSON line on stdin each.
"""
_EXAMPLES = """\
examples:
  {command} --video demo                      make this node of params/videos/demo.toml
  {command} --video demo denoise.seed=7       with parameters as on doit's command line
  {command} --video demo --pdb                and look around where it fails

The result goes to the store, as with doit. What the node reads must be there; `doit <stage>` makes it.
"""


def main(
    package: str, arguments: Sequence[str] | None = None, *, instead: str = "", lifeline: Lifeline | None = None
) -> None:
    """Serve jobs from stdin, or run one node by hand.

    What does the jobs comes from `open_stage` in the package's edge.py, once for all jobs of this process. It loads
    torch or JAX, so it waits until it is clear that it is needed.

    Args:
        package: of the program; the __main__ of a stage passes its own.
        arguments: of the command line after the program's name; None for those of this process.
        instead: what --help of a program that makes no video's node says: how it is used.
        lifeline: to doit, which has started the process.
    """
    closed = open_standard_streams()
    accept_any_text()
    options = _parse(package, arguments, instead)
    ignored = clean_environment()

    def load() -> Run:
        run: Run = import_program(package).open_stage()
        return note_environment(watch_memory(run), ignored)

    if options.video is None:
        _serve(load, package, options.events_fd, Lifetime(lifeline))
        return
    if closed:
        sys.exit(closed)
    from stages.run.by_hand import run_by_hand  # noqa: PLC0415 (what a served process has no use for)

    overrides = [*map(from_command_line, options.overrides)]
    sys.exit(run_by_hand(load, package, options.video, overrides, debug=options.debug, pdb=options.pdb))


class _Parser(argparse.ArgumentParser):
    """As argparse's; wrong arguments are exit code 1, as every error here."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(1, f"{self.prog}: {message}. --help says what there is.\n")


def _parse(package: str, arguments: Sequence[str] | None, instead: str) -> argparse.Namespace:
    command = command_of(package)
    parser = _Parser(
        prog=command,
        description=instead or _DESCRIPTION,
        epilog="" if instead else _EXAMPLES.format(command=command),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--video", metavar="NAME", help="run this program's node of params/videos/NAME.toml")
    parser.add_argument("overrides", nargs="*", metavar="stage.name=value", help="parameters that override the files'")
    parser.add_argument("--pdb", action="store_true", help="on an error, start the debugger where it happened")
    parser.add_argument("--debug", action="store_true", help="show the traceback of every error")
    parser.add_argument(EVENTS_OPTION, type=int, metavar="N", help="with doit: write events to this file descriptor")
    parser.add_argument(PARENT_OPTION, type=int, metavar="N", help="with doit: end when this file descriptor does")
    options = parser.parse_intermixed_args(arguments)
    if options.video is None and (options.overrides or options.pdb or options.debug):
        parser.error("these options go with --video")
    if options.video is not None and options.events_fd is not None:
        parser.error(f"{EVENTS_OPTION} does not go with --video")
    return options


def _serve(load: Callable[[], Run], package: str, descriptor: int | None, lifetime: Lifetime) -> None:
    if descriptor is None:
        _serve_all(sys.stdout, _import(load, package), lifetime)
        return
    accept_any_text("utf-8")  # stdout and stderr are a log, which worker.py reads
    with os.fdopen(descriptor, "w", buffering=1, encoding="utf-8") as events:
        depends_on_hosts = _serve_all(events, _import(load, package), lifetime)
    if not depends_on_hosts and not sys.flags.dev_mode:  # which warns of what is left open
        _end_at_once()


@dataclass(frozen=True)
class _Program:
    """What does the jobs: the fingerprint of its code, and of each module, and the seconds that importing it took."""

    run: Run
    code: Digest
    sources: Mapping[str, Digest]
    start_s: float


def _import(load: Callable[[], Run], package: str) -> _Program:
    """What has just been imported."""
    start = time.perf_counter()
    run, fingerprinter = load(), Fingerprinter(StatCache(Path(os.devnull)))
    code, sources = fingerprinter.fingerprint(package), fingerprinter.digests(package)
    return _Program(run, code, sources, time.perf_counter() - start)


def _end_at_once() -> None:
    """End without taking torch or JAX apart, for which the next program of the device would wait up to a second."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _serve_all(events: TextIO, program: _Program, lifetime: Lifetime) -> bool:
    """Do the jobs that come on stdin, one after another.

    Returns:
        Whether the process has joined those of other hosts, which it has to tell that it leaves.
    """
    has_joined, sending = False, threading.Lock()

    def send(event: Mapping[str, JsonValue]) -> None:
        nonlocal has_joined
        has_joined |= event["event"] == JOINING
        with sending:  # a preview is told of by a thread of its own
            events.write(json.dumps(event) + "\n")
            events.flush()

    def hear(number: int) -> None:
        print(f"asked to end by {signal.Signals(number).name}", file=sys.stderr, flush=True)
        lifetime.end()

    lifetime.rest()
    with heard_at_once(hear):
        for number, line in enumerate(sys.stdin, 1):
            report = Report(send)
            lifetime.begin(report.interrupt)
            send({"event": ACCEPTED})
            print(line, end="", file=sys.stderr, flush=True)
            start_s = program.start_s if number == 1 else 0.0
            job = replace(Job.from_json(line), number=number, start_s=start_s, sources=program.sources)
            ending = _serve_one(job, program, report)
            lifetime.rest()  # before doit reads the last event, because it may end stdin at once
            send(ending)
    return has_joined


def _serve_one(job: Job, program: _Program, report: Report) -> Mapping[str, JsonValue]:
    """Do one job; the event that ends it."""
    try:
        if job.code != program.code:
            raise StageError(f"{job.node.title}: the code that makes it was changed meanwhile. Run `doit` again.")
        return perform(job, program.run, report)
    except Exception as error:
        traceback.print_exc()
        name, is_fault = type(error).__name__, not isinstance(error, StagesError)
        return {
            "event": "error",
            "kind": "" if is_fault else name,
            "message": f"{name}: {error}" if is_fault else str(error),
            "traceback": traceback.format_exc(),
        }
