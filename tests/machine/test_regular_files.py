"""Files are opened without waiting, and only regular ones."""

import errno
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.keys import digest_bytes
from stages.machine.regular_files import (
    digest_file,
    is_damage,
    name_kind,
    open_descriptor,
    open_regular,
    read_regular,
    reason_of,
    require_regular,
)


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_folder(path: Path) -> None:
    path.mkdir()


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def make_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_loop(path: Path) -> None:
    path.symlink_to(path.name)


def make_nothing(path: Path) -> None:
    path.symlink_to("nowhere")


KINDS: list[tuple[Callable[[Path], None], str]] = [
    (make_fifo, "is a FIFO, not a file"),
    (make_folder, "Is a directory"),
    (make_socket, "is a socket, not a file"),
    (make_device, "is a device, not a file"),
    (make_loop, "Too many levels of symbolic links"),
    (make_nothing, "No such file or directory"),
]


@pytest.mark.parametrize(("make", "reason"), KINDS)
@pytest.mark.parametrize("read", [read_regular, open_regular, require_regular, open_descriptor])
def test_what_is_no_regular_file_is_refused_without_waiting(
    tmp_path: Path, make: Callable[[Path], None], reason: str, read: Callable[[Path], object]
):
    make(tmp_path / "file")
    with pytest.raises(OSError, match=reason) as refusal:
        read(tmp_path / "file")
    assert (refusal.value.strerror, str(refusal.value.filename)) == (reason, str(tmp_path / "file"))


@pytest.mark.parametrize("flags", [os.O_RDWR, os.O_WRONLY, os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_APPEND])
def test_a_fifo_is_refused_for_writing_too(tmp_path: Path, flags: int):
    os.mkfifo(tmp_path / "file")
    with pytest.raises(OSError, match="is a FIFO, not a file"):
        open_descriptor(tmp_path / "file", flags)


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_a_name_that_no_file_can_have_is_an_error_of_the_system(name: str):
    with pytest.raises(OSError, match="is no name that a file can have"):
        open_descriptor(name)


def test_a_link_is_followed_unless_the_caller_wants_none(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "link") == b"content"
    with pytest.raises(OSError, match="Too many levels"):
        open_descriptor(tmp_path / "link", os.O_RDONLY | os.O_NOFOLLOW)


def test_a_file_beyond_the_limit_is_refused_before_it_is_read(tmp_path: Path):
    with (tmp_path / "file").open("wb") as file:
        file.truncate(2**43)  # without a block on disk; 8 TiB would fit into no memory
    with pytest.raises(OSError, match="has more than 1 MiB") as refusal:
        read_regular(tmp_path / "file", 2**20)
    assert refusal.value.strerror == "has more than 1 MiB, which no such file has"


def test_a_file_as_large_as_the_limit_is_read(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"four")
    assert read_regular(tmp_path / "file", 4) == b"four"


def test_a_file_whose_size_the_system_does_not_know_is_read():
    assert read_regular("/proc/self/status").startswith(b"Name:")


def test_a_reason_is_that_of_the_system_or_the_text_of_the_error():
    assert reason_of(FileNotFoundError(2, "No such file or directory", "x")) == "No such file or directory"
    assert reason_of(ValueError("it is nested too deeply")) == "it is nested too deeply"
    assert reason_of(OSError("of a library")) == "of a library"


def test_descriptors_are_closed_when_a_file_is_refused(tmp_path: Path):
    os.mkfifo(tmp_path / "file")
    before = len([*Path("/proc/self/fd").iterdir()])
    for _ in range(8):
        with pytest.raises(OSError, match=r"FIFO|device"):
            open_descriptor(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_file_digest_is_that_of_its_bytes(tmp_path: Path):
    data = bytes(range(256)) * 5000  # more than one piece
    path = tmp_path / "file"
    path.write_bytes(data)
    assert digest_file(path) == digest_bytes(data)


def test_what_reads_a_file_tells_how_much_was_read(tmp_path: Path):
    (tmp_path / "file").write_bytes(bytes(1_000_000))
    sizes: list[int] = []
    digest_file(tmp_path / "file", sizes.append)
    assert len(sizes) > 1
    assert sum(sizes) == 1_000_000


@pytest.mark.parametrize("make", [make_fifo, make_folder, make_socket, make_device, make_loop, lambda _path: None])
def test_what_is_no_regular_file_is_lost(tmp_path: Path, make: Callable[[Path], None]):
    make(tmp_path / "file")
    with pytest.raises(OSError, match=r".") as refused:
        digest_file(tmp_path / "file")
    assert is_damage(refused.value)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.EINTR])
def test_what_cannot_be_read_at_present_is_not_lost(code: int):
    assert not is_damage(OSError(code, os.strerror(code)))


def test_what_the_disk_cannot_give_is_lost():
    assert is_damage(OSError(errno.EIO, os.strerror(errno.EIO)))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        (stat.S_IFREG, None),
        (stat.S_IFDIR, "is a folder"),
        (stat.S_IFIFO, "is a FIFO"),
        (stat.S_IFSOCK, "is a socket"),
        (stat.S_IFCHR, "is a device"),
        (stat.S_IFBLK, "is a device"),
    ],
)
def test_what_is_no_regular_file_is_named(mode: int, kind: str | None):
    assert name_kind(mode | 0o644) == kind
