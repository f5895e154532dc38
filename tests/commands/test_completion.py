"""The scripts of `doit tabcompletion`, run in bash."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.doit_here import PLUGINS, run_doit
from tests.project import copy_project, environment

COMMANDS = sorted(PLUGINS["command"])
TASKS = [
    {"basename": "encode", "actions": [], "doc": "the prompt's embeddings"},
    {"basename": "harbour", "actions": [], "doc": "it's broken", "meta": {"fault": "broken"}},
]


def script(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run_doit(folder, TASKS, "tabcompletion", *arguments) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_script_names_commands_and_tasks_that_can_be_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shell: str
):
    text = script(tmp_path, capsys, "--hardcode-tasks", "--shell", shell)
    assert "preflight" in text
    assert "encode" in text
    assert "harbour" not in text


def test_a_quote_in_a_description_ends_no_string_of_zsh(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert r"'encode: the prompt'\''s embeddings'" in script(tmp_path, capsys, "--hardcode-tasks", "-s", "zsh")


def test_no_description_of_a_command_ends_a_string_of_zsh(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    lines = script(tmp_path, capsys, "-s", "zsh").splitlines()
    described = [line.strip() for line in lines if line.strip().startswith(tuple(f"'{name}: " for name in COMMANDS))]
    assert len(described) == len(COMMANDS)
    assert [line for line in described if line.count("'") != 2] == []


def complete(folder: Path, hardcode: list[str], *words: str) -> list[str]:
    """What bash offers for the last of the words, in a project, without the package bash-completion."""
    program = (
        f'eval "$(doit tabcompletion {" ".join(hardcode)})"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        '_doit; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["bash", "--norc", "-c", program, "bash", *words]
    result = subprocess.run(
        command, cwd=folder, env={**environment(), "PATH": path}, capture_output=True, text=True, check=True
    )
    assert result.stderr == ""
    return sorted(result.stdout.split())


@pytest.mark.processes
@pytest.mark.parametrize("hardcode", [[], ["--hardcode-tasks"]])
def test_bash_completes_commands_stages_and_videos(tmp_path: Path, hardcode: list[str]):
    root = copy_project(tmp_path)
    assert complete(root, hardcode, "doit", "de") == ["decode", "demo", "denoise"]
    assert complete(root, hardcode, "doit", "pre") == ["preflight"]
    assert complete(root, hardcode, "doit", "clean", "ex") == ["export"]
    (node,) = complete(root, hardcode, "doit", "export:")
    assert node.startswith("export:")


@pytest.mark.processes
@pytest.mark.parametrize("command", ["inspect", "from", "diff"])
def test_bash_completes_files_after_a_command_that_takes_one(tmp_path: Path, command: str):
    root = copy_project(tmp_path)
    assert complete(root, [], "doit", command, "do") == ["dodo.py"]
