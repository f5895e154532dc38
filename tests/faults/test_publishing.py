"""Whatever call of a writer fails, or is its last: the store holds nothing wrong, and the next writer succeeds."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stages.store.manifest import NOTE
from stages.store.stat_cache import STAT_CACHE
from tests.faults.shim import Shim
from tests.project import PROJECT

pytestmark = pytest.mark.processes


def run_until_it_passes(
    shim: Shim, *, error: int = 0, number: int = 0, is_sticky: bool = False
) -> list[dict[str, Any]]:
    """What was found of each try, the last of which met no fault."""
    arguments = [shim.library, shim.control, shim.folder, str(error), str(number), str(int(is_sticky))]
    variables = {**os.environ, **shim.variables(), "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-m", "tests.faults.publishing", *map(str, arguments)]
    result = subprocess.run(command, env=variables, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("error", "is_sticky"),
    [
        (errno.ENOSPC, True),
        (errno.EIO, False),
        *(
            pytest.param(error, is_sticky, marks=pytest.mark.faults)
            for error, is_sticky in [
                (errno.EIO, True),
                (errno.EDQUOT, True),
                (errno.EROFS, True),
                (errno.ENOSPC, False),
            ]
        ),
    ],
)
def test_a_disk_that_fails_at_any_call_leaves_nothing_wrong_and_the_next_try_succeeds(
    shim: Shim, error: int, is_sticky: bool
):
    tries = run_until_it_passes(shim, error=error, is_sticky=is_sticky)
    assert len(tries) > 30
    assert [each for each in tries if each["wrong"]] == []
    assert [each for each in tries if each["then"] or each["missing"]] == []
    assert tries[-1]["is_over"]
    assert not tries[-1]["raised"]


def test_whatever_could_not_be_written_is_an_error(shim: Shim):
    """But of the notes on payloads and the cache of stamps, which only save time."""
    tries = run_until_it_passes(shim, error=errno.ENOSPC)
    quiet = [Path(each["failed"]).name for each in tries if not each["raised"] and not each["is_over"]]
    assert quiet
    assert [name for name in quiet if not name.startswith((NOTE, STAT_CACHE))] == []


def test_a_writer_that_is_killed_at_any_call_leaves_nothing_wrong_and_no_draft(shim: Shim):
    tries = run_until_it_passes(shim, number=signal.SIGKILL)
    assert len(tries) > 30
    assert {each["raised"] for each in tries[:-1]} == {str(int(signal.SIGKILL))}
    assert [each for each in tries if each["wrong"] or each["left"]] == []
    assert [each for each in tries if each["then"] or each["missing"]] == []
