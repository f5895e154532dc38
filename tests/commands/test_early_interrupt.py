"""Ctrl-C before a command has begun."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stages.commands.early_interrupt import INTERRUPTED, end_on_interrupt, raise_on_interrupt
from tests.interrupts import interruptible_children
from tests.project import copy_project

# doit, which gets a Ctrl-C while it imports a module.
_WITH_CTRL_C = """
import os, signal, sys
module = sys.argv.pop(1)
def interrupt(event, arguments):
    if event == "import" and arguments[0] == module:
        os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(interrupt)
from doit.doit_cmd import DoitMain
sys.exit(DoitMain().run(sys.argv[1:]))
"""


@pytest.mark.parametrize("command", ["run", "list", "preflight"])
@pytest.mark.parametrize("module", ["pydantic", "stages.request.params"])
def test_ctrl_c_while_modules_are_imported_is_one_line(tmp_path: Path, module: str, command: str):
    root = copy_project(tmp_path)
    with interruptible_children():
        done = subprocess.run(
            [sys.executable, "-c", _WITH_CTRL_C, module, command], cwd=root, capture_output=True, text=True, check=False
        )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{INTERRUPTED}\n")


def test_once_a_command_runs_ctrl_c_is_an_exception_again():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        end_on_interrupt()
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        raise_on_interrupt()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL])
def test_where_somebody_else_decides_what_ctrl_c_does_that_stays(handler: signal.Handlers):
    before = signal.signal(signal.SIGINT, handler)
    try:
        end_on_interrupt()
        assert signal.getsignal(signal.SIGINT) is handler
        raise_on_interrupt()
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)
