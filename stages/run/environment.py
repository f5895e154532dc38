"""The environment of a stage's process: what in it would change results, or stop a stage, is taken out.

A key says what a result is made of, and says nothing of the environment; so nothing in it may decide what is made.
Owns which variables those are, and which others run.json notes; docs/decisions/0022 says how they were found. Loads
nothing heavy: torch and JAX read the environment once, when they are loaded.
"""

import os
import re
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from types import MappingProxyType

from stages.keys import JsonValue
from stages.run.job import Job, Run
from stages.run.report import Report

_FLAGS = "XLA_FLAGS"
_CHANGES = "it would change results, and a key says nothing of it"
_STOPS = "stages do not run with it"
_DEVICES = "machine.platform and JAX_PLATFORMS choose the devices"
# By name, why; whatever the value: the default is what results are made with.
_REMOVED: Mapping[str, str] = MappingProxyType({
    "DNNL_DEFAULT_FPMATH_MODE": _CHANGES,
    "JAX_ARRAY_GARBAGE_COLLECTION_GUARD": _STOPS,
    "JAX_DEFAULT_DEVICE": _DEVICES,
    "JAX_DEFAULT_MATMUL_PRECISION": _CHANGES,
    "JAX_DISABLE_JIT": _CHANGES,
    "JAX_ENABLE_X64": _CHANGES,
    "JAX_NO_EXECUTION": _STOPS,
    "JAX_NO_TRACING": _STOPS,
    "JAX_NUMPY_DTYPE_PROMOTION": _STOPS,
    "JAX_NUMPY_RANK_PROMOTION": _STOPS,
    "JAX_PLATFORM_NAME": _DEVICES,
    "JAX_TRANSFER_GUARD": _STOPS,
    "JAX_TRANSFER_GUARD_DEVICE_TO_DEVICE": _STOPS,
    "JAX_TRANSFER_GUARD_DEVICE_TO_HOST": _STOPS,
    "JAX_TRANSFER_GUARD_HOST_TO_DEVICE": _STOPS,
    "JAX_XLA_BACKEND": _DEVICES,
    "NVIDIA_TF32_OVERRIDE": _CHANGES,
    "ONEDNN_DEFAULT_FPMATH_MODE": _CHANGES,
})  # fmt: skip
_REMOVED_FLAGS: Mapping[str, str] = MappingProxyType({
    "xla_allow_excess_precision": _CHANGES,
    "xla_cpu_enable_fast_math": _CHANGES,
    "xla_cpu_enable_fast_min_max": _CHANGES,
    "xla_gpu_enable_fast_min_max": _CHANGES,
})  # fmt: skip
# As XLA reads them: apart by spaces, which quotes can hold. A value that does not begin with "-" is a file's name.
_FLAG = re.compile(r"""(?:[^\s'"]|'[^']*'|"[^"]*")+""")
# Variables that may change speed, memory or the last bits. Others can begin so, too: run.json is shared, and what may
# be a secret (NVIDIA_API_KEY, TF_VAR_password of Terraform, LD_SDK_KEY) never gets into it.
_NOTED = re.compile(
    r"(JAX|XLA|LIBTPU|TPU|CUDA|NVIDIA|OMP|MKL|KMP|TORCH|PYTORCH|ATEN|DNNL|ONEDNN|GOMP)_.*"
    r"|TF_(XLA|CPP|CUDNN|ENABLE|FORCE|DETERMINISTIC)_.*|LD_(PRELOAD|LIBRARY_PATH)"
)
_MAY_BE_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH", re.IGNORECASE)


def clean_environment(environment: MutableMapping[str, str] = os.environ) -> list[str]:
    """Take out what would change results or stop a stage.

    Args:
        environment: of this process, before it has loaded torch or JAX; it is changed.
    Returns:
        A sentence for each variable or flag that was taken out.
    """
    messages = []
    for name in sorted(_REMOVED.keys() & environment.keys()):
        messages.append(f"{name}={environment.pop(name)} in the environment is ignored: {_REMOVED[name]}.")
    return messages + _clean_flags(environment)


def _clean_flags(environment: MutableMapping[str, str]) -> list[str]:
    text = environment.get(_FLAGS, "")
    if text.strip() and not text.lstrip(" \t\r\n'\"").startswith("-"):
        del environment[_FLAGS]
        return [
            f"{_FLAGS}={text} in the environment is ignored: it names a file of flags, and some flags would change "
            "results. Write the flags themselves into the variable."
        ]
    flags = _FLAG.findall(text)
    removed = [flag for flag in flags if _name_of(flag) in _REMOVED_FLAGS]
    if removed:
        environment[_FLAGS] = " ".join(flag for flag in flags if flag not in removed)
    return [f"{flag} in {_FLAGS} is ignored: {_REMOVED_FLAGS[_name_of(flag)]}." for flag in removed]


def note_environment(run: Run, messages: Sequence[str], environment: Mapping[str, str] = os.environ) -> Run:
    """`run`, with these warnings at the first job, and for run.json the variables that libraries may have read."""
    unsent = [*messages]

    def noted(job: Job, draft: Path, report: Report) -> Mapping[str, JsonValue]:
        while unsent:
            report.warn(unsent.pop(0))
        details = run(job, draft, report)
        return {**details, "environment": {name: environment[name] for name in sorted(environment) if _is_noted(name)}}

    return noted


def _is_noted(name: str) -> bool:
    return _NOTED.fullmatch(name) is not None and _MAY_BE_SECRET.search(name) is None


def _name_of(flag: str) -> str:
    return flag.strip("'\"").partition("=")[0].removeprefix("--")
