"""What `doit info` says."""

from pathlib import Path

import pytest

from tests.commands.doit_here import run_doit


class Answer:
    """Stands where the store's freshness stands: an object that doit asks and prints."""

    def __init__(self, is_fresh: bool) -> None:
        self.is_fresh = is_fresh

    def __call__(self) -> bool:
        return self.is_fresh

    def __repr__(self) -> str:
        return "the store: encode:1 is forgotten"


def test_the_reason_of_the_store_is_a_line_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tasks = [{"basename": "encode", "actions": [], "uptodate": [Answer(False)], "targets": [tmp_path / "x"]}]
    assert run_doit(tmp_path, tasks, "info", "encode") == 1  # as doit's own: the task would run
    output = capsys.readouterr().out
    assert "status     : run\n * the store: encode:1 is forgotten\n" in output
    assert f" * The following targets do not exist:\n    - {tmp_path / 'x'}\n" in output
    assert "args=" not in output


def test_a_fresh_task_needs_no_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tasks = [{"basename": "encode", "actions": [], "uptodate": [Answer(True)]}]
    assert run_doit(tmp_path, tasks, "info", "encode") == 0
    output = capsys.readouterr().out
    assert "status     : up-to-date" in output
    assert "the store" not in output
