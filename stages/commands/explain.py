"""`doit explain`: what the next run would make, why, and what it is expected to cost."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from stages.commands.command_line import DEBUG
from stages.commands.store_command import JSON, StoreCommand
from stages.explain.explanation import explain
from stages.explain.wording import describe
from stages.run.build import Build


class Explain(StoreCommand):
    """Makes nothing, and changes nothing in the store."""

    doc_purpose = "say what a run would make, why, and what it would cost"
    doc_usage = "[TASK ...] [--all] [--json] [stage.name=value ...] [video=NAME]"
    doc_description = """\
Of each node of the named tasks (default: all) and of what they are made of, what a `doit` of them would do:

  run      it is made
  waits    something that it reads is made again; it runs unless that comes out with the same bytes
  fetch    it is taken from the remote store
  remote   it is on the remote store, and stays there: nothing has to read it here
  fresh    it stays

and why: each parameter, component or source file that differs from the nearest earlier artifact of that video, which
is what the video's link leads to, or else the artifact of the same prompt that agrees in most. Seconds are expected
from earlier runs on this machine (`doit timings`): from equal ones, else from the nearest, in proportion to the work.
Where there are none, the lower bound of an earlier `doit preflight` is said, or that the time is unknown. Nodes are
taken to be made one after another.

Parameters are overridden as for `doit`. Exit code: 0, or 1 when a video that was asked for cannot be made.

Examples:
doit explain
doit explain demo denoise.guidance_scale=7.5
doit explain decode --json
"""
    cmd_options = (
        {
            "name": "all",
            "short": "",
            "long": "all",
            "type": bool,
            "default": False,
            "help": "list also the nodes of videos that are up to date",
        },
        {**JSON, "help": "print JSON; expected_s is seconds, and null where it is unknown"},
        DEBUG,
    )
    takes_names = True
    takes_parameters = True
    interrupted = "Nothing was changed."

    def act(self, build: Build, options: Mapping[str, Any], names: Sequence[str]) -> int:
        """Print it; the exit code."""
        found = explain(build, names)
        if options["json"]:
            print(json.dumps({"nodes": [step.to_json() for step in found.steps]}, indent=2))
        else:
            for line in describe(found, shows_all=options["all"]):
                print(line)
        for fault in dict.fromkeys(f"{type(error).__name__}: {error}" for error in found.faults.values()):
            print(fault, file=sys.stderr)
        return int(bool(found.faults))
