"""`doit report`."""

import re
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.commands.store_commands import run_command
from tests.interrupts import interruptible_children
from tests.project import DOIT, HEAVY, PROJECT, environment, watch_doit
from tests.report.reports import build_project, load, make


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "harbour"
    root.mkdir()
    build_project(root)
    make(load(root), "demo")
    monkeypatch.chdir(root)
    return root


def test_it_says_where_the_pages_are_and_what_was_written(root: Path, capsys: pytest.CaptureFixture[str]):
    assert run_command("report") == 0
    first = capsys.readouterr().out
    assert re.fullmatch(
        r"artifacts/report/index\.html: 1 video, 8 not made yet; \d+ files written, 0 as they were, in \d\.\d s\n",
        first,
    )
    assert (root / "artifacts/report/index.html").is_file()
    assert run_command("report") == 0
    assert ": 1 video, 8 not made yet; 0 files written, " in capsys.readouterr().out


def test_a_video_that_cannot_be_read_is_a_warning(root: Path, capsys: pytest.CaptureFixture[str]):
    make(load(root), "long", payload=b"no video")
    assert run_command("report") == 0
    captured = capsys.readouterr()
    assert "artifacts/report/index.html: 2 videos, 7 not made yet; " in captured.out
    assert captured.err.startswith("warning: long: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--port", "8080"), "doit report: --port 8080: is of --serve. Add that, or leave it out."),
        (("--serve", "--port", "0"), "doit report: --port 0: must be a number from 1 to 65535."),
        (("--serve", "--port", "http"), "doit report: --port http: must be a number from 1 to 65535."),
        (("demo",), "doit report: takes no names, and not demo. `doit help report` says what it takes."),
    ],
)
@pytest.mark.usefixtures("root")
def test_what_it_does_not_take_is_one_message(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
):
    assert run_command("report", *arguments) == 1
    assert capsys.readouterr() == ("", f"ParamsError: {message}\n")


def test_a_folder_that_cannot_be_written_is_one_message(root: Path, capsys: pytest.CaptureFixture[str]):
    (root / "artifacts/report").write_text("a file in its place")
    assert run_command("report") == 1
    assert capsys.readouterr().err == (
        f"StoreError: {root}/artifacts/report: File exists, so the report cannot be written. Fix that, and run "
        "`doit report` again.\n"
    )


@pytest.mark.processes
def test_it_is_served_until_ctrl_c(root: Path):
    (root / "dodo.py").write_bytes((PROJECT / "dodo.py").read_bytes())
    (root / "pyproject.toml").write_bytes((PROJECT / "pyproject.toml").read_bytes())
    with interruptible_children():
        process = subprocess.Popen(
            [*DOIT, "report", "--serve"], cwd=root, env=environment(), stdout=subprocess.PIPE, text=True
        )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        line = process.stdout.readline()
        match = re.fullmatch(r"(http://127\.0\.0\.1:\d+/)  \(ratings go to ratings\.json; Ctrl-C ends it\)\n", line)
        assert match is not None, line
        with urllib.request.urlopen(match[1], timeout=10) as answer:  # noqa: S310 (its own)
            page = answer.read()
        process.send_signal(signal.SIGINT)
        try:
            code = process.wait(timeout=20)
        finally:
            process.kill()  # or the end of the block would wait for ever
    assert code == 0
    assert b"<title>harbour</title>" in page


@pytest.mark.processes
def test_the_report_loads_nothing_heavy_itself_and_a_run_does_not_load_the_report(root: Path):
    for name in ("dodo.py", "pyproject.toml"):
        (root / name).write_bytes((PROJECT / name).read_bytes())
    code, _, modules = watch_doit(root, "report")
    assert code == 0
    assert not HEAVY & modules
    assert "jinja2" in modules
    code, _, modules = watch_doit(root, "list")
    assert code == 0
    assert not {"jinja2", "http.server"} & modules
