"""`doit gate`: what the project's code at another git revision makes, compared with what is here."""

import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from stages.commands.command_line import DEBUG
from stages.commands.store_command import JSON, StoreCommand
from stages.diff.gate import Verdict, find_nodes, run_gate
from stages.diff.revision import find_revision
from stages.diff.wording import describe_stage
from stages.errors import ParamsError
from stages.models.wording import name_some
from stages.run.build import Build
from stages.run.display import duration
from stages.run.signals import as_interrupts

_EQUAL, _FAILURE = 0, 1  # exit codes


class Gate(StoreCommand):
    """Makes videos elsewhere, by other code, and compares."""

    doc_purpose = "make videos by the code of another git revision, and compare them with those here"
    doc_usage = "REVISION [TASK ...] [--tolerance X] [--json] [stage.name=value ...]"
    doc_description = """\
REVISION is a branch, a tag, a commit or HEAD~1. Its code makes the named videos, stages or tasks (default: all), with
the present parameters, in a folder that is deleted afterwards; then each stage is compared with what is in the store,
which the present code has made, as it is in the files here, whether committed or not. Nothing in the store or in the
repository changes. Artifacts of stages whose code is the same there are taken from the store and not made again.

Exit code: 0 when the values of all stages are equal to the bit, or no value differs by more than --tolerance; 1
otherwise. Frames, and the pictures of videos, count on a scale from -1 to 1, latents and embeddings as they are. A
video that names other code, and has the same pictures, counts as equal.

Examples:
doit gate HEAD~1
doit gate main demo --tolerance 0.02
doit gate v1.2 decode --json
"""
    cmd_options = (
        {
            "name": "tolerance",
            "short": "",
            "long": "tolerance",
            "type": str,
            "default": "0",
            "help": "by how much a value may differ [default: %(default)s]",
        },
        {**JSON, "help": "print JSON; infinite numbers are null"},
        DEBUG,
    )
    takes_drafts = False
    takes_names = takes_parameters = True
    takes_files = 1  # a revision such as feature.decode is no parameter
    interrupted = "Nothing was changed, and nothing is left of it."

    def act(self, build: Build, options: Mapping[str, Any], names: Sequence[str]) -> int:
        """Print what differs; the exit code."""
        tolerance = _read_tolerance(options["tolerance"])
        if not names:
            raise ParamsError(
                "doit gate: name a git revision: a branch, a tag, a commit or HEAD~1. `doit help gate` says more."
            )
        revision = find_revision(names[0], build.root)
        nodes, start = find_nodes(build, names[1:]), time.monotonic()
        head = f"{revision} against the files here"
        print(f"{head}{', with uncommitted changes' if revision.has_changes else ''}", file=sys.stderr)
        found = []
        with as_interrupts(), closing(run_gate(build, nodes, names[1:], revision, tolerance)) as verdicts:
            for verdict in verdicts:
                found.append(verdict)
                if not options["json"]:
                    _print_verdict(verdict)
        is_passed = all(verdict.is_within for verdict in found)
        if options["json"]:
            fields = {
                "revision": revision.commit,
                "has_uncommitted_changes": revision.has_changes,
                "tolerance": tolerance,
                "is_passed": is_passed,
                "nodes": [verdict.to_json() for verdict in found],
            }
            print(json.dumps(fields, indent=2))
        else:
            print(_summarize(found, tolerance, time.monotonic() - start))
        return _EQUAL if is_passed else _FAILURE


def _print_verdict(verdict: Verdict) -> None:
    print(f"{verdict.node.title}  {name_some(verdict.videos)}")
    for line in describe_stage(verdict.difference, shows_bars=False):
        print(f"  {line}")


def _summarize(found: Sequence[Verdict], tolerance: float, seconds: float) -> str:
    num_equal = sum(verdict.difference.outcome == "equal" for verdict in found)
    num_within = sum(verdict.is_within for verdict in found) - num_equal
    num_beyond = len(found) - num_equal - num_within
    parts = [
        f"{num_equal} equal to the bit",
        (f"{num_within} within {tolerance:g}" if tolerance else f"{num_within} of equal values") if num_within else "",
        f"{num_beyond} not" if num_beyond else "",
    ]
    noun = "artifact" if len(found) == 1 else "artifacts"
    return f"{len(found)} {noun} compared in {duration(seconds)}: {', '.join(filter(None, parts))}."


def _read_tolerance(text: str) -> float:
    try:
        tolerance = float(text)
    except ValueError:
        tolerance = math.nan
    if not 0 <= tolerance < math.inf:
        raise ParamsError(f"doit gate: --tolerance {text}: must be a number, 0 or more, such as 0.01.")
    return tolerance
