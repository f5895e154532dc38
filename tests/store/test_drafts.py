"""Folders to write in, and who may rename."""

import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from stages.errors import StoreError
from stages.store.drafts import Drafts, make_durable
from tests.trees import make_deep


def left_in(root: Path) -> list[str]:
    return sorted(path.name for path in (root / ".drafts").iterdir())


def test_a_work_space_is_deleted_with_all_that_is_left_in_it(tmp_path: Path):
    with Drafts(tmp_path).new() as space:
        (space / "folder").mkdir()
        (space / "folder/file").write_text("x")
        assert len(left_in(tmp_path)) == 2
    assert left_in(tmp_path) == []


def test_what_a_killed_writer_has_left_is_swept_and_what_is_being_written_stays(tmp_path: Path):
    program = """
import os, signal, sys
from pathlib import Path
from stages.store.drafts import Drafts
from tests.trees import make_deep
with Drafts(Path(sys.argv[1])).new() as space:
    (space / "half").write_text("x")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False).returncode == -9
    spaces = Drafts(tmp_path)
    with spaces.new() as space:
        assert len(left_in(tmp_path)) == 4
        spaces.sweep()
        assert left_in(tmp_path) == [space.name, f"{space.name}.lock"]


def test_sweeping_nothing_creates_nothing(tmp_path: Path):
    Drafts(tmp_path / "store").sweep()
    assert not (tmp_path / "store").exists()


def test_a_shared_look_creates_nothing_and_waits_for_who_renames(tmp_path: Path):
    spaces, order = Drafts(tmp_path), []
    with pytest.raises(FileNotFoundError), spaces.shared():
        pass
    assert list(tmp_path.iterdir()) == []

    def look() -> None:
        with spaces.shared():
            order.append("look")

    thread = threading.Thread(target=look)
    with spaces.exclusive():
        thread.start()
        thread.join(0.2)
        order.append("rename")
    thread.join()
    assert order == ["rename", "look"]


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path):
    (tmp_path / ".drafts").write_text("a file")
    message = (
        rf"^{tmp_path}/.drafts: cannot be written \(File exists\). Set `artifacts` in params/machine.toml to a folder"
    )
    with pytest.raises(StoreError, match=message), Drafts(tmp_path).new():
        pass


def test_files_get_the_permissions_that_the_umask_asks_for(tmp_path: Path):
    folder = tmp_path / "artifact"
    folder.mkdir()
    (folder / "private").touch(0o600)
    make_durable(folder)
    assert stat.S_IMODE((folder / "private").stat().st_mode) == stat.S_IMODE(folder.stat().st_mode) & 0o666


def test_what_was_left_in_a_draft_goes_however_deep_it_is(tmp_path: Path):
    with Drafts(tmp_path).new() as space:
        make_deep(space / "folder", 1500)
    assert left_in(tmp_path) == []
