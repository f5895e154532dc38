"""What is loaded first of this project."""

import subprocess
import sys
from pathlib import Path

from tests.project import copy_project

_LOADED = """
import sys
import stages.commands.task_loader
print(*sorted(name for name in sys.modules if name.partition(".")[0] in ("stages", "pydantic")))
"""


def test_before_ctrl_c_is_one_line_nothing_that_takes_time_is_imported():
    done = subprocess.run([sys.executable, "-c", _LOADED], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        "stages", "stages.commands", "stages.commands.early_interrupt", "stages.commands.task_loader",
    ]  # fmt: skip


def test_it_prepares_the_process_of_every_command(tmp_path: Path):
    command = [sys.executable, "-m", "doit", "du", ""]
    done = subprocess.run(command, cwd=copy_project(tmp_path), capture_output=True, text=True, check=False)
    assert done.stderr.startswith('command line: an argument is empty ("").')
