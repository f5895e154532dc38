"""The memory of this machine."""

import os
from pathlib import Path

import pytest

from stages.machine.host_memory import available_memory_bytes, host_memory_bytes
from tests.devices import run_python

PHYSICAL = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(
    ("limit", "expected"), [("1048576\n", 2**20), ("max\n", PHYSICAL), (f"{2 * PHYSICAL}\n", PHYSICAL), ("", PHYSICAL)]
)
def test_the_smaller_of_memory_and_limit_counts(tmp_path: Path, limit: str, expected: int):
    (tmp_path / "memory.max").write_text(limit)
    assert host_memory_bytes([tmp_path / "memory.max"]) == expected


def test_without_a_container_it_is_the_physical_memory(tmp_path: Path):
    assert host_memory_bytes([tmp_path / "memory.max"]) == PHYSICAL


def test_a_limit_of_the_process_counts():
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30));"
        "from stages.machine.host_memory import host_memory_bytes; print(host_memory_bytes())"
    )
    assert run_python("-c", code, settings={}) == f"{2**30}\n"


MEMINFO = "MemTotal:       24567 kB\nMemFree:          12 kB\nMemAvailable:     2048 kB\n"


@pytest.mark.parametrize("names", [("memory.max", "memory.current"), ("limit", "memory.usage_in_bytes")])
@pytest.mark.parametrize(
    ("limit", "used", "expected"),
    [
        ("max\n", "0\n", 2 << 20),
        ("3145728\n", "2097152\n", 1 << 20),
        ("9999999\n", "1\n", 2 << 20),
        (None, None, 2 << 20),
    ],
)
def test_what_is_available_is_what_the_system_and_the_container_leave(
    tmp_path: Path, names: tuple[str, str], limit: str | None, used: str | None, expected: int
):
    (tmp_path / "meminfo").write_text(MEMINFO)
    for name, text in zip(names, (limit, used), strict=True):
        if text is not None:
            (tmp_path / name).write_text(text)
    assert available_memory_bytes([tmp_path / names[0]], tmp_path / "meminfo") == expected


def test_where_the_system_does_not_say_what_is_available_all_counts(tmp_path: Path):
    assert available_memory_bytes([tmp_path / "memory.max"], tmp_path / "meminfo") == PHYSICAL


def test_less_is_available_here_than_there_is():
    assert 0 < available_memory_bytes() <= host_memory_bytes()


def test_memory_that_was_freed_goes_back_to_the_system():
    code = (
        "import ctypes; from pathlib import Path; from stages.machine.host_memory import return_freed_memory\n"
        "c = ctypes.CDLL(None); c.malloc.restype = ctypes.c_void_p; c.mallopt(-1, 2**30)\n"  # M_TRIM_THRESHOLD
        "def pages(): return int(Path('/proc/self/statm').read_text().split()[1])\n"
        "blocks = [c.malloc(2**16) for _ in range(2**10)]\n"
        "for block in blocks: ctypes.memset(block, 1, 2**16)\n"
        "for block in blocks: c.free(ctypes.c_void_p(block))\n"
        "kept = pages(); return_freed_memory(); print(kept - pages())"
    )
    assert int(run_python("-c", code, settings={})) * os.sysconf("SC_PAGE_SIZE") > 2**25
