"""What dodo.py gets from a command, and how its errors are shown."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from doit import doit_cmd
from doit.exceptions import TaskFailed

from stages.commands.invocation import Invocation, as_task_action, current_invocation, exit_on_error, invoking
from stages.errors import ParamsError, StoreError

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
        "note: these are doit's own commands, because doit reads its settings in the current folder alone. They "
        "remember nothing that `ignore` is told. Run doit in the folder of dodo.py for those of this project; where "
        "that has no doit.cfg, `python -m stages.new --update .` writes it.\n"
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
