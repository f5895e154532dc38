"""Whether a store's folders can take what a run will write."""

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.store.folders import find_folder_faults
from tests.builders import NOBODY, acting_as_nobody, as_another_user, let_others_in
from tests.mounts import fill, mounted, use_up_inodes

STAGES = ("encode", "denoise")
ELSEWHERE = "set `artifacts` in params/machine.toml to another folder."


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


def find(root: Path) -> list[str]:
    return find_folder_faults(root, STAGES, links=root / "videos")


def test_a_new_store_gets_its_empty_folders_and_nothing_else(root: Path):
    for _ in range(2):
        assert find(root) == []
        assert {path.name for path in root.iterdir()} == {".lock", ".drafts", "encode", "denoise", "videos"}
        assert [*root.glob("*/*")] == []


def test_in_a_store_of_several_users_all_folders_are_for_all_of_them(root: Path):
    root.mkdir()
    root.chmod(0o777)
    before = os.umask(0o022)
    try:
        assert find(root) == []
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in root.iterdir() if path.is_dir()}
    assert modes == dict.fromkeys((".drafts", "encode", "denoise", "videos"), 0o777)


def test_a_store_that_cannot_be_synced_is_named(root: Path):
    root.mkdir()
    root.chmod(0o333)
    with acting_as_nobody(root):
        assert find(root) == [
            f"{root}: cannot be written (Permission denied). Make room or fix its permissions, or {ELSEWHERE}"
        ]


def test_where_nothing_will_be_made_nothing_is_tried(root: Path):
    assert find_folder_faults(root, ()) == []
    assert not root.exists()


def test_several_runs_ask_at_the_same_time(root: Path):
    found: list[list[str]] = []
    threads = [threading.Thread(target=lambda: found.append(find(root))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[]] * 16
    assert [*root.glob("*/*")] == []


@pytest.mark.parametrize("make", [Path.touch, lambda place: place.symlink_to("nowhere"), os.mkfifo])
def test_what_is_no_folder_is_named_each(root: Path, make: Callable[[Path], None]):
    root.mkdir()
    for name in ("encode", "videos"):
        make(root / name)
    assert find(root) == [
        f"{root}/{name}: is no folder. Move away what is in its place." for name in ("encode", "videos")
    ]


def test_a_file_in_place_of_the_drafts_is_one_message(root: Path):
    root.mkdir()
    (root / ".drafts").write_text("")
    (fault,) = find(root)
    assert fault.startswith(f"{root}/.drafts: cannot be written (")
    assert fault.endswith("). Set `artifacts` in params/machine.toml to a folder that can.")


def test_what_is_in_place_of_the_store_is_said_once(root: Path):
    root.write_text("")
    assert find(root) == [f"{root}: is a file, and not a folder. Move it away, or {ELSEWHERE}"]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (os.mkfifo, "is a FIFO, not a file"),
        (Path.mkdir, "Is a directory"),
        (lambda lock: lock.symlink_to("nowhere"), "is a link to nothing"),
        (lambda lock: lock.symlink_to(lock.name), "Too many levels of symbolic links"),
    ],
    ids=["FIFO", "folder", "link to nothing", "link to itself"],
)
def test_what_is_no_lock_in_its_place_is_named(root: Path, make: Callable[[Path], None], reason: str):
    root.mkdir()
    make(root / ".lock")
    assert find(root) == [f"{root}/.lock: cannot be locked ({reason}). Delete what is in its place: it is made again."]


def test_a_file_in_place_of_the_logs_is_named(root: Path):
    root.mkdir()
    (root / "logs").write_text("")
    assert find(root) == [f"{root}/logs: is no folder. Move away what is in its place."]


def test_logs_that_cannot_be_written_are_named(root: Path):
    root.mkdir()
    with mounted(root / "logs", "ro"):
        assert find(root) == [
            f"{root}/logs: cannot be written (Read-only file system). Make room or fix its permissions, or {ELSEWHERE}"
        ]
    assert find(root) == []
    assert [*(root / "logs").iterdir()] == []


def test_a_stage_on_another_file_system_is_named(root: Path, tmp_path: Path):
    root.mkdir()
    with mounted(tmp_path / "other", "size=1m") as other:
        (root / "denoise").symlink_to(other)
        assert find(root) == [
            f"{root}/denoise: is on another file system than the drafts of {root}, from which finished artifacts are "
            f"moved into it. Keep the whole store on one: {ELSEWHERE}"
        ]
        assert [*other.iterdir()] == []


def test_links_to_videos_may_be_on_another_file_system(root: Path, tmp_path: Path):
    root.mkdir()
    with mounted(tmp_path / "other", "size=1m") as other:
        (root / "videos").symlink_to(other)
        assert find(root) == []


def test_what_may_only_be_read_is_named(root: Path):
    with mounted(root / "videos", "ro"):
        assert find(root) == [
            f"{root}/videos: cannot be written (Read-only file system). Make room or fix its permissions, or "
            f"{ELSEWHERE}"
        ]
    with mounted(root, "ro"):
        (fault,) = find(root)
    assert fault == f"{root}: is on a read-only file system. Mount it for writing, or {ELSEWHERE}"


def test_a_file_system_without_inodes_is_named_once(root: Path):
    with mounted(root, "size=1m,nr_inodes=30"):
        assert find(root) == []
        use_up_inodes(root)
        assert find(root) == [
            f"{root}/.drafts: cannot be written (No space left on device). Set `artifacts` in params/machine.toml to a "
            "folder that can."
        ]
        for number in range(2):  # for a draft and its lock
            (root / f"file{number}").unlink()
        assert find(root) == [
            f"{root}/.drafts: cannot be written (No space left on device: there are no inodes left). Make room or fix "
            f"its permissions, or {ELSEWHERE}"
        ]


def test_a_full_file_system_is_named(root: Path):
    with mounted(root, "size=1m"):
        assert find(root) == []
        fill(root)
        assert find(root) == [
            f"{root}/.drafts: cannot be written (No space left on device). Make room or fix its permissions, or "
            f"{ELSEWHERE}"
        ]


def ask_as_nobody(root: Path, *replaced: Path) -> list[str]:
    """What a user without rights is told, of the stage denoise."""
    other = as_another_user(NOBODY)
    program = (
        "import sys; from pathlib import Path; from stages.store.folders import find_folder_faults\n"
        "root, *replaced = map(Path, sys.argv[1:])\n"
        "print(*find_folder_faults(root, ['denoise'], replaced=replaced), sep='\\n')"
    )
    for folder in root.parents:
        if folder.is_relative_to("/tmp") and folder != Path("/tmp"):  # noqa: S108 (where pytest keeps its folders)
            folder.chmod(folder.stat().st_mode | 0o111)
    command = [*other, sys.executable, "-c", program]
    done = subprocess.run([*command, str(root), *map(str, replaced)], capture_output=True, text=True, check=False)
    if done.returncode != 0 and "Permission denied" in done.stderr:
        pytest.skip("another user may not read this checkout or this Python")
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1] if done.stdout != "\n" else []


def test_two_users_of_a_sticky_store_ask_at_the_same_time(root: Path):
    let_others_in(root)
    root.mkdir()
    root.chmod(0o1777)
    program = """
import os, pathlib, sys
from stages.store.folders import find_folder_faults
os.umask(0o022)
for _ in range(100):
    for fault in find_folder_faults(pathlib.Path(sys.argv[1]), ["encode", "denoise"]):
        print(fault)
"""
    command = [*as_another_user(NOBODY), sys.executable, "-c", program, str(root)]
    faults: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        while other.poll() is None:
            faults += find(root)
        assert (other.stdout.read(), other.returncode) == ("", 0)
    assert faults == []


def test_another_users_stage_folder_is_named(root: Path):
    (root / "denoise").mkdir(parents=True)
    root.chmod(0o777)
    assert ask_as_nobody(root) == [
        f"{root}/denoise: cannot be written (Permission denied). Make room or fix its permissions, or {ELSEWHERE}"
    ]


@pytest.mark.parametrize(("mode", "is_kept"), [(0o777, False), (0o1777, True)])
def test_another_users_artifact_in_a_sticky_folder_cannot_be_replaced(root: Path, mode: int, is_kept: bool):
    artifact = root / "denoise" / ("a" * 32)
    artifact.mkdir(parents=True)
    artifact.chmod(0o777)
    root.chmod(0o777)
    artifact.parent.chmod(mode)
    message = (
        f"{artifact}: is to be made again, but cannot be replaced: it belongs to another user (id 0) or may not be "
        f"changed. Ask its owner to remove it, or {ELSEWHERE}"
    )
    assert ask_as_nobody(root, artifact) == ([message] if is_kept else [])
    artifact.chmod(0o755)  # moving it to another folder changes it
    assert ask_as_nobody(root, artifact) == [message]
