"""`doit diff`: what differs between two videos."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.commands.command_line import DEBUG
from stages.commands.file_argument import MACHINE, read_file_arguments
from stages.commands.store_command import JSON, StoreCommand
from stages.diff.comparison import StageDifference, compare
from stages.diff.floor import Floor, find_floor
from stages.diff.plot import BLOCKS, draw_svg
from stages.diff.side import BEFORE, find_side
from stages.diff.wording import describe
from stages.errors import ParamsError, StoreError
from stages.machine.printable import cut, escaped
from stages.machine.regular_files import reason_of
from stages.provenance.project import open_project

_MAX_PROMPT = 70  # characters of a prompt that are shown


class Diff(StoreCommand):
    """Parameters and components, then frames and latents."""

    doc_purpose = "say what differs between two videos, and by how much"
    doc_usage = "VIDEO | A B [--floor] [--plot FILE.svg] [--json]"
    doc_description = """\
A and B are videos that have been made, tasks or keys, or files: a video (mp4) says itself what made it. demo@before is
what the link of demo led to before; `doit diff demo` compares it with demo.

Of each stage: the parameters, components of the model, code and versions that differ; then, where both results are in
the store, what was made. Frames are compared as they are stored, before any encoder: the first that differs, the
largest difference on their scale from -1 to 1, and of each frame PSNR (of red, green and blue), SSIM and XPSNR (of
luma), with mean, worst, and a bar per frame. XPSNR weighs by the texture and motion of A. Of latents and embeddings,
and of the pictures of the encoded videos: how many values differ, and by how much at most. Sizes that differ are said,
and not compared.

--floor puts beside them what differs between float32 and bfloat16 in the same video, B, if the store has it in both;
else it says which command makes it.

Exit code: 0, also where they differ; 1 when one of them cannot be found.

Examples:
doit diff demo
doit diff shapes-1 shapes-2 --plot seeds.svg
doit diff ~/downloads/night.mp4 demo --floor
"""
    cmd_options = (
        {
            "name": "floor",
            "short": "",
            "long": "floor",
            "type": bool,
            "default": False,
            "help": "show beside it what float32 and bfloat16 differ by",
        },
        {
            "name": "plot",
            "short": "",
            "long": "plot",
            "type": str,
            "default": "",
            "help": "write the metrics of each frame as a drawing into this SVG file",
        },
        {**JSON, "help": "print JSON; infinite numbers are null"},
        DEBUG,
    )
    takes_names = True
    takes_files = 2
    interrupted = "Nothing was changed."

    def answer(self, options: Mapping[str, Any], names: Sequence[str]) -> int:
        """Print it; 0."""
        names, overrides = read_file_arguments(names)
        for dotted, value in overrides.items():
            if not dotted.startswith(MACHINE):
                raise ParamsError(
                    f"doit diff: {dotted}={value}: compares what has been made. Make it first, `doit VIDEO "
                    f"{dotted}={value}`; then `doit diff VIDEO` compares it with what the video was before."
                )
        one, other = _two(names)
        project = open_project(Path.cwd(), overrides)
        sides = find_side(one, project), find_side(other, project)
        found = compare(*sides, project)
        floor = find_floor(sides[1], project) if options["floor"] else None
        if options["plot"]:
            _write_plot(Path(options["plot"]), f"{one} and {other}", found, floor)
        if options["json"]:
            fields: dict[str, Any] = {"first": one, "second": other, "stages": [each.to_json() for each in found]}
            print(json.dumps(fields | ({"floor": floor.to_json()} if floor else {}), indent=2))
            return 0
        for side in sides:
            prompt = side.record.prompt
            print(escaped(f'{side.name}: "{cut(prompt, _MAX_PROMPT)}"' if prompt else side.name))
            for note in side.record.notes:
                print(f"  note: {note}.")
        print()
        for line in describe(found, floor, shows_bars=_takes_blocks()):
            print(line)
        return 0


def _two(names: Sequence[str]) -> tuple[str, str]:
    """The two things to compare."""
    if len(names) == 1 and not names[0].endswith(BEFORE):
        return f"{names[0]}{BEFORE}", names[0]
    if len(names) != 2:
        what = f"{names[0]} alone" if len(names) == 1 else len(names)
        raise ParamsError(
            f"doit diff: takes two files, artifacts or videos, or one video, and not {what}. `doit help diff` says "
            "more."
        )
    return names[0], names[1]


def _write_plot(path: Path, title: str, found: Sequence[StageDifference], floor: Floor | None) -> None:
    stage = next((each for each in found if each.frames is not None and each.frames.metrics), None)
    if stage is None or stage.frames is None:
        raise StoreError(f"{path}: is not written: there are no frames that differ and can be compared.")
    below = floor.of_stage(stage.stage) if floor else None
    floors = below.frames.metrics if below and below.frames else ()
    try:
        path.write_text(draw_svg(title, stage.frames.metrics, floors), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({reason_of(error)}). Name another file.") from error


def _takes_blocks() -> bool:
    """Whether stdout has the characters of bars."""
    try:
        BLOCKS.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
