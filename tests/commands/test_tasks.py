"""The tasks that a project's dodo.py gives to doit, and what they do."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stages.commands.invocation import Invocation
from stages.commands.tasks import Tasks, load_tasks
from stages.pipeline.stage import Program
from stages.run.job import Job
from stages.run.runner import Event
from stages.run.worker import Workers
from tests.builders import publish
from tests.chains import edit_settings
from tests.commands.doit_here import PROJECT
from tests.project import copy_checkpoint
from tests.run.fakes import FakeStore
from tests.run.test_screen import RecordingScreen
from tests.run.two_machines import Machines, Publishing, join, load, make_and_push


class OneResult(Workers):
    """Starts no process, and makes nothing, which is warned of."""

    def run(self, job: Job, observe: Callable[[Event], None], *, ahead: Program | None = None) -> Event:  # noqa: ARG002
        observe({"event": "phase", "name": "load"})
        return {"event": "result", "is_same_as_before": None, "wall_s": 1.0}


@pytest.fixture
def screen() -> RecordingScreen:
    return RecordingScreen()


@pytest.fixture
def params(tmp_path: Path) -> Path:
    """The folder of parameter files, which dodo.py reads below."""
    return Path(shutil.copytree(PROJECT / "params", tmp_path / "params"))


@pytest.fixture
def broken(params: Path) -> None:
    """A video `harbour` that cannot be made."""
    edit_settings(
        copy_checkpoint(params.parent / "model") / "scheduler/scheduler_config.json", _class_name="UniPCScheduler"
    )
    (params / "videos/harbour.toml").write_text('[model]\ncheckpoint = "model"\n[encode]\nprompt = "A boat."\n')


@pytest.fixture
def tasks(params: Path, screen: RecordingScreen) -> Tasks:
    """Those of an invocation with the screen above, and without processes."""
    tasks = load_tasks(params.parent, Invocation({"denoise.seed": "9"}, screen=screen))
    return replace(tasks, build=replace(tasks.build, runner=OneResult(params.parent, params.parent / "logs")))


def test_a_node_is_shown_on_the_screen_of_the_invocation(tasks: Tasks, screen: RecordingScreen):
    encode, node, *_ = tasks.build.graph.videos["demo"].values()
    publish(tasks.build.store, encode, code=tasks.build.code["stages.encode"])
    tasks.make(node)
    tasks.finish()
    assert screen.shown == [(node.title, ("demo",), "absent"), "phase", "warning", "result", "closed"]


def test_a_fresh_node_is_made_again_only_if_all_is(tasks: Tasks, screen: RecordingScreen):
    node = tasks.build.graph.videos["demo"]["encode"]
    publish(tasks.build.store, node, code=tasks.build.code["stages.encode"])
    tasks.make(node)
    assert screen.shown == []
    replace(tasks, demand=tasks.build.demand(is_always=True)).make(node)
    assert screen.shown == [(node.title, ("demo",), "fresh, but --always-execute"), "phase", "result"]


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    """Two, of which the first has made and pushed `demo`, and the other knows what it is."""
    pytest.importorskip("obstore", reason="the extra `remote` is not installed")
    machines = join(tmp_path)
    make_and_push(machines.one)
    build, exchange = load(machines.other)
    exchange.nodes.record(build.graph.all_nodes())
    return machines


def test_where_everything_is_made_again_nothing_is_fetched(machines: Machines, screen: RecordingScreen):
    runner = Publishing(FakeStore(), root=machines.one / "artifacts")
    tasks = load_tasks(machines.other, Invocation({}, is_always=True, screen=screen))
    tasks = replace(tasks, build=replace(tasks.build, runner=runner))
    for node in tasks.build.graph.all_nodes():
        tasks.make(node)
    assert runner.made == ["encode", "denoise", "decode", "export"]


def test_for_what_is_fetched_no_process_is_started_ahead(machines: Machines, screen: RecordingScreen):
    tasks = load_tasks(machines.other, Invocation({}, screen=screen))
    nodes = tasks.build.graph.videos["demo"]
    names = [*(node.title for node in nodes.values()), "demo"]
    tasks.begin(names, ())
    assert tasks.demand.is_fetched(nodes["export"])
    assert tasks.ahead.after(nodes["encode"]) is None


@pytest.mark.usefixtures("broken")
def test_for_a_video_that_cannot_be_made_nothing_is_started_ahead(tasks: Tasks):
    (demo, *_), harbour = tasks.build.graph.videos["demo"].values(), tasks.build.graph.videos["harbour"].values()
    names = [demo.title, *(node.title for node in harbour), "harbour"]
    faults, left = tasks.begin(names, names)
    assert (faults.keys(), left) == ({"harbour"}, [demo.title])
    assert tasks.ahead.after(demo) is None


def test_what_the_overrides_say_is_built(tasks: Tasks):
    assert tasks.build.graph.videos["demo"]["denoise"].parameters["seed"] == 9


def test_they_know_nothing_of_doits_inside_and_of_the_command_line():
    text = (PROJECT / "stages/commands/tasks.py").read_text(encoding="utf-8")
    assert "invocation" in text
    assert not [word for word in ("argv", "doit_cmd", "_CMDLINE_VARS", "sys.modules", "--debug") if word in text]
