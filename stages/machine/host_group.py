"""Which hosts compute together with this one, known without JAX: they do the same jobs, and none waits for another.

host_discovery.py knows more, and loads JAX.
"""

import subprocess
from collections.abc import Callable, Sequence
from functools import cache

from stages.machine.device_files import TPU_FILES, find_device_files
from stages.machine.lifeline import run_module

ONE_HOST, AUTO = "one", "auto"  # values of machine.hosts; the third form is "<address>:<port> <index>/<count>"
_TIMEOUT_S = 600  # Cloud TPU is asked over the network, where hosts that are just starting wait for the first
_ASK = "stages.machine.host_discovery"  # as a program it prints the group of this host


def find_group(
    setting: str, *, platform: str, files: Sequence[str] | None = None, say: Callable[[str], None] = lambda _what: None
) -> str:
    """A name that is the same on all hosts that compute together, and "" for a host that computes by itself.

    Args:
        setting: machine.hosts, as request/tables.py has checked it.
        platform: machine.platform.
        files: of this machine's accelerators; None: those in /dev.
        say: called with what happens, before something that can take minutes.
    Returns:
        Of hosts that are named, their number and the port of the first: each may reach it by another address.
    """
    if setting == ONE_HOST or (setting == AUTO and platform == "cpu"):
        return ""
    if setting != AUTO:
        server, position = setting.split()
        count = int(position.partition("/")[2])
        return f"{server.rpartition(':')[2]}/{count}" if count > 1 else ""
    if not any(file.startswith(TPU_FILES) for file in (find_device_files() if files is None else files)):
        return ""
    if not _ask_cloud_tpu.cache_info().currsize:
        say("asking Cloud TPU which hosts compute together")
    return _ask_cloud_tpu()


@cache  # it takes a second, and the answer is that of the machine
def _ask_cloud_tpu() -> str:
    """What Cloud TPU says; "" where it says nothing: then the stage finds that out, too, and has a message."""
    try:
        asked = run_module(_ASK, timeout_s=_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""
