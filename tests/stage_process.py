"""A real stage process for tests of a stage's edge: jobs in on stdin, events out on stdout."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from stages.run.job import Job
from tests.builders import code_of
from tests.project import PROJECT, environment

_ENDINGS = ("result", "error")
# Of each kind of variable that would change what a stage makes, or stop it, where machine.platform is "cpu"; and how
# the warnings begin that say that it is ignored.
HOSTILE: Mapping[str, str] = MappingProxyType({
    "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16",
    "JAX_DISABLE_JIT": "1",
    "JAX_ENABLE_X64": "1",
    "JAX_NUMPY_DTYPE_PROMOTION": "strict",
    "JAX_NUMPY_RANK_PROMOTION": "raise",
    "JAX_PLATFORMS": "tpu,cpu",
    "JAX_PLATFORM_NAME": "tpu",
    "JAX_TRANSFER_GUARD": "disallow",
    "XLA_FLAGS": "--xla_allow_excess_precision=false --xla_cpu_enable_fast_math=true",
})  # fmt: skip
IGNORED = (
    "JAX_DEFAULT_MATMUL_PRECISION=", "JAX_DISABLE_JIT=", "JAX_ENABLE_X64=", "JAX_NUMPY_DTYPE_PROMOTION=",
    "JAX_NUMPY_RANK_PROMOTION=", "JAX_PLATFORM_NAME=", "JAX_TRANSFER_GUARD=", "--xla_allow_excess_precision=",
    "--xla_cpu_enable_fast_math=",
)  # fmt: skip

Event = Mapping[str, Any]


class StageProcess:
    """`python -m stages.<stage>`, which serves one job after another until it is closed."""

    def __init__(self, stage: str, log: Path, environment: Mapping[str, str] = os.environ) -> None:
        self._program = stage
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"stages.{stage}"],
                cwd=PROJECT,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
            )

    def run(self, job: Job) -> list[Event]:
        """Do a job, by the code as it is; all its events, the last of which is its result or its error.

        The error is as a user sees it, without its traceback.
        """
        events = []
        for event in self.begin(job):
            events.append(event)
            if event["event"] in _ENDINGS:
                event.pop("traceback", None)  # of --debug; a new one with each line of code
                return events
        raise AssertionError("the process ended")

    def begin(self, job: Job) -> Iterator[dict[str, Any]]:
        """Pass a job on; its events as they come, until the process ends."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(replace(job, code=code_of(self._program)).to_json() + "\n")
        self._process.stdin.flush()
        # the library by which hosts talk prints there, too
        return (json.loads(line) for line in self._process.stdout if line.startswith("{"))

    def signal(self, number: int) -> None:
        """Send it a signal, and go on at once."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait until it has ended; its exit code."""
        return self._process.wait()

    def close(self) -> None:
        """Let the process end."""
        self._process.communicate()

    def kill(self) -> None:
        """End it; a job that it does raises."""
        self._process.kill()


def warnings_of(events: list[Event]) -> list[str]:
    """The messages of warnings among events, as far as the first "="."""
    messages = [str(event["message"]) for event in events if event["event"] == "warning"]
    return [message[: message.index("=") + 1] for message in messages]


_LIST_MODULES = """
import json, sys
from stages.run.program import main
try:
    main(f"stages.{sys.argv[1]}", ["--video", "demo"])
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(sorted(name for name, module in sys.modules.items() if module is not None)))
"""


def list_modules_of_node(root: Path, stage: str) -> set[str]:
    """The modules that a process has loaded when it has made the stage's node of the default video by hand."""
    command = [sys.executable, "-c", _LIST_MODULES, stage]
    made = subprocess.run(command, cwd=root, env=environment(), capture_output=True, text=True, check=True)
    return set(json.loads(made.stdout.splitlines()[-1]))
