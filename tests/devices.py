"""Programs for devices that this process does not have: what there is is found out once, when a process starts."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from tests.project import PROJECT

EIGHT_DEVICES: Mapping[str, str] = MappingProxyType({
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_force_host_platform_device_count=8 --xla_cpu_use_fusion_emitters=false",
})  # fmt: skip
# The TPU compiler without a TPU, as fast as it goes: a fourth of the time for a denoise step on v5e. What a chip holds
# and what chips send each other is as in a run; temporaries take more room (of that step 0.73 GiB in place of 0.57).
TPU_COMPILER: Mapping[str, str] = MappingProxyType({
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "JAX_EXEC_TIME_OPTIMIZATION_EFFORT": "-1.0",
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "0",
})  # fmt: skip


def run_python(*command: str | Path, settings: Mapping[str, str]) -> str:
    """What `python *command` prints with these variables, in the project's folder; it must succeed."""
    result = subprocess.run(
        [sys.executable, *command],
        env=os.environ | {"PYTHONPATH": str(PROJECT)} | settings,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout
