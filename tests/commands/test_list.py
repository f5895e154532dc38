"""`doit list` is doit's own; what stops it is in test_one_message.py."""

from pathlib import Path

import pytest

from tests.commands.doit_here import run_doit


def test_tasks_are_listed_with_what_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run_doit(tmp_path, [{"basename": "encode", "actions": [], "doc": "the encode stage"}], "list") == 0
    assert capsys.readouterr().out.split() == ["encode", "the", "encode", "stage"]
