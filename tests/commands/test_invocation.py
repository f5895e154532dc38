"""What dodo.py gets from a command, and how its errors are shown."""

import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from doit import doit_cmd
from doit.exceptions import TaskFailed

from stages.commands.invocation import Invocation, as_task_action, current_invocation, exit_on_error, invoking
from stages.errors import ParamsError, StoreError
from stages.pipeline.stage import Program
from stages.run.job import Job
from stages.run.runner import Event
from stages.run.worker import Workers
from tests.builders import publish
from tests.chains import edit_settings
from tests.commands.doit_here import PROJECT
from tests.project import copy_checkpoint
from tests.run.test_screen import RecordingScreen

DEBUGGING = Invocation({}, is_debug=True)


def fail() -> None:
    raise StoreError("artifacts: full.")


def test_the_current_invocation_is_that_of_the_block():
    with invoking(DEBUGGING):
        assert current_invocation() is DEBUGGING
    assert not current_invocation().is_debug


def test_under_doits_own_commands_the_overrides_are_known(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doit_cmd, "_CMDLINE_VARS", {"denoise.seed": "2"})
    invocation = current_invocation()
    assert (invocation.overrides, invocation.is_debug, invocation.is_read_only) == ({"denoise.seed": "2"}, False, False)


def test_under_doits_own_commands_a_note_says_so(capsys: pytest.CaptureFixture[str]):
    current_invocation()
    assert capsys.readouterr().err == (
        "note: these are doit's own commands, because pyproject.toml is not read from another folder. They remember "
        "nothing that `ignore` is told. Run doit in the folder of dodo.py for those of this project.\n"
    )


def test_an_override_without_a_name_is_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doit_cmd, "_CMDLINE_VARS", {"": "3"})
    with pytest.raises(ParamsError, match="command line, =3: has no name"):
        current_invocation()


def test_an_error_of_dodo_py_ends_doit_with_its_message(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end, exit_on_error():
        fail()
    assert end.value.code == "StoreError: artifacts: full."
    assert capsys.readouterr().err == ""


def test_ctrl_c_in_dodo_py_ends_doit_with_a_message():
    with pytest.raises(SystemExit) as end, exit_on_error():
        raise KeyboardInterrupt
    assert end.value.code == "interrupted. Nothing had been started."


def test_with_debug_the_traceback_stands_before_the_message(capsys: pytest.CaptureFixture[str]):
    with invoking(DEBUGGING), pytest.raises(SystemExit), exit_on_error():
        fail()
    assert ", in fail\n" in capsys.readouterr().err


def test_an_action_that_raises_is_a_failed_task(capsys: pytest.CaptureFixture[str]):
    failure = as_task_action(fail)()
    assert isinstance(failure, TaskFailed)
    assert failure.message == "artifacts: full."
    assert capsys.readouterr().err == ""


def test_an_action_that_raises_nothing_is_done():
    assert as_task_action(lambda: None)() is None


def test_an_error_that_is_no_stages_error_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        as_task_action(lambda: print(1 / 0))()


def test_with_debug_the_traceback_of_an_action_is_shown_from_any_thread(capsys: pytest.CaptureFixture[str]):
    with invoking(DEBUGGING), ThreadPoolExecutor(1) as threads:
        threads.submit(as_task_action(fail)).result()
    assert ", in fail\n" in capsys.readouterr().err


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
def dodo(params: Path, screen: RecordingScreen, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """dodo.py, loaded by an invocation with the screen above, and without processes."""
    tmp_path = params.parent
    shutil.copy(PROJECT / "dodo.py", tmp_path)
    spec = spec_from_file_location("dodo", tmp_path / "dodo.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    with invoking(Invocation({"denoise.seed": "9"}, screen=screen)):
        spec.loader.exec_module(module)
    module.BUILD = replace(module.BUILD, runner=OneResult(tmp_path, tmp_path / "logs"))
    return module


def test_dodo_py_shows_a_node_on_the_screen_that_it_is_given(dodo: ModuleType, screen: RecordingScreen):
    encode, node, *_ = dodo.BUILD.graph.videos["demo"].values()
    publish(dodo.BUILD.store, encode, code=dodo.BUILD.code["stages.encode"])
    dodo.make(node)
    dodo.finish()
    assert screen.shown == [(node.title, ("demo",), "absent"), "phase", "warning", "result", "closed"]


def test_dodo_py_makes_a_fresh_node_again_only_if_all_is(
    dodo: ModuleType, screen: RecordingScreen, monkeypatch: pytest.MonkeyPatch
):
    node = dodo.BUILD.graph.videos["demo"]["encode"]
    publish(dodo.BUILD.store, node, code=dodo.BUILD.code["stages.encode"])
    dodo.make(node)
    assert screen.shown == []
    monkeypatch.setattr(dodo, "DEMAND", dodo.BUILD.demand(is_always=True))
    dodo.make(node)
    assert screen.shown == [(node.title, ("demo",), "fresh, but --always-execute"), "phase", "result"]


@pytest.mark.usefixtures("broken")
def test_for_a_video_that_cannot_be_made_dodo_py_starts_nothing_ahead(dodo: ModuleType):
    (demo, *_), harbour = dodo.BUILD.graph.videos["demo"].values(), dodo.BUILD.graph.videos["harbour"].values()
    names = [demo.title, *(node.title for node in harbour), "harbour"]
    faults, left = dodo.begin(names, names)
    assert (faults.keys(), left) == ({"harbour"}, [demo.title])
    assert dodo.AHEAD.after(demo) is None


def test_dodo_py_builds_what_the_overrides_say(dodo: ModuleType):
    assert dodo.BUILD.graph.videos["demo"]["denoise"].parameters["seed"] == 9


def test_dodo_py_knows_nothing_of_doits_inside_and_of_the_command_line():
    text = (PROJECT / "dodo.py").read_text(encoding="utf-8")
    assert "invocation" in text
    assert not [word for word in ("argv", "doit_cmd", "_CMDLINE_VARS", "sys.modules", "--debug") if word in text]
