"""The devices that are compiled for."""

import os
import subprocess
import sys

import pytest

from stages.errors import MeshError
from stages.machine.host_memory import host_memory_bytes
from stages.preflight.target import find_target

FIND = """
import os, sys
from stages.preflight.target import find_target
target = find_target(sys.argv[1], "auto")
print(len(target.devices), target.devices[0].device_kind, target.limit_bytes / 2**30, os.environ["TPU_SKIP_MDS_QUERY"])
"""


def test_a_v4_chip_is_one_device_as_in_a_run():
    pytest.importorskip("libtpu")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "TPU_"))}
    command = [sys.executable, "-c", FIND, "v4:2x2x1"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "4 TPU v4 30.75 1"


def test_cpu_devices_share_the_hosts_memory():
    target = find_target("", "cpu")
    assert target.limit_bytes == host_memory_bytes() // len(target.devices)


def test_a_platform_that_is_not_here_is_one_message():
    with pytest.raises(MeshError, match='platform = "tpu": JAX finds no such device on this machine'):
        find_target("", "tpu")
