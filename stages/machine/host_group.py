"""Which hosts compute together with this one, known without JAX: they do the same jobs, and none waits for another.

host_discovery.py knows more, and loads JAX.
"""

import subprocess
import sys
from collections.abc import Sequence
from functools import cache

from stages.machine.device_files import find_device_files

ONE_HOST, AUTO = "one", "auto"  # values of machine.hosts; the third form is "<address>:<port> <index>/<count>"
_TPU_FILES = ("/dev/accel", "/dev/vfio/")
_TIMEOUT_S = 600  # Cloud TPU is asked over the network, where hosts that are just starting wait for the first
_ASK = "stages.machine.host_discovery"  # as a program it prints the group of this host


def find_group(setting: str, *, platform: str, files: Sequence[str] | None = None) -> str:
    """A name that is the same on all hosts that compute together, and "" for a host that computes by itself.

    Args:
        setting: machine.hosts, as request/tables.py has checked it.
        platform: machine.platform.
        files: of this machine's accelerators; None: those in /dev.
    Returns:
        Of hosts that are named, their number and the port of the first: each may reach it by another address.
    """
    if setting == ONE_HOST or (setting == AUTO and platform == "cpu"):
        return ""
    if setting != AUTO:
        server, position = setting.split()
        count = int(position.partition("/")[2])
        return f"{server.rpartition(':')[2]}/{count}" if count > 1 else ""
    is_tpu = any(file.startswith(_TPU_FILES) for file in (find_device_files() if files is None else files))
    return _ask_cloud_tpu() if is_tpu else ""


@cache  # it takes a second, and the answer is that of the machine
def _ask_cloud_tpu() -> str:
    """What Cloud TPU says; "" where it says nothing: then the stage finds that out, too, and has a message."""
    command = [sys.executable, "-m", _ASK]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""
