"""One process at a time on an accelerator. The locks are real; the accelerators are names."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from stages.errors import MeshError
from stages.machine.device_lock import hold_devices, name_locks
from stages.machine.holder import Holder
from tests.builders import as_another_user, let_others_in

GPUS = ["/dev/nvidia0", "/dev/nvidia1"]
TPUS = [f"/dev/accel{number}" for number in range(4)]
NAMES = ["tpu-0", "tpu-1"]
_HOLD = """
import sys
from pathlib import Path
from stages.machine.device_lock import hold_devices
hold_devices(sys.argv[2:], lambda name, holder: print("waits for", name, holder, flush=True), folder=Path(sys.argv[1]))
hold_devices(sys.argv[2:], lambda name, holder: sys.exit("it waits for itself"), folder=Path(sys.argv[1]))
print("has them", flush=True)
sys.stdin.read()
"""


class WaitedFor(Exception):  # noqa: N818 (it ends the waiting)
    """Raised in place of waiting."""


def refuse_to_wait(name: str, holder: Holder | None) -> None:
    raise WaitedFor(name, holder)


@contextmanager
def process(folder: Path, *names: str, prefix: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[str]]:
    command = [*prefix, sys.executable, "-c", _HOLD, str(folder), *names]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        yield started
        started.kill()


def next_line(started: subprocess.Popen[str]) -> str:
    assert started.stdout is not None
    return started.stdout.readline().rstrip("\n")


@pytest.mark.processes
def test_the_second_waits_and_sees_who_has_it_until_the_first_is_gone(tmp_path: Path):
    with process(tmp_path, *NAMES) as first:
        assert next_line(first) == "has them"
        with process(tmp_path, "tpu-1") as second:
            assert next_line(second).startswith(f"waits for tpu-1 {Holder.here().user} on ")
            assert f"(process {first.pid}, since " in next_line(second)
            first.kill()
            while (line := next_line(second)).startswith("waits for tpu-1"):
                pass
            assert line == "has them"


@pytest.mark.processes
def test_who_does_not_wait_learns_who_has_it(tmp_path: Path):
    with process(tmp_path, *NAMES) as first:
        assert next_line(first) == "has them"
        with pytest.raises(WaitedFor) as caught:
            hold_devices(NAMES, refuse_to_wait, folder=tmp_path)
        name, holder = caught.value.args
        assert (name, holder.process) == ("tpu-0", first.pid)


@pytest.mark.processes
def test_other_accelerators_of_the_machine_are_free(tmp_path: Path):
    with process(tmp_path, "gpu-0") as first, process(tmp_path, "gpu-1") as second:
        assert (next_line(first), next_line(second)) == ("has them", "has them")


@pytest.mark.processes
def test_another_user_waits_for_it_and_has_it_next(tmp_path: Path):
    other = as_another_user(12345)
    let_others_in(tmp_path)
    tmp_path.chmod(0o1777)
    with process(tmp_path, "tpu-0") as first:
        assert next_line(first) == "has them"
        with process(tmp_path, "tpu-0", prefix=other) as second:
            assert next_line(second).startswith("waits for tpu-0")
            first.kill()
            while (line := next_line(second)).startswith("waits for tpu-0"):
                pass
            assert line == "has them"
            with pytest.raises(WaitedFor) as caught:
                hold_devices(["tpu-0"], refuse_to_wait, folder=tmp_path)
            assert caught.value.args[1].user == "user 12345"


def test_what_is_in_the_place_of_a_lock_is_named(tmp_path: Path):
    path = tmp_path / "hunyuan-stages-tpu-0.lock"
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MeshError) as error:
        hold_devices(["tpu-0"], refuse_to_wait, folder=tmp_path)
    assert str(error.value) == (
        f"{path}: cannot be opened (Too many levels of symbolic links). Delete it, whatever it is."
    )
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(MeshError) as error:
        hold_devices(["tpu-0"], refuse_to_wait, folder=tmp_path)
    assert str(error.value) == f"{path}: cannot be opened (is a FIFO, not a file). Delete it, whatever it is."


@pytest.mark.parametrize(
    ("platform", "files", "variables", "names"),
    [
        ("cpu", [*TPUS, *GPUS], {}, []),
        ("tpu", [*TPUS, *GPUS], {}, ["tpu-0", "tpu-1", "tpu-2", "tpu-3"]),
        ("gpu", [*TPUS, *GPUS], {}, ["gpu-0", "gpu-1"]),
        ("tpu", ["/dev/vfio/0", "/dev/vfio/7"], {}, ["tpu-0", "tpu-7"]),
        ("tpu", ["/dev/vfio/0", "/dev/vfio/7"], {"TPU_VISIBLE_CHIPS": "1"}, ["tpu-7"]),
        ("gpu", ["/dev/nvidia2"], {}, ["gpu-2"]),
        ("gpu", ["/dev/nvidia2"], {"CUDA_VISIBLE_DEVICES": "0"}, ["gpu-2"]),
        (
            "gpu",
            [f"/dev/nvidia{number}" for number in (0, 10, 2)],
            {"CUDA_VISIBLE_DEVICES": "1, 2"},
            ["gpu-2", "gpu-10"],
        ),
        ("gpu", GPUS, {"CUDA_VISIBLE_DEVICES": "9" * 5000}, ["gpu-0", "gpu-1"]),
        ("gpu", GPUS, {"CUDA_VISIBLE_DEVICES": "\u0661"}, ["gpu-0", "gpu-1"]),
        ("gpu", ["/dev/kfd"], {}, ["gpu-0"]),
        ("tpu", [], {}, []),
        ("gpu", GPUS, {"CUDA_VISIBLE_DEVICES": "1"}, ["gpu-1"]),
        ("gpu", GPUS, {"CUDA_VISIBLE_DEVICES": "1,0"}, ["gpu-0", "gpu-1"]),
        ("gpu", GPUS, {"CUDA_VISIBLE_DEVICES": "GPU-8932f937"}, ["gpu-0", "gpu-1"]),
        ("gpu", GPUS, {"CUDA_VISIBLE_DEVICES": ""}, ["gpu-0", "gpu-1"]),
        ("gpu", GPUS, {"CUDA_VISIBLE_DEVICES": "7"}, ["gpu-0", "gpu-1"]),
        ("tpu", TPUS, {"TPU_VISIBLE_CHIPS": "2,3"}, ["tpu-2", "tpu-3"]),
        ("tpu", TPUS, {"CUDA_VISIBLE_DEVICES": "0"}, ["tpu-0", "tpu-1", "tpu-2", "tpu-3"]),
        ("auto", [*TPUS, *GPUS], {"JAX_PLATFORMS": "cpu"}, []),
        ("auto", [*TPUS, *GPUS], {"JAX_PLATFORMS": "cuda,cpu"}, ["gpu-0", "gpu-1"]),
        ("auto", TPUS, {"JAX_PLATFORMS": "tpu,cpu"}, ["tpu-0", "tpu-1", "tpu-2", "tpu-3"]),
        ("cpu", TPUS, {"JAX_PLATFORMS": "tpu"}, []),
        ("auto", GPUS, {}, []),  # JAX has no CUDA here, and computes on the CPU
    ],
)
def test_what_jax_would_open_is_locked(platform: str, files: list[str], variables: dict[str, str], names: list[str]):
    assert name_locks(platform, files, variables) == names


def test_a_tpu_is_locked_where_jax_can_open_it():
    pytest.importorskip("libtpu")
    assert name_locks("auto", TPUS, {}) == ["tpu-0", "tpu-1", "tpu-2", "tpu-3"]


def test_a_process_does_not_wait_for_itself_whatever_the_file_says(tmp_path: Path):
    """The file may be empty, as on a full disk, or be written by anybody."""
    path = tmp_path / "hunyuan-stages-tpu-0.lock"
    hold_devices(["tpu-0"], refuse_to_wait, folder=tmp_path)
    for text in ("", json.dumps(asdict(replace(Holder.here(), user="bob", process=1)))):
        path.write_text(text)
        hold_devices(["tpu-0"], refuse_to_wait, folder=tmp_path)


@pytest.mark.processes
def test_who_gives_up_waiting_can_wait_again(tmp_path: Path):
    """Its own open file does not count as a lock."""
    with process(tmp_path, "tpu-0") as first:
        assert next_line(first) == "has them"
        for _ in range(2):
            with pytest.raises(WaitedFor):
                hold_devices(["tpu-0"], refuse_to_wait, folder=tmp_path)


@pytest.mark.processes
def test_a_lock_that_says_it_is_this_process_is_still_that_of_another(tmp_path: Path):
    with process(tmp_path, "tpu-0") as first:
        assert next_line(first) == "has them"
        (tmp_path / "hunyuan-stages-tpu-0.lock").write_text(json.dumps(asdict(Holder.here())))
        with pytest.raises(WaitedFor):
            hold_devices(["tpu-0"], refuse_to_wait, folder=tmp_path)
