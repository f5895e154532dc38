"""Whether a disk has room for a run."""

from pathlib import Path

import pytest

from stages.machine.kept_programs import FOLDER
from stages.run.disk_space import Need, find_shortages, peak_bytes
from tests.mounts import mounted, use_up_inodes

MIB = 2**20
ELSEWHERE = "set `artifacts` in params/machine.toml to a folder on another disk."


@pytest.mark.parametrize(
    ("needs", "peak"),
    [
        ([], 0),
        ([Need("encode", 3), Need("decode", 4)], 7),
        ([Need("encode", 3, 2), Need("decode", 4)], 5),
        ([Need("decode", 4), Need("encode", 3, 2)], 7),  # the old one is there as long as the new one is written
        ([Need("decode", 4, 4)], 4),
        ([Need("decode", 1, 9), Need("decode", 2)], 1),
    ],
)
def test_an_old_payload_goes_when_the_new_one_is_whole(needs: list[Need], peak: int):
    assert peak_bytes(needs) == peak


def test_a_run_that_fits_is_not_refused(tmp_path: Path):
    needs = [Need("encode", MIB), Need("decode", 3 * MIB), Need("export", 0)]
    with mounted(tmp_path / "disk", "size=5m") as disk:
        assert find_shortages(disk / "artifacts", needs, downloads={disk / "hub/blob": MIB // 2}) == []
        assert find_shortages(disk, [], downloads={}) == []


def test_what_cannot_fit_is_said_with_what_takes_it(tmp_path: Path):
    needs = [Need("denoise", MIB), *[Need("decode", 3 * MIB)] * 2, Need("export", 0)]
    with mounted(tmp_path / "disk", "size=6m") as disk:
        store = disk / "not/there/yet"
        assert find_shortages(store, needs, downloads={}) == [
            f"{store}: has room for 6.00 MiB, and this run takes at least 7.00 MiB (1 x denoise: 1.00 MiB, 2 x decode: "
            f"6.00 MiB). Make room (`doit clean` removes artifacts), ask for fewer videos, or {ELSEWHERE}"
        ]
        assert find_shortages(store, needs[:2], downloads={disk / "hub/blob": 4 * MIB}) == [
            f"{store}: has room for 6.00 MiB, and this run takes at least 8.00 MiB (1 x denoise: 1.00 MiB, 1 x decode: "
            "3.00 MiB, downloads: 4.00 MiB). Make room (`doit clean` removes artifacts), ask for fewer videos, or "
            f"{ELSEWHERE}"
        ]


def test_compiled_programs_are_named_with_their_bytes_and_what_removes_them(tmp_path: Path):
    with mounted(tmp_path / "disk", "size=2m") as store:
        (store / FOLDER).mkdir()
        (store / FOLDER / "program").write_bytes(bytes(MIB))
        assert find_shortages(store, [Need("decode", 3 * MIB)], downloads={}) == [
            f"{store}: has room for 1.00 MiB, and this run takes at least 3.00 MiB (1 x decode: 3.00 MiB). Make room "
            "(`doit clean` removes artifacts; `doit gc --keep-programs 0` removes 1.00 MiB of compiled programs), ask "
            f"for fewer videos, or {ELSEWHERE}"
        ]


def test_downloads_to_another_disk_are_compared_with_that_disk(tmp_path: Path):
    with mounted(tmp_path / "disk", "size=2m") as disk:
        blobs = {disk / "hub/blobs/a": 2 * MIB, disk / "hub/blobs/b": MIB}
        assert find_shortages(tmp_path / "store", [Need("encode", 1)], downloads=blobs) == [
            f"{disk}/hub/blobs: has room for 2.00 MiB, and 3.00 MiB are to be downloaded. Make room, or set "
            "HF_HUB_CACHE to a folder on another disk."
        ]


def test_inodes_are_counted_too(tmp_path: Path):
    with mounted(tmp_path / "disk", "size=2m,nr_inodes=20") as disk:  # of which the disk itself has one
        assert find_shortages(disk, [Need("encode", 1)] * 4, downloads={}) == []
        assert find_shortages(disk, [Need("encode", 1)] * 5, downloads={}) == [
            f"{disk}: has room for 19 more files (inodes), and this run makes 23. Make room (`doit clean` removes "
            f"artifacts), or {ELSEWHERE}"
        ]
        use_up_inodes(disk)
        (fault,) = find_shortages(disk, [Need("encode", 1, 1)], downloads={})
        assert fault.startswith(f"{disk}: has room for 0 more files (inodes), and this run makes 7. ")
