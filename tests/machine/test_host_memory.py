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


def test_what_is_available_is_what_the_system_says(tmp_path: Path):
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemFree: 1 kB\nMemAvailable:    5 kB\n")
    assert available_memory_bytes(tmp_path / "meminfo") == 5 * 1024
    assert available_memory_bytes(tmp_path / "nothing") == host_memory_bytes()
    assert 0 < available_memory_bytes() <= host_memory_bytes()
