"""`python -m stages.new` as it is typed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stages.new.command import main
from stages.new.folder import SETTINGS, make_project, template_files
from tests.project import DOIT, environment

WRONG = "python -m stages.new: {}. --help says what there is.\n"


def new(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A process of its own."""
    command = [sys.executable, "-m", "stages.new", *arguments]
    return subprocess.run(command, env=environment() | variables, capture_output=True, text=True, check=False)


@pytest.fixture(autouse=True)
def on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """This environment is the active one."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")


def test_it_says_the_two_next_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "my videos"
    main([str(folder)])
    assert capsys.readouterr() == (
        f"{folder}: a project with one video, demo. Next:\n\n  cd '{folder}'\n"
        "  doit   # makes artifacts/videos/demo.mp4\n",
        "",
    )


def test_where_a_shell_would_find_another_doit_the_next_command_is_this_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    main(["."])
    assert capsys.readouterr().out == (
        f".: a project with one video, demo. Next:\n\n  {sys.executable} -m doit   # makes artifacts/videos/demo.mp4\n"
    )


def test_a_home_folder_that_the_shell_left_to_it_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("HOME", str(tmp_path))
    main(["~/videos"])
    assert capsys.readouterr().out.startswith(f"{tmp_path}/videos: a project")


@pytest.mark.processes
def test_what_cannot_be_is_one_message_and_exit_code_1(tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    done = new(str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"ProjectError: {tmp_path}: is not empty: it holds file. Name a folder that is not there yet, or an empty "
        "one.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ([], "the following arguments are required: FOLDER"),
        ([""], 'FOLDER is empty (""); perhaps it is a shell variable without a value'),
        (["a", "b"], "unrecognized arguments: b"),
        (["--up", "a"], "unrecognized arguments: --up"),
    ],
)
def test_wrong_arguments_are_one_message_and_exit_code_1(
    capsys: pytest.CaptureFixture[str], arguments: list[str], fault: str
):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert (end.value.code, capsys.readouterr().err) == (1, WRONG.format(fault))


def test_nobodys_home_folder_is_one_message():
    with pytest.raises(SystemExit) as end:
        main(["~nobody-has-this-name/videos"])
    assert end.value.code == "ProjectError: ~nobody-has-this-name/videos: is nobody's home folder. Correct it."


def test_an_update_says_whether_something_was_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    make_project(tmp_path)
    main(["--update", str(tmp_path)])
    (tmp_path / SETTINGS).unlink()
    main(["--update", str(tmp_path)])
    assert capsys.readouterr().out == (
        f"{tmp_path}: doit.cfg is as it should be.\n{tmp_path}: doit.cfg is written anew.\n"
    )


def test_help_fits_a_terminal_of_80_columns(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    assert end.value.code == 0
    assert "  python -m stages.new ~/my-videos" in lines
    assert max(map(len, lines)) <= 80


@pytest.mark.processes
def test_a_console_that_has_no_such_characters_is_told_what_it_can_show(tmp_path: Path):
    done = new(str(tmp_path / "视频"), PYTHONIOENCODING="ascii:strict")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u89c6\\u9891: a project with one video, demo." in done.stdout


@pytest.mark.processes
def test_with_a_closed_stdout_nothing_is_written(tmp_path: Path):
    command = ["sh", "-c", '"$0" -m stages.new "$1" >&-', sys.executable, str(tmp_path / "videos")]
    done = subprocess.run(command, env=environment(), stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "stdout: is closed. Send it to a file with room, or to /dev/null.\n",
    )
    assert [*tmp_path.iterdir()] == []


@pytest.mark.processes
def test_what_nobody_can_read_is_an_error(tmp_path: Path):
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "stages.new", str(tmp_path / "videos")]
        done = subprocess.run(command, env=environment(), stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "what is printed cannot be written (No space left on device). Send it to a file with room, or to /dev/null.\n"
    )


@pytest.mark.processes
def test_a_command_that_came_after_the_project_is_named_with_what_makes_it_known(tmp_path: Path):
    make_project(tmp_path)
    settings = template_files()[SETTINGS].decode().replace("timings = stages.commands.timings:Timings\n", "")
    (tmp_path / SETTINGS).write_text(settings)
    command = [*DOIT, "timings"]
    old = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert (old.returncode, old.stdout) == (1, "")
    assert old.stderr == (
        "timings: a command that this project's settings do not name. `python -m stages.new --update .` writes "
        "doit.cfg anew, and then they do.\n"
    )
    assert new("--update", str(tmp_path)).returncode == 0
    later = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert later.returncode == 0, later.stderr
