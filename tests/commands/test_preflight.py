"""`doit preflight` as it is typed."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from stages.pipeline.stages import Pipeline
from stages.preflight.questions import ask, describe_target
from stages.request.params import load_params
from tests.interrupts import interruptible_children
from tests.preflight_builders import build_figures, publish_answer, write_project
from tests.project import DOIT, HEAVY, environment, run_doit, watch_doit

pytestmark = pytest.mark.processes

SLICE = "v5e:2x4"
PATIENCE_S = 60  # on a busy machine
PLUGIN = '[tool.doit.plugins.command]\npreflight = "stages.commands.preflight:Preflight"\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project without a dodo.py, whose answers for SLICE are known."""
    write_project(tmp_path)
    (tmp_path / "pyproject.toml").write_text(PLUGIN)
    return tmp_path


def answer(root: Path, **figures: float) -> None:
    params = load_params(root, {}, Pipeline())
    for question in ask(params.videos["demo"], root, describe_target(SLICE, params.machine), mesh=params.machine.mesh):
        publish_answer(root, question, build_figures(**figures))


def test_the_json_is_all_of_stdout(root: Path):
    pytest.importorskip("libtpu")
    answer(root)
    done = run_doit(root, "preflight", "--json", "--topology", SLICE)
    found = json.loads(done.stdout)
    assert (done.returncode, found["topology"]) == (0, SLICE)
    assert [row["stage"] for row in found["rows"]] == ["denoise", "decode"]
    assert found["not_compiled"] == []


def test_a_decoder_that_is_not_compiled_is_in_the_json(root: Path):
    pytest.importorskip("libtpu")
    answer(root)
    found = json.loads(run_doit(root, "preflight", "--json", "--topology", SLICE, "decode.decoder=diffusers").stdout)
    assert [row["stage"] for row in found["rows"]] == ["denoise"]
    assert found["not_compiled"] == [{"stage": "decode", "videos": ["demo"], "decoder": "diffusers"}]


def test_options_may_stand_after_videos_and_parameters(root: Path):
    pytest.importorskip("libtpu")
    answer(root)
    done = run_doit(root, "preflight", "demo", "denoise.seed=7", f"--topology={SLICE}", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["topology"], {tuple(row["videos"]) for row in found["rows"]}) == (SLICE, {("demo",)})


def test_the_exit_code_is_1_when_something_does_not_fit(root: Path):
    pytest.importorskip("libtpu")
    answer(root, weights=20)
    done = run_doit(root, "preflight", "--topology", SLICE, "decode.decoder=diffusers")
    assert done.returncode == 1
    assert "denoise of demo does not fit, and nothing near it fits." in done.stdout


def test_the_exit_code_is_1_when_nothing_can_be_said(root: Path):
    done = run_doit(root, "preflight", "--topology", "v5e:2x5")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("MeshError: --topology v5e:2x5: not a slice of TPUs that preflight knows.")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("--topologie", SLICE), "option --topologie not recognized. Did you mean `--topology`?"),
        (("demo", "--topologie", SLICE), "option --topologie not recognized. Did you mean `--topology`?"),
        (("--topology",), "option --topology requires argument."),
        (("demo", "--topology"), "option --topology requires argument."),
        (("demo", "-t", SLICE), "option -t not recognized."),
    ],
)
def test_a_wrong_option_is_one_message_wherever_it_stands(root: Path, arguments: tuple[str, ...], fault: str):
    done = run_doit(root, "preflight", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"doit preflight: {fault} `doit help preflight` says what there is.\n"


@pytest.mark.parametrize("debug", [True, False])
def test_with_debug_the_traceback_behind_the_error_of_a_row_is_shown(root: Path, debug: bool):
    (root / "artifacts").mkdir()
    (root / "artifacts" / "logs").write_text("no folder")  # no process can be started
    done = run_doit(root, "preflight", "--json", *(["--debug"] if debug else []))
    assert done.returncode == 1
    assert len(json.loads(done.stdout)["rows"]) == 2
    assert done.stderr.count("FileExistsError") == 2 * debug


def test_the_help_names_the_exit_codes(root: Path):
    done = run_doit(root, "help", "preflight")
    assert "Exit code: 0 when all of it fits, 1 when something does not" in done.stdout


def test_asking_again_loads_nothing_heavy(root: Path):
    pytest.importorskip("libtpu")
    answer(root)
    code, _, loaded = watch_doit(root, "preflight", "--topology", SLICE)
    assert code == 0
    assert not loaded & HEAVY


def test_ctrl_c_is_one_message_and_leaves_no_process(root: Path):
    with interruptible_children():
        process = subprocess.Popen([*DOIT, "preflight"], cwd=root, env=environment(), stderr=subprocess.PIPE, text=True)
    with process:
        assert process.stderr is not None
        assert process.stderr.readline() == "denoise of demo: starting\n"
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read().splitlines()
    assert (process.returncode, rest[-1]) == (1, "interrupted. What had been found out is kept.")
    # one that was just being started notices that nobody waits for it when it has loaded what it needs
    deadline = time.monotonic() + PATIENCE_S
    while _is_running("stages.preflight", root):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _is_running(module: str, folder: Path) -> bool:
    """Whether a process with this module works in this folder."""
    for entry in Path("/proc").iterdir():
        try:
            if module in (entry / "cmdline").read_text() and (entry / "cwd").readlink() == folder:
                return True
        except OSError:
            continue  # it has ended, or is no process
    return False
