"""What is taken out of the environment of a stage's process, and what is noted of the rest."""

from pathlib import Path

import pytest

from stages.keys import Node
from stages.models.checkpoint import Checkpoint
from stages.run.environment import clean_environment, note_environment
from stages.run.job import Job
from stages.run.report import Report
from tests.builders import CODE, build_job

CHANGES = "it would change results, and a key says nothing of it"
STOPS = "stages do not run with it"
DEVICES = "machine.platform and JAX_PLATFORMS choose the devices"


# Each is named on page 0022.
REMOVED = {
    "DNNL_DEFAULT_FPMATH_MODE": CHANGES,
    "JAX_ARRAY_GARBAGE_COLLECTION_GUARD": STOPS,
    "JAX_DEFAULT_DEVICE": DEVICES,
    "JAX_DEFAULT_MATMUL_PRECISION": CHANGES,
    "JAX_DISABLE_JIT": CHANGES,
    "JAX_ENABLE_X64": CHANGES,
    "JAX_NO_EXECUTION": STOPS,
    "JAX_NO_TRACING": STOPS,
    "JAX_NUMPY_DTYPE_PROMOTION": STOPS,
    "JAX_NUMPY_RANK_PROMOTION": STOPS,
    "JAX_PLATFORM_NAME": DEVICES,
    "JAX_TRANSFER_GUARD": STOPS,
    "JAX_TRANSFER_GUARD_DEVICE_TO_DEVICE": STOPS,
    "JAX_TRANSFER_GUARD_DEVICE_TO_HOST": STOPS,
    "JAX_TRANSFER_GUARD_HOST_TO_DEVICE": STOPS,
    "JAX_XLA_BACKEND": DEVICES,
    "NVIDIA_TF32_OVERRIDE": CHANGES,
    "ONEDNN_DEFAULT_FPMATH_MODE": CHANGES,
}


@pytest.mark.parametrize(("name", "reason"), REMOVED.items())
def test_a_variable_that_changes_or_stops_a_stage_is_taken_out_with_a_sentence(name: str, reason: str):
    environment = {name: "1", "HOME": "/home"}
    assert clean_environment(environment) == [f"{name}=1 in the environment is ignored: {reason}."]
    assert environment == {"HOME": "/home"}


@pytest.mark.parametrize(
    "flag",
    [
        "--xla_allow_excess_precision=false",
        "--xla_cpu_enable_fast_math",
        "--xla_cpu_enable_fast_min_max=true",
        "--xla_gpu_enable_fast_min_max=true",
        "'--xla_cpu_enable_fast_math=true'",
        '--xla_cpu_enable_fast_math="true"',
    ],
)
def test_a_flag_of_xla_that_changes_results_is_taken_out_of_the_others(flag: str):
    environment = {"XLA_FLAGS": f"--xla_dump_to='/a  b' {flag}  --xla_force_host_platform_device_count=2"}
    assert clean_environment(environment) == [f"{flag} in XLA_FLAGS is ignored: {CHANGES}."]
    assert environment == {"XLA_FLAGS": "--xla_dump_to='/a  b' --xla_force_host_platform_device_count=2"}


def test_a_file_of_flags_is_not_read():
    environment = {"XLA_FLAGS": "/etc/flags", "HOME": "/home"}
    assert clean_environment(environment) == [
        "XLA_FLAGS=/etc/flags in the environment is ignored: it names a file of flags, and some flags would change "
        "results. Write the flags themselves into the variable."
    ]
    assert environment == {"HOME": "/home"}


def test_what_changes_speed_or_says_more_stays_as_it_is():
    kept = {"XLA_FLAGS": "--xla_dump_to='/a  b'", "JAX_LOG_COMPILES": "1", "OMP_NUM_THREADS": "1", "JAX_PLATFORMS": ""}
    environment = dict(kept)
    assert clean_environment(environment) == []
    assert environment == kept


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return build_job(Node("denoise", {}, {}, {}), Checkpoint(tmp_path), tmp_path, CODE, {})


def test_warnings_come_with_the_first_job_and_run_json_has_what_libraries_may_read(job: Job):
    sent: list[str] = []
    report = Report(lambda event: sent.append(str(event["message"])))
    environment = {"JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "2", "HOME": "/home", "HF_TOKEN": "secret"}
    run = note_environment(lambda _job, _draft, _report: {"device": "cpu"}, ["one.", "two."], environment)
    details = [run(job, job.store, report) for _ in range(2)]
    assert sent == ["one.", "two."]
    assert details == 2 * [{"device": "cpu", "environment": {"JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "2"}}]


@pytest.mark.parametrize(
    "name",
    ["NVIDIA_API_KEY", "TF_VAR_password", "TF_TOKEN_app_terraform_io", "LD_SDK_KEY", "JAX_auth_header", "HF_HOME"],
)
def test_what_may_be_a_secret_is_not_noted(job: Job, name: str):
    run = note_environment(lambda *_: {}, [], {name: "secret", "TF_CPP_MIN_LOG_LEVEL": "2", "LD_PRELOAD": "x.so"})
    noted = run(job, job.store, Report(lambda _event: None))["environment"]
    assert noted == {"LD_PRELOAD": "x.so", "TF_CPP_MIN_LOG_LEVEL": "2"}
