"""A run of doit by fork is what a new process makes of it."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.project import DOIT, copy_project, environment, run_doit
from tests.warm_doit import WarmDoit, warm_doit

pytestmark = pytest.mark.processes


@pytest.mark.parametrize(
    "arguments",
    [["list"], ["help"], ["nope"], ["denoise.sed=1"], ["tabcompletion", "--shell", "zsh"], ["info", "demo"]],
)
def test_it_prints_the_same_and_ends_the_same(tmp_path: Path, arguments: list[str]):
    root = copy_project(tmp_path)
    assert warm_doit().can_run(root, environment())
    command = [*DOIT, *arguments]
    new = subprocess.run(command, cwd=root, env=environment(), capture_output=True, text=True, check=False)
    forked = run_doit(root, *arguments)
    assert (forked.returncode, forked.stdout, forked.stderr) == (new.returncode, new.stdout, new.stderr)


def test_with_another_environment_or_a_package_of_its_own_there_is_a_new_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert warm_doit().can_run(tmp_path, environment())
    monkeypatch.setenv("HF_HOME", "/nowhere")
    assert not warm_doit().can_run(tmp_path, environment())
    monkeypatch.undo()
    (tmp_path / "stages").mkdir()
    assert not warm_doit().can_run(tmp_path, environment())


def test_variables_that_a_library_sets_without_python_do_not_reach_it(tmp_path: Path):
    program = "import os; print('SET_IN_C' in os.environ); task_one = lambda: {'actions': []}\n"
    (tmp_path / "dodo.py").write_text(program)
    os.putenv("SET_IN_C", "1")  # as libtpu does, once a test in this process has loaded it
    try:
        assert WarmDoit().run(tmp_path, ["list"]).stdout == "False\none   \n"
    finally:
        os.unsetenv("SET_IN_C")
