"""What the commands on the store share: `gc`, `pin`, `unpin`, `pins`, `du` and `verify`."""

import getopt
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from doit.cmd_base import Command
from doit.cmdparse import CmdParseError

from stages.commands.command_line import CommandLine, read_overrides
from stages.errors import ParamsError, StagesError
from stages.keys import ArtifactId
from stages.machine.printable import printable
from stages.machine.regular_files import reason_of
from stages.run.build import Build
from stages.run.loading import load_build
from stages.run.text_streams import find_fault_of_stdout

_FAILURE = 1
_MACHINE = "machine."

JSON: Mapping[str, Any] = {
    "name": "json",
    "short": "",
    "long": "json",
    "type": bool,
    "default": False,
    "help": "print JSON; sizes are bytes",
}


class StoreCommand(CommandLine, Command):  # type: ignore[misc] # doit has no types
    """A command that looks at a store, and at what the present parameters need of it; runs no task.

    Attributes:
        takes_names: whether it takes arguments.
        takes_parameters: whether parameters may be overridden, besides settings of the machine.
        interrupted: what is true after Ctrl-C.
    """

    takes_names = False
    takes_parameters = False
    interrupted = "What was deleted before stays deleted, and nothing is half-made."

    def parse_execute(self, in_args: Sequence[str]) -> int:
        """As CommandLine's; `--help` is `doit help`."""
        if "--help" in in_args:
            print(self.help())
            return 0
        return super().parse_execute(in_args)

    def _parse(self, arguments: Sequence[str]) -> tuple[Any, list[str]]:
        """As CommandLine's. Raises CmdParseError: also where an option has no value, or several."""
        options, names = super()._parse(arguments)
        parser, typed = self.cmdparser, dict[str, list[str]]()
        for option, value in getopt.gnu_getopt(list(arguments), parser.get_short(), parser.get_long())[0]:
            found = parser.get_option(option)[0]
            if found.type is not bool:
                typed.setdefault(found.long, []).append(value)
        for option, values in typed.items():
            if "" in values:
                raise CmdParseError(f"doit {self.get_name()}: --{option}: has no value. Give it one, or leave it out.")
            if len(values) > 1:
                raise CmdParseError(
                    f"doit {self.get_name()}: --{option} is given {len(values)} times ({', '.join(values)}). Give it "
                    "once."
                )
        return options, names

    def execute(self, opt_values: Mapping[str, Any], pos_args: Sequence[str]) -> int:
        """Do it; the exit code. What stops it is one message."""
        try:
            code = self.answer(opt_values, pos_args)
            sys.stdout.flush()  # a reader who has left is noticed here, however much is printed
            return code
        except BrokenPipeError:
            find_fault_of_stdout()  # the rest is dropped: who reads it has seen enough
            return _FAILURE
        except (StagesError, OSError) as error:
            if opt_values["debug"]:
                traceback.print_exc()
            message = find_fault_of_stdout(error) or _explain(error)
        except KeyboardInterrupt:
            message = f"interrupted. {self.interrupted}"
        print(message, file=sys.stderr)
        return _FAILURE

    def answer(self, options: Mapping[str, Any], names: Sequence[str]) -> int:
        """Load the project and do what the command does; the exit code."""
        return self.act(self._load(names), options, names)

    def act(self, build: Build, options: Mapping[str, Any], names: Sequence[str]) -> int:
        """What the command does, with the project's parameters and store; the exit code."""
        raise NotImplementedError

    def read_overrides(self) -> Mapping[str, str]:
        """Parameters that were typed: text by name. Raises ParamsError: one has no name."""
        return read_overrides()

    def _load(self, names: Sequence[str]) -> Build:
        name, overrides = self.get_name(), self.read_overrides()
        if names and not self.takes_names:
            raise ParamsError(
                f"doit {name}: takes no names, and not {names[0]}. `doit help {name}` says what it takes."
            )
        for dotted, value in overrides.items():
            if not (self.takes_parameters or dotted.startswith(_MACHINE)):
                raise ParamsError(
                    f"doit {name}: {dotted}={value}: looks at what the files in params/ say. `doit pin VIDEO "
                    f"{dotted}={value}` keeps another version of a video."
                )
        root = Path.cwd()
        if not (root / "params").is_dir():
            raise ParamsError(f"{root}: holds no params/. Run this in the folder of dodo.py.")
        return load_build(root, overrides, is_read_only=True, is_draft=self.are_drafts)


def _explain(error: StagesError | OSError) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or 'the store'}: {reason_of(error)}. Fix that and run it again."
    return f"{type(error).__name__}: {error}"


def report_faults(build: Build, names: Sequence[str]) -> int:
    """Print what keeps videos from being made, where all of them were meant, and no `names`; then 1."""
    faults = () if names else dict.fromkeys(map(str, build.graph.faults.values()))
    for fault in faults:
        print(fault, file=sys.stderr)
    return int(bool(faults))


def names_of(build: Build) -> dict[ArtifactId, tuple[str, ...]]:
    """The present videos of each artifact that they need."""
    return {node.artifact: build.graph.videos_of(node) for node in build.graph.all_nodes()}


def print_table(heading: Sequence[str], rows: Sequence[Sequence[str]], *, num_texts: int = 1) -> None:
    """Columns as wide as their content; the first `num_texts` hold texts, whoever wrote them, the others figures."""
    rows = [[*map(printable, row)] for row in rows]
    widths = [max(len(row[place]) for row in (heading, *rows)) for place in range(len(heading))]
    for row in (heading, *rows):
        cells = [
            cell.ljust(width) if place < num_texts else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
