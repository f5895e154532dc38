"""What is said of a strange folder of a store."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.errors import StoreError
from stages.store.root_folder import require_folder, require_writable
from tests.builders import acting_as_nobody
from tests.mounts import mounted

ELSEWHERE = "set `artifacts` in params/machine.toml to another folder."


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


def refusal(require: Callable[[Path], None], root: Path) -> str:
    with pytest.raises(StoreError) as refused:
        require(root)
    return str(refused.value)


def test_a_store_that_is_not_there_is_made_by_who_writes_alone(root: Path):
    require_folder(root / "below")
    assert not root.exists()
    require_writable(root / "below")
    assert (root / "below").is_dir()


@pytest.mark.parametrize("require", [require_folder, require_writable])
def test_a_folder_and_a_link_to_one_are_accepted(root: Path, require: Callable[[Path], None]):
    (root.parent / "elsewhere").mkdir()
    root.symlink_to("elsewhere")
    require(root)
    require(root.parent / "elsewhere")


@pytest.mark.parametrize("require", [require_folder, require_writable])
@pytest.mark.parametrize("below", ["", "store"])
def test_a_link_to_nothing_is_called_so(root: Path, require: Callable[[Path], None], below: str):
    root.symlink_to("/mnt/nowhere")
    assert refusal(require, root / below) == (
        f"{root}: is a link to nothing: /mnt/nowhere is not there. Make that folder, mount its disk, or delete the "
        "link."
    )


@pytest.mark.parametrize("require", [require_folder, require_writable])
@pytest.mark.parametrize("below", ["", "store"])
def test_a_link_to_itself_is_called_so(root: Path, require: Callable[[Path], None], below: str):
    root.symlink_to(root.name)
    assert refusal(require, root / below) == (
        f"{root}: is a link that leads back to itself. Delete it, or let it lead to a folder."
    )


@pytest.mark.parametrize("require", [require_folder, require_writable])
@pytest.mark.parametrize("below", ["", "store"])
@pytest.mark.parametrize(("make", "kind"), [(Path.touch, "a file"), (os.mkfifo, "a FIFO")], ids=["file", "FIFO"])
def test_what_is_no_folder_is_called_what_it_is(
    root: Path, require: Callable[[Path], None], below: str, make: Callable[[Path], None], kind: str
):
    make(root)
    assert refusal(require, root / below) == f"{root}: is {kind}, and not a folder. Move it away, or {ELSEWHERE}"


@pytest.mark.parametrize("below", ["", "store"])
def test_a_read_only_file_system_keeps_only_writers_away(root: Path, below: str):
    with mounted(root, "ro"):
        require_folder(root / below)
        assert refusal(require_writable, root / below) == (
            f"{root / below}: is on a read-only file system. Mount it for writing, or {ELSEWHERE}"
        )


def test_permissions_keep_only_writers_away(root: Path):
    root.mkdir(mode=0o555)
    with acting_as_nobody(root / "store"):
        require_folder(root / "store")
        assert refusal(require_writable, root / "store") == (
            f"{root / 'store'}: cannot be made (Permission denied). Fix the permissions of the folder above it, or "
            f"{ELSEWHERE}"
        )


def test_a_folder_that_cannot_be_reached_is_said_to_be_so(root: Path):
    (root / "store").mkdir(parents=True)
    root.parent.chmod(0o755)
    root.chmod(0)
    with acting_as_nobody(root):
        assert refusal(require_folder, root / "store") == (
            f"{root / 'store'}: cannot be looked at (Permission denied). Fix that, or {ELSEWHERE}"
        )
    root.chmod(0o755)
