"""The memory of this machine."""

import os
from pathlib import Path

import pytest

from stages.machine.host_memory import host_memory_bytes

PHYSICAL = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(
    ("limit", "expected"), [("1048576\n", 2**20), ("max\n", PHYSICAL), (f"{2 * PHYSICAL}\n", PHYSICAL), ("", PHYSICAL)]
)
def test_the_smaller_of_memory_and_limit_counts(tmp_path: Path, limit: str, expected: int):
    (tmp_path / "memory.max").write_text(limit)
    assert host_memory_bytes(tmp_path / "memory.max") == expected


def test_without_a_container_it_is_the_physical_memory(tmp_path: Path):
    assert host_memory_bytes(tmp_path / "memory.max") == PHYSICAL
