"""`doit from`: a video file that makes a video, or another artifact, again."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.commands.command_line import DEBUG
from stages.commands.file_argument import MACHINE, read_file_argument
from stages.commands.store_command import StoreCommand
from stages.commands.work_done import print_work
from stages.errors import ParamsError
from stages.machine.printable import escaped
from stages.provenance.code import CodeHere
from stages.provenance.project import Project, open_project
from stages.provenance.remake import Remake, choose_name, plan_remake, write_video_file
from stages.provenance.sources import find_record


class From(StoreCommand):
    """Prompt and parameters of a file become a video of this project."""

    name = "from"
    doc_purpose = "write the video file that makes a video again, or with changes"
    doc_usage = "FILE [stage.name=value ...] [--as NAME] [--anyway]"
    doc_description = """\
Reads back what made FILE, as `doit inspect` shows it, and writes params/videos/NAME.toml, which makes the same: every
key is the same. NAME is the file's name. With `stage.name=value` the new video differs in that. What the project's
defaults say already is left out. No file is overwritten.

Weights are compared by what they hold, wherever they lie. Where those of params/model.toml are not those that made
FILE, `model.checkpoint=FOLDER` or `model.components.vae=FOLDER` says where they are. Where weights or code are others,
each is named and nothing is written; with --anyway it goes on, and a comment in the new file names them.

Examples:
doit from ~/downloads/night.mp4
doit from ~/downloads/night.mp4 denoise.seed=7 --as night-7
doit from night.mp4 model.checkpoint=~/models/hunyuanvideo
"""
    cmd_options = (
        {
            "name": "as",
            "short": "",
            "long": "as",
            "type": str,
            "default": "",
            "help": "the new video's name [default: that of the file]",
        },
        {
            "name": "anyway",
            "short": "",
            "long": "anyway",
            "type": bool,
            "default": False,
            "help": "go on where weights or code are not those that made it [default: %(default)s]",
        },
        DEBUG,
    )
    takes_names = takes_parameters = True
    takes_files = 1
    interrupted = "Nothing was written."

    def answer(self, options: Mapping[str, Any], names: Sequence[str]) -> int:
        """Write the file, and say what the next command is; 0."""
        file, overrides = read_file_argument("from", names)
        if "video" in overrides:
            raise ParamsError(f"doit from: video={overrides['video']}: writes one video. `--as NAME` names it.")
        root = Path.cwd()
        if not (root / "params").is_dir():
            raise ParamsError(f"{root}: holds no params/. Run this in the folder of dodo.py.")
        settings = {name: text for name, text in overrides.items() if name.startswith(MACHINE)}
        changes = {name: text for name, text in overrides.items() if name not in settings}
        project = open_project(root, settings)
        record = find_record(file, project)
        name = choose_name(options["as"], record, project)
        words = [file, *(f"{dotted}={text}" for dotted, text in changes.items())]
        command = shlex.join(["doit", "from", *words, *(["--anyway"] if options["anyway"] else [])])
        remake = plan_remake(record, name, project, changes, anyway=options["anyway"], command=command)
        next_step = _next_step(remake, project)
        path = write_video_file(remake, project)

        def report() -> None:
            print(f"{path.relative_to(root)}: written. {_describe(remake)}")
            for difference in remake.differences:
                print(escaped(f"  --anyway: {difference}"))
            if unknown := [made.stage for made in record.made if made.code is None]:
                print(f"  not compared: the code of {', '.join(unknown)}, of which the file says nothing.")
            print(next_step)

        return int(not print_work(report, f"written: {path.relative_to(root)}"))


def _describe(remake: Remake) -> str:
    same, others = ", ".join(remake.same), ", ".join(remake.others)
    if same and others:
        return f"The same keys: {same}; other keys: {others}."
    return f"The same keys: {same}." if same else f"Other keys: {others}."


def _next_step(remake: Remake, project: Project) -> str:
    code = CodeHere(project)
    due = [stage for stage, node in remake.nodes.items() if not code.is_fresh(node)]
    if not due:
        return f"Everything is in the store: `doit {remake.name}` only makes the link to the video."
    return f"`doit {remake.name}` makes {', '.join(due)}."
