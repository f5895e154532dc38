"""`doit stop`; real runs that are stopped are in tests/run/test_stopping.py."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stages.keys import Node
from stages.run.loading import load_build
from stages.run.stopping import StopWatch
from stages.store.leases import Leases
from tests.commands.store_commands import build_project, make, run_command
from tests.request.sweeps import write_sweep
from tests.store.leases_held import held

HOLDER = r"\S+ on \S+ \(process \d+, since [^)]*\)"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(build_project(tmp_path))
    return tmp_path


@pytest.fixture
def nodes(root: Path) -> dict[str, Node]:
    return make(root)


@contextmanager
def worked_on(store: Path, node: Node) -> Iterator[None]:
    """A node that another thread makes until it is asked to stop."""
    is_held, is_asked = threading.Event(), threading.Event()

    def work() -> None:
        watch = StopWatch(node, Leases(store), lambda _at_once: is_asked.set(), look_s=0.01)
        with held(store, node, ()), watch:
            is_held.set()
            assert is_asked.wait(60)

    worker = threading.Thread(target=work)
    worker.start()
    assert is_held.wait(60)
    yield
    worker.join()


def test_a_name_is_asked_for_with_what_is_being_made(
    root: Path, nodes: dict[str, Node], capsys: pytest.CaptureFixture[str]
):
    with held(root / "artifacts", nodes["denoise"], ()):
        assert run_command("stop") == 1
    assert re.fullmatch(
        r"ParamsError: doit stop: name what to stop: videos, tasks or keys\. "
        rf"Being made at present: {nodes['denoise'].title} \(demo\), by {HOLDER}\.\n",
        capsys.readouterr().err,
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dmo", "ParamsError: dmo: no such video, task or key. Did you mean `demo`? Nothing is being made at present."),
        ("demo", "StoreError: demo: is not being made at present. Nothing is being made at present."),
        ("abc", "ParamsError: abc: no such video, task or key. Nothing is being made at present."),
    ],
)
@pytest.mark.usefixtures("nodes")
def test_what_is_not_being_made_is_an_error(name: str, message: str, capsys: pytest.CaptureFixture[str]):
    assert run_command("stop", name) == 1
    assert capsys.readouterr() == ("", f"{message}\n")


def test_one_wrong_name_stops_nothing(root: Path, nodes: dict[str, Node], capsys: pytest.CaptureFixture[str]):
    with held(root / "artifacts", nodes["denoise"], ()):
        assert run_command("stop", "demo", "nobody") == 1
        assert [path.suffix for path in (root / "artifacts/.leases").iterdir()] == [".json"]
    assert "nobody: no such video" in capsys.readouterr().err


@pytest.mark.parametrize("how", ["video", "task", "key", "other parameters"])
def test_what_is_being_made_is_stopped_by_any_of_its_names(root: Path, how: str, capsys: pytest.CaptureFixture[str]):
    overrides = {"denoise.seed": "7"} if how == "other parameters" else {}
    node = load_build(root, overrides).graph.videos["demo"]["denoise"]
    typed = [f"{name}={value}" for name, value in overrides.items()]
    names = {"task": [node.title], "key": [node.key[:9]]}.get(how, ["demo", *typed])
    with worked_on(root / "artifacts", node):
        assert run_command("stop", *names) == 0
    command = " ".join(["doit", "demo", *typed])
    assert capsys.readouterr().out == (
        f"{node.title}: stopped; nothing half-made was kept.\n  `{command}` makes it, from there on.\n"
    )


def test_what_the_present_parameters_do_not_know_is_stopped_by_its_task(root: Path, capsys: pytest.CaptureFixture[str]):
    node = load_build(root, {"denoise.seed": "7"}).graph.videos["demo"]["denoise"]
    with worked_on(root / "artifacts", node):
        assert run_command("stop", node.title) == 0
    assert capsys.readouterr().out == f"{node.title}: stopped.\n"


def test_a_sweeps_name_stops_what_is_being_made_of_it(root: Path, capsys: pytest.CaptureFixture[str]):
    write_sweep(root, "denoise.seed = [1, 2]\n")
    node = load_build(root, {}).graph.videos["harbour-2"]["denoise"]
    with worked_on(root / "artifacts", node):
        assert run_command("stop", "harbour") == 0
    assert capsys.readouterr().out.startswith(f"{node.title}: stopped; ")


def test_a_draft_is_stopped_by_its_name_and_the_command_that_goes_on_is_its_own(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    node = load_build(root, {}, is_draft=True).graph.videos["demo"]["denoise"]
    with worked_on(root / "artifacts", node):
        assert run_command("stop", "demo.draft") == 0
    assert capsys.readouterr().out.endswith("\n  `doit draft demo` makes it, from there on.\n")
