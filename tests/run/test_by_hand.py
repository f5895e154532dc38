"""One node in the foreground, in a project whose latents come from a file, so that no model is needed."""

import os
import pty
import re
import signal
import subprocess
import sys
from bdb import BdbQuit
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from stages.run.by_hand import run_by_hand
from stages.run.job import Job
from stages.run.loading import load_build
from stages.run.report import Report
from stages.store.artifacts import Store
from tests.builders import publish
from tests.interrupts import interruptible_children
from tests.known_files import know_package
from tests.project import copy_params
from tests.request.sweeps import write_sweep
from tests.terminal import plain, run_on_terminal, seen

pytestmark = pytest.mark.processes

FILE = "denoise.from_file=latents.safetensors"


def write_project(root: Path) -> Path:
    know_package(copy_params(root))
    save_file({"latents": np.ones((1, 32, 3, 4, 4), np.float32)}, root / "latents.safetensors")
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_project(tmp_path)


def title_in(root: Path) -> str:
    """Of the node that is made from FILE."""
    return load_build(root, {"denoise.from_file": "latents.safetensors"}).graph.videos["demo"]["denoise"].title


def run(root: Path, program: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Start a program in a project's folder."""
    command = [sys.executable, "-m", f"stages.{program}", *arguments]
    return subprocess.run(command, cwd=root, input=stdin, capture_output=True, text=True, check=False)


def refusal(capsys: pytest.CaptureFixture[str], program: str, *overrides: str, video: str = "demo") -> str:
    """What is printed of a node that cannot be made, which is one message: nothing is loaded to make it."""
    code = run_by_hand(pytest.fail, f"stages.{program}", video, overrides, debug=False, pdb=False)
    printed = capsys.readouterr()
    assert (code, printed.out) == (1, "")
    return printed.err


@pytest.fixture(scope="module")
def made_twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[subprocess.CompletedProcess[str]]]:
    """A project's folder, and how two processes have ended that made the same node."""
    root = write_project(tmp_path_factory.mktemp("twice"))
    return root, [run(root, "from_file", "--video", "demo", FILE) for _ in range(2)]


def test_a_node_by_hand_is_published_and_fresh_for_doit(made_twice):
    root, (result, _) = made_twice
    assert result.returncode == 0, result.stderr
    build = load_build(root, {"denoise.from_file": "latents.safetensors"})
    node = build.graph.videos["demo"]["denoise"]
    assert build.verdict(node).is_fresh
    assert result.stdout == f"{build.store.payload(node.artifact)}\n"
    assert f"{node.title}  demo  (by hand)" in result.stderr


def test_a_fresh_node_is_made_again_and_compared(made_twice):
    _, (_, again) = made_twice
    assert "same bytes as before" in again.stderr


@pytest.mark.usefixtures("_in_root")
def test_what_it_reads_must_have_been_made(root: Path, capsys: pytest.CaptureFixture[str]):
    nodes = load_build(root, {"export.fps": "7"}).graph.videos["demo"]
    assert refusal(capsys, "export", "export.fps=7") == (
        f"StageError: {nodes['export'].title} reads {nodes['decode'].title}, which has not been made. "
        f"Make it first: `doit {nodes['decode'].title} export.fps=7`\n"
    )


@pytest.mark.usefixtures("_in_root")
def test_why_what_it_reads_cannot_stay_is_said(root: Path, capsys: pytest.CaptureFixture[str]):
    nodes = load_build(root, {}).graph.videos["demo"]
    store = Store(root / "artifacts")
    for stage in ("encode", "denoise", "decode"):
        publish(store, nodes[stage])
    store.remove(nodes["denoise"].artifact)
    why = "stale (the code of decode has changed; denoise is to be made)"
    assert f"{nodes['decode'].title}, which is {why}. Make it" in refusal(capsys, "export")


@pytest.mark.usefixtures("_in_root")
@pytest.mark.parametrize(
    ("video", "overrides", "message"),
    [
        ("x", [], "ParamsError: --video x: there is no params/videos/x.toml. There is: demo.\n"),
        (
            "demo",
            [],
            "ParamsError: --video demo: no part of it is made by stages.from_file. It is made so: "
            "encode by `python -m stages.encode`, denoise by `python -m stages.denoise`, "
            "decode by `python -m stages.decode`, export by `python -m stages.export`.\n",
        ),
        (
            "demo",
            ["denoise.sed=1"],
            "ParamsError: command line, denoise.sed = 1: no such parameter. Did you mean `denoise.seed`?\n",
        ),
        ("demo", ["seed"], "ParamsError: command line, seed: is not of the form stage.name=value.\n"),
    ],
)
def test_what_cannot_be_made_is_one_message(
    capsys: pytest.CaptureFixture[str], video: str, overrides: list[str], message: str
):
    assert refusal(capsys, "from_file", *overrides, video=video) == message


@pytest.mark.usefixtures("_in_root")
def test_of_a_sweep_one_video_has_to_be_named(root: Path, capsys: pytest.CaptureFixture[str]):
    write_sweep(root, "denoise.seed = [1, 2]\n")
    assert refusal(capsys, "from_file", video="harbour") == (
        "ParamsError: --video harbour: is a sweep. Name one of its videos: harbour-1, harbour-2.\n"
    )


def test_another_folder_than_a_projects_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert refusal(capsys, "from_file") == (
        f"ParamsError: {tmp_path}: holds no params/. Run this in the folder of dodo.py, as doit.\n"
    )


def test_a_message_ends_the_process_with_exit_code_one(root: Path):
    result = run(root, "from_file", "--video", "x")
    message = "ParamsError: --video x: there is no params/videos/x.toml. There is: demo.\n"
    assert (result.returncode, result.stdout, result.stderr) == (1, "", message)


def test_debug_shows_the_traceback_before_the_message(root: Path):
    result = run(root, "from_file", "--video", "x", "--debug")
    assert result.stderr.startswith("Traceback")
    assert result.stderr.splitlines()[-1].startswith("ParamsError: --video x")


def test_pdb_stops_where_the_error_happened(root: Path):
    save_file({"latents": np.full((1, 32, 3, 4, 4), np.nan, np.float32)}, root / "latents.safetensors")
    result = run(root, "from_file", "--video", "demo", FILE, "--pdb", stdin="p 'here', where\nq\n")
    assert result.returncode == 1
    assert "('here', PosixPath(" in result.stdout  # `where` is an argument of the function that refuses NaN
    assert not list(root.glob("artifacts/denoise/*"))


@pytest.fixture
def _in_root(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)


@pytest.mark.usefixtures("_in_root")
def test_a_fault_of_the_program_shows_its_traceback(root: Path, capsys: pytest.CaptureFixture[str]):
    def fail(_job: Job, _draft: Path, _report: Report) -> dict[str, str]:
        raise ZeroDivisionError

    assert run_by_hand(lambda: fail, "stages.from_file", "demo", [FILE], debug=False, pdb=False) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert not list(root.glob("artifacts/denoise/*"))


@pytest.mark.usefixtures("_in_root")
@pytest.mark.parametrize("end", [KeyboardInterrupt, BdbQuit], ids=["ctrl-c", "q at a breakpoint"])
def test_an_end_by_the_user_is_one_message(root: Path, capsys: pytest.CaptureFixture[str], end: type[BaseException]):
    def wait(_job: Job, _draft: Path, _report: Report) -> dict[str, str]:
        raise end

    assert run_by_hand(lambda: wait, "stages.from_file", "demo", [FILE], debug=False, pdb=True) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"interrupted. {title_in(root)}: nothing half-made was kept."
    assert not list(root.glob("artifacts/.drafts/*"))


INTERRUPTED = """
import ctypes, os, signal, sys, time
from pathlib import Path
from stages.run.by_hand import run_by_hand
def wait(_job, _draft, report):
    report.when_interrupted(lambda: print("saved", flush=True))
    print("working", flush=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        ctypes.CDLL(None).sleep(1)
sys.exit(run_by_hand(lambda: wait, "stages.from_file", "demo", [sys.argv[1]], debug=False, pdb=False))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_node_by_hand_is_saved_when_a_signal_ends_it(root: Path, number: signal.Signals):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with interruptible_children():
        process = subprocess.Popen([sys.executable, "-c", INTERRUPTED, FILE], cwd=root, **pipes)
    with process:
        assert process.stdout.readline() == "working\n"
        process.send_signal(number)
        output, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert set(output.splitlines()) == {"saved"}
    assert error.splitlines()[-1] == f"interrupted. {title_in(root)}: nothing half-made was kept."


def test_before_a_node_by_hand_begins_an_interrupt_says_that_nothing_had_been_started(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(root)
    assert run_by_hand(interrupt, "stages.from_file", "demo", [FILE], debug=False, pdb=False) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted. Nothing had been started."


def test_what_libraries_log_stands_above_the_board(root: Path):
    program = """
import logging, sys, time
from stages.run.by_hand import run_by_hand
def wait(_job, _draft, report):
    with report.phase("work"):
        time.sleep(1)
        for number in range(3):
            logging.getLogger("library").warning("line %d", number)
        time.sleep(1)
        raise OSError(5, "enough")
sys.exit(run_by_hand(lambda: wait, "stages.from_file", "demo", [sys.argv[1]], debug=False, pdb=False))
"""
    variables = {**os.environ, "TERM": "xterm"}
    code, written = run_on_terminal([sys.executable, "-c", program, FILE], cwd=root, variables=variables)
    assert code == 1
    assert re.findall(r"library: (line \d)$", seen(written), re.MULTILINE) == ["line 0", "line 1", "line 2"]
    assert "work" in plain(written)
    assert "work" not in seen(written)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_a_node_by_hand_gives_the_terminal_back(root: Path, number: signal.Signals):
    """The board is gone, and the cursor, which it leaves alone, stands below the message."""
    program = """
import sys, time
from stages.run.by_hand import run_by_hand
def wait(_job, _draft, report):
    with report.phase("work"):
        time.sleep(60)
sys.exit(run_by_hand(lambda: wait, "stages.from_file", "demo", [sys.argv[1]], debug=False, pdb=False))
"""
    terminal, stderr = pty.openpty()
    with interruptible_children():
        process = subprocess.Popen(
            [sys.executable, "-c", program, FILE], cwd=root, env={**os.environ, "TERM": "xterm"}, stderr=stderr
        )
    os.close(stderr)
    printed = b""
    while b"work" not in printed:
        printed += os.read(terminal, 1 << 12)
    process.send_signal(number)
    assert process.wait(30) == 1
    with suppress(OSError):  # how Linux says that nobody writes any more
        while more := os.read(terminal, 1 << 12):
            printed += more
    os.close(terminal)
    assert b"\x1b[?25l" not in printed
    assert printed.rpartition(b"\x1b[1A\x1b[J")[2].endswith(
        f"interrupted. {title_in(root)}: nothing half-made was kept.\r\n".encode()
    )
