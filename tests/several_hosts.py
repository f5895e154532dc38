"""Processes that join as if each ran on a host of its own."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from tempfile import TemporaryFile
from typing import IO

from tests.project import PROJECT

_WAIT_S = 240  # far above what a test needs; a process that waits for ever is killed


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def host_environment(*, num_devices: int) -> dict[str, str]:
    """The environment of a host with so many virtual devices."""
    # without the emitters of fusions a step compiles in half the time
    flags = f"--xla_force_host_platform_device_count={num_devices} --xla_cpu_use_fusion_emitters=false"
    return os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}


def run_on_hosts(
    program: str, arguments: list[list[str]], environments: list[Mapping[str, str]]
) -> list[subprocess.CompletedProcess[str]]:
    """`python -m program` with these arguments on each host, and how each ended."""
    with ExitStack() as stack:
        # files and no pipes: a host whose pipe is full would wait, and the others for it
        outputs = [[stack.enter_context(TemporaryFile("w+")) for _ in range(2)] for _ in arguments]
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", program, *own],
                cwd=PROJECT,
                env=dict(environment),
                stdout=stdout,
                stderr=stderr,
            )
            for own, environment, (stdout, stderr) in zip(arguments, environments, outputs, strict=True)
        ]
        try:
            for process in processes:
                process.wait(_WAIT_S)
        finally:
            for process in processes:
                process.kill()
        return [
            subprocess.CompletedProcess(process.args, process.returncode, *map(_read, files))
            for process, files in zip(processes, outputs, strict=True)
        ]


def _read(file: IO[str]) -> str:
    file.seek(0)
    return file.read()
