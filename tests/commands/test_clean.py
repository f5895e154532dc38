"""What `doit clean` removes, and what it says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from doit.exceptions import TaskFailed

from tests.commands.doit_here import run_doit
from tests.full_stream import UNPRINTED, FullStream


def tasks(cleaned: list[str]) -> list[Mapping[str, Any]]:
    """Two tasks, the second of which cannot be cleaned."""

    def clean(name: str) -> None:
        cleaned.append(name)

    return [
        {"basename": "encode", "actions": [], "clean": [(clean, ["encode"])]},
        {"basename": "export", "actions": [], "clean": [lambda: TaskFailed("export: in use. Close it.")]},
    ]


def test_each_task_is_cleaned_once_and_its_action_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    task = {"basename": "encode", "actions": [], "clean": [lambda: print("removed: encode")]}
    assert run_doit(tmp_path, [task], "clean", "encode", "encode") == 0
    assert capsys.readouterr().out == "removed: encode\n"


def test_when_there_was_nothing_to_remove_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    cleaned: list[str] = []
    assert run_doit(tmp_path, tasks(cleaned), "clean", "encode", "encode") == 0
    assert cleaned == ["encode"]
    assert capsys.readouterr().out == "nothing to remove: no artifact and no link of these tasks is there.\n"


def test_what_cannot_be_removed_is_one_message_and_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    cleaned: list[str] = []
    assert run_doit(tmp_path, tasks(cleaned), "clean", "encode", "export") == 1
    assert cleaned == ["encode"]  # the rest is removed all the same
    assert capsys.readouterr().out == "export: in use. Close it.\n"


def test_a_dry_run_removes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    cleaned: list[str] = []
    assert run_doit(tmp_path, tasks(cleaned), "clean", "--dry-run", "encode") == 0
    assert cleaned == []
    assert capsys.readouterr().out == "would be removed, if it is there: encode\n"


def test_where_nothing_can_be_printed_all_is_removed_and_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    tasks = [
        {"basename": name, "actions": [], "clean": [lambda name=name: print(f"removed: {name}")]}
        for name in ("encode", "denoise")
    ]
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", FullStream())
        assert run_doit(tmp_path, tasks, "clean", "encode", "denoise") == 1
    assert capsys.readouterr().err == f"{UNPRINTED} Done all the same: removed: encode, denoise.\n"
