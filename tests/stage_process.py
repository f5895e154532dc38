"""A real stage process for tests of a stage's edge: jobs in on stdin, events out on stdout."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from stages.run.job import Job
from tests.builders import code_of
from tests.project import PROJECT

# Half the compile time, for programs that run once on a few cells.
_QUICK_COMPILER = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
_ENDINGS = ("result", "error")

Event = Mapping[str, Any]


class StageProcess:
    """`python -m stages.<stage>`, which serves one job after another until it is closed."""

    def __init__(self, stage: str, log: Path, environment: Mapping[str, str] = os.environ) -> None:
        self._program = stage
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"stages.{stage}"],
                cwd=PROJECT,
                env={**environment, **_QUICK_COMPILER},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
            )

    def run(self, job: Job) -> list[Event]:
        """Do a job, by the code as it is; all its events, the last of which is its result or its error.

        The error is as a user sees it, without its traceback.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(replace(job, code=code_of(self._program)).to_json() + "\n")
        self._process.stdin.flush()
        events = []
        for line in self._process.stdout:
            if not line.startswith("{"):
                continue  # the library by which hosts talk prints there
            events.append(json.loads(line))
            if events[-1]["event"] in _ENDINGS:
                events[-1].pop("traceback", None)  # of --debug; a new one with each line of code
                return events
        raise AssertionError("the process ended")

    def close(self) -> None:
        """Let the process end."""
        self._process.communicate()

    def kill(self) -> None:
        """End it; a job that it does raises."""
        self._process.kill()
