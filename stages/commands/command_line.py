"""doit's command line: options, names and overrides as they were typed, and one message for what is wrong with them.

The only module that reads `sys.argv` and doit's variables (`name=value`) for a command of doit, and that catches the
errors of doit's parser of options.
"""

import gc
import getopt
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from doit import doit_cmd
from doit.cmdparse import CmdOption, CmdParse, CmdParseError

from stages.commands.draft_names import read_draft_names
from stages.commands.early_interrupt import INTERRUPTED, raise_on_interrupt
from stages.errors import ParamsError
from stages.request import params
from stages.request.layers import COMMAND_LINE
from stages.run.text_streams import (
    accept_any_text,
    find_fault_of_stdout,
    from_command_line,
    open_standard_streams,
)

DEBUG: Mapping[str, Any] = {
    "name": "debug",
    "long": "debug",
    "type": bool,
    "default": False,
    "help": "show the traceback behind an error message, of a stage's process too [default: %(default)s]",
}
_PARAMETER = re.compile(r"[a-z_]+\.[a-z_]+")  # no task is named so, and no file that a task makes
_FAILURE = 1
_OF_DATABASE = ("db-file", "backend", "check_file_uptodate")  # doit's options
# Python looks through all objects again and again while there are more and more of them; with 10,000 videos that was
# half of the time of a run that has nothing to do.
_OBJECTS_PER_COLLECTION = 200_000


class CommandLine:
    """Before a command of doit in the order of base classes: how its part of the command line is read.

    Attributes:
        takes_files: how many of its first arguments can be the name of a file, such as clip.webm.
        takes_drafts: whether drafts can be named, such as demo.draft.
        are_drafts: whether they were: the names that the command is given are those of their videos.
    """

    takes_files: int = 0
    takes_drafts: bool = True
    are_drafts: bool = False
    cmdparser: CmdParse  # these three are doit's
    opt_vals: Mapping[str, Any]
    pdb: bool

    def parse_execute(self, in_args: Sequence[str]) -> int:
        """Parse what follows the command's name and execute it; the exit code.

        As doit's own, but options may stand after names, and what is wrong is one message and exit code 1.
        """
        try:
            raise_on_interrupt()
            return self._parse_execute(in_args)
        except KeyboardInterrupt:  # what the command itself does not catch, before it begins or after its end
            print(INTERRUPTED, file=sys.stderr)
        except OSError as error:
            if error.filename is not None:
                raise
            if fault := find_fault_of_stdout(error):  # else who reads it has seen enough
                print(fault, file=sys.stderr)
        return _FAILURE

    def _parse_execute(self, in_args: Sequence[str]) -> int:
        try:
            options, names = self._parse(in_args)
        except CmdParseError as error:
            print(error, file=sys.stderr)
            return _FAILURE
        self.pdb = options.get("pdb", False)
        options.update(self.opt_vals)  # options of dodo.py's place may stand before the command
        code = int(self.execute(options, names))  # type: ignore[attr-defined] # of doit's command
        if fault := find_fault_of_stdout():
            print(fault, file=sys.stderr)
            return _FAILURE
        return code

    def _parse(self, arguments: Sequence[str]) -> tuple[Any, list[str]]:
        """Values of the options, and the names. Raises CmdParseError, whose text is for the user."""
        name = self.get_name()  # type: ignore[attr-defined] # of doit's command
        parser = self.cmdparser
        try:
            found, names = getopt.gnu_getopt(list(arguments), parser.get_short(), parser.get_long())
            for option, value in found:
                _check_value(parser.get_option(option)[0], option, value)
            options, _ = parser.parse([part for pair in found for part in _join(parser, *pair)])
        except getopt.GetoptError as error:
            hint = self._hint(error, arguments)
            raise CmdParseError(f"doit {name}: {error}.{hint} `doit help {name}` says what there is.") from error
        except CmdParseError as error:
            fault = " ".join(str(error).split())  # doit's own are several lines
            raise CmdParseError(f"doit {name}: {fault}. `doit help {name}` says what there is.") from error
        files, names = names[: self.takes_files], names[self.takes_files :]
        names, self.are_drafts = read_draft_names(names, name, takes_drafts=self.takes_drafts)
        for word in filter(_PARAMETER.fullmatch, names):
            raise CmdParseError(
                f"{word}: a parameter without a value. Write `{word}=VALUE`, without spaces around `=`."
            )
        return options, [*files, *names]

    def _hint(self, error: getopt.GetoptError, arguments: Sequence[str]) -> str:
        if error.opt in _OF_DATABASE:
            return " There is no database: the store says what is up to date."
        if error.opt.partition(".")[2]:
            return f" Parameters are written without dashes: `{error.opt}=VALUE`."
        commands = getattr(getattr(self, "loader", None), "cmd_names", ())
        for command in (argument for argument in arguments if argument in commands):
            return f" `{command}` is a command and comes first: `doit {command} ...`."
        if "not recognized" not in error.msg:
            return ""
        known = [option.long for option in self.cmdparser.options if option.long]
        return "".join(f" Did you mean `--{match}`?" for match in get_close_matches(error.opt, known, n=1))


def _check_value(option: CmdOption, typed: str, value: str) -> None:
    """Raise CmdParseError unless the value has the option's type and is one of its choices."""
    if option.type is bool:
        return
    try:
        option.str2type(value)
    except CmdParseError as error:
        rule = f"one of {', '.join(option.choices)}" if option.choices else "a whole number"
        raise CmdParseError(f"{typed} {value}: must be {rule}") from error


def _join(parser: CmdParse, option: str, value: str) -> Iterable[str]:
    """An option as doit's parser takes it."""
    if parser.get_option(option)[0].type is bool:
        return (option,)
    return (f"{option}={value}",) if option.startswith("--") else (option, value)


def read_overrides() -> Mapping[str, str]:
    """Parameters that were typed as `name=value`, wherever they stood: text by name.

    Raises:
        ParamsError: one has no name.
    """
    # doit's get_var answers only for names that one asks for; misspelt ones would be ignored
    typed: Mapping[str, str] = doit_cmd._CMDLINE_VARS or {}
    return params.read_overrides(f"{name}={from_command_line(text)}" for name, text in typed.items())


def prepare() -> None:
    """Prepare this process, whatever the command.

    Ends it with one message for arguments that doit would not understand, or of which it would drop one.
    """
    if fault := open_standard_streams():
        sys.exit(fault)
    accept_any_text()
    gc.set_threshold(_OBJECTS_PER_COLLECTION)
    if "" in sys.argv[1:]:
        sys.exit(
            f'{COMMAND_LINE}: an argument is empty (""). Leave it out; perhaps it is a shell variable without a value.'
        )
    try:  # doit keeps the last of several values for one name
        params.read_overrides(word for word in sys.argv[1:] if "=" in word and not word.startswith("-"))
    except ParamsError as error:
        sys.exit(f"{type(error).__name__}: {error}")
