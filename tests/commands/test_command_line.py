"""What may be typed where, and what is said of what is wrong."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stages.commands.invocation import current_invocation
from tests.commands.doit_here import PLUGINS, PROJECT, run_doit

COMMANDS = sorted(PLUGINS["command"])
TASKS = [{"basename": "encode", "actions": [], "doc": "the encode stage"}]
SEE_RUN = "`doit help run` says what there is."


def say(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> str:
    """What is said on stderr of something wrong, which is all that is said."""
    assert run_doit(folder, TASKS, *arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.removesuffix("\n")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("place", [["--nonsense"], ["encode", "--nonsense"]])
def test_an_unknown_option_is_one_message_and_exit_code_1_of_every_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, place: list[str]
):
    message = say(capsys, tmp_path, command, *place)
    assert message.startswith(f"doit {command}: option --nonsense not recognized.")
    assert message.endswith(f" `doit help {command}` says what there is.")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--contineu"], f"doit run: option --contineu not recognized. Did you mean `--continue`? {SEE_RUN}"),
        (["-x"], f"doit run: option -x not recognized. {SEE_RUN}"),
        (["-n"], f"doit run: option -n requires argument. {SEE_RUN}"),
        (["encode", "-n", "x"], f"doit run: -n x: must be a whole number. {SEE_RUN}"),
        (["--process=x"], f"doit run: --process x: must be a whole number. {SEE_RUN}"),
        (["-n", "-3"], "doit run: -n -3: must be 0 or more."),
        (["-n", "2", "-P", "fork"], "Invalid parallel type fork"),
        (["-n", "2", "-P", "process"], "doit run: -P process: each stage has a process of its own already, which"),
        (["-v", "3"], "doit run: -v 3: must be 0, 1 or 2."),
        (["--pdb"], "doit run: --pdb: a stage runs in a process of its own. Start the debugger there: `python -m"),
        (["--debug=yes"], f"doit run: option --debug must not have an argument. {SEE_RUN}"),
        (
            ["list", "--sort", "size"],
            "doit list: --sort size: must be one of name, definition. `doit help list` says what there is.",
        ),
        (
            ["--check_file_uptodate", "x"],
            "doit run: option --check_file_uptodate not recognized. There is no database: ",
        ),
    ],
)
def test_a_wrong_option_is_named_with_what_is_wrong(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
):
    monkeypatch.setattr("doit.doit_cmd.DoitMain.BIN_NAME", "doit")
    assert say(capsys, tmp_path, *arguments).startswith(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["denoise.seed"], "denoise.seed: a parameter without a value. Write `denoise.seed=VALUE`, without spaces"),
        (["denoise.seed", "7"], "denoise.seed: a parameter without a value."),
        (["preflight", "demo", "denoise.seed"], "denoise.seed: a parameter without a value."),
        (["denoise.seed", "=7"], "denoise.seed: a parameter without a value."),
        (["=3"], "ParamsError: command line, =3: has no name. Write name and value as one word, such as"),
        (["list", "encode", "=3"], "ParamsError: command line, =3: has no name."),
        (["preflight", "=3"], "ParamsError: command line, =3: has no name."),
        (
            ["--denoise.seed=7"],
            "doit run: option --denoise.seed not recognized. Parameters are written without dashes: "
            f"`denoise.seed=VALUE`. {SEE_RUN}",
        ),
    ],
)
def test_a_parameter_in_a_wrong_form_is_shown_with_the_right_one(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
):
    monkeypatch.chdir(tmp_path)
    assert say(capsys, tmp_path, *arguments).startswith(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--debug", "list"], "list: a command comes before everything else: `doit list ...`."),
        (["encode", "list"], "list: a command comes before everything else: `doit list ...`."),
        (
            ["--topology", "v6e:2x4", "preflight"],
            "doit run: option --topology not recognized. `preflight` is a command and comes first: "
            f"`doit preflight ...`. {SEE_RUN}",
        ),
    ],
)
def test_a_command_that_is_not_the_first_word_is_shown_where_it_belongs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
):
    assert say(capsys, tmp_path, *arguments) == message


@pytest.mark.parametrize("arguments", [["--quiet", "encode"], ["encode", "--quiet"], ["-q", "--", "encode"]])
def test_options_may_stand_before_and_after_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
):
    assert run_doit(tmp_path, TASKS, "list", *arguments) == 0
    assert capsys.readouterr().out.split() == ["encode"]


def test_an_option_with_a_value_may_stand_after_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for option in (["--template", "{name}!"], ["--template={name}!"], ["--templ={name}!"]):
        assert run_doit(tmp_path, TASKS, "list", "encode", *option) == 0
    assert capsys.readouterr().out == "encode!\n" * 3


def test_after_two_dashes_all_is_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert say(capsys, tmp_path, "list", "--", "--quiet").startswith("--quiet: no such task or command.")


@pytest.mark.parametrize(
    "arguments",
    [["denoise.seed=2", "run", "encode"], ["run", "denoise.seed=2", "encode"], ["encode", "denoise.seed=2"]],
)
def test_a_parameter_may_stand_anywhere(tmp_path: Path, arguments: list[str]):
    seen: list[Mapping[str, str]] = []
    task: dict[str, Any] = {**TASKS[0], "uptodate": [lambda: seen.append(current_invocation().overrides)]}
    assert run_doit(tmp_path, [task], *arguments) == 0
    assert seen == [{"denoise.seed": "2"}]


def doit(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(PROJECT / "pyproject.toml", folder)
    command = [sys.executable, "-m", "doit", *arguments]
    environment = {**os.environ, **environment}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [[""], ["list", ""], ["denoise.seed=2", "", "encode"]])
def test_an_empty_argument_is_one_message_and_exit_code_1(tmp_path: Path, arguments: list[str]):
    done = doit(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        'command line: an argument is empty (""). Leave it out; perhaps it is a shell variable without a value.\n'
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "-f", "elsewhere.py"], "Could not find dodo file '{folder}/elsewhere.py'."),
        (["list", "-f"], "doit list: option -f requires argument."),
        (["-f"], "doit run: option -f requires argument."),
        (["list"], "Could not find dodo file '{folder}/dodo.py'."),
    ],
)
def test_a_place_without_tasks_is_one_message_and_exit_code_1(tmp_path: Path, arguments: list[str], message: str):
    done = doit(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(message.format(folder=tmp_path))


def test_a_wrong_variable_of_the_environment_is_one_message_and_exit_code_1(tmp_path: Path):
    done = doit(tmp_path, "list", DOIT_SEEK_FILE="perhaps")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("Not a boolean: perhaps. `doit help list` says what there is.\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [[], ["list"], ["preflight"]])
def test_a_parameter_that_is_typed_twice_is_one_message_that_names_both(tmp_path: Path, command: list[str]):
    done = doit(tmp_path, *command, "denoise.seed=1", "denoise.seed=2")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "ParamsError: command line, denoise.seed=1 and denoise.seed=2: say two things. Leave one out.\n"
    )
