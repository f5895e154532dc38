"""`doit preflight`: what the denoise step and the decode chunk of videos need on given chips, before anything runs."""

import json
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from doit.cmd_base import Command

from stages.commands.command_line import DEBUG, CommandLine, read_overrides
from stages.errors import StagesError
from stages.keys import JsonValue
from stages.preflight.survey import Survey, survey
from stages.preflight.table import print_table, show_progress
from stages.run.own_code import check_own_code

_FITS, _FAILURE = 0, 1  # exit codes


class Preflight(CommandLine, Command):  # type: ignore[misc] # doit has no types
    """Asks for each program once; what has been found out is an artifact like others."""

    takes_drafts = False
    doc_purpose = "say what videos need on given chips: memory, arithmetic, time to compile"
    doc_usage = "[VIDEO ...] [--topology NAME] [--json] [stage.name=value ...]"
    doc_description = """\
Compiles the denoise step and the decode chunk of each video (default: all) and says whether they fit into the chips'
memory. It needs no weights, no download and, with --topology, no TPU: the TPU compiler runs on Linux on x86-64, with
`pip install -e '.[preflight]'`. What was found out is kept: asking again takes no time. Sizes are per device (a chip;
half a chip of tpu7x). Of several hosts each decodes by itself, so decode is compiled for the chips of one.

Exit code: 0 when all of it fits, 1 when something does not, or when that could not be found out.

Examples:
doit preflight
doit preflight demo --topology v6e:2x4
doit preflight --topology v5e:2x4 denoise.num_frames=121 --json
"""
    cmd_options = (
        {
            "name": "topology",
            "short": "",
            "long": "topology",
            "type": str,
            "default": "",
            "help": "slice of TPUs to compile for, such as v6e:2x4, v5e:2x4, v4:2x2x1; without it, this machine",
        },
        {
            "name": "json",
            "short": "",
            "long": "json",
            "type": bool,
            "default": False,
            "help": "print JSON in place of the table; sizes are GiB per device (a chip; half a chip of tpu7x)",
        },
        DEBUG,
    )

    def execute(self, opt_values: Mapping[str, Any], pos_args: Sequence[str]) -> int:
        """Print what was found out; the exit code."""
        try:
            check_own_code(Path.cwd())
            with show_progress() as observe:
                found = survey(Path.cwd(), pos_args, opt_values["topology"], read_overrides(), observe)
        except StagesError as error:
            if opt_values["debug"]:
                traceback.print_exc()
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            return _FAILURE
        except KeyboardInterrupt:
            print("interrupted. What had been found out is kept.", file=sys.stderr)
            return _FAILURE
        if opt_values["debug"]:
            print(*(row.traceback for row in found.rows), sep="", end="", file=sys.stderr)
        if opt_values["json"]:
            print(json.dumps({"topology": opt_values["topology"], **_to_json(found)}, indent=2))
        else:
            print_table(opt_values["topology"], found)
        for fault in dict.fromkeys(found.faults.values()):
            if opt_values["debug"]:
                traceback.print_exception(fault)
            print(f"{type(fault).__name__}: {fault}", file=sys.stderr)
        return _FITS if all(row.fits for row in found.rows) and not found.faults else _FAILURE


def _to_json(found: Survey) -> dict[str, JsonValue]:
    return {
        "rows": [row.to_json() for row in found.rows],
        "not_compiled": [
            {"stage": "decode", "videos": [*videos], "decoder": decoder}
            for decoder, videos in found.not_compiled.items()
        ],
        "faults": [{"video": video, "message": str(error)} for video, error in found.faults.items()],
    }
