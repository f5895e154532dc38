"""The protocol of what starts jobs."""

from pathlib import Path

from stages.run.runner import Runner
from stages.run.worker import Workers


def test_processes_of_this_machine_are_a_runner(tmp_path: Path):
    runner: Runner = Workers(tmp_path, tmp_path / "logs")
    runner.close()
    assert not (tmp_path / "logs").exists()  # nothing was started
