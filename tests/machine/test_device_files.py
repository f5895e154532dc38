"""Accelerators are found by their files."""

from pathlib import Path

import pytest

from stages.machine.device_files import find_device_files


@pytest.mark.parametrize("name", ["accel0", "vfio/3", "nvidia0", "kfd"])
def test_an_accelerator_has_a_file(tmp_path: Path, name: str):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    assert find_device_files(tmp_path) == [str(tmp_path / name)]


@pytest.mark.parametrize("name", ["null", "vfio/vfio", "nvidiactl"])
def test_other_files_are_of_none(tmp_path: Path, name: str):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    assert find_device_files(tmp_path) == []
