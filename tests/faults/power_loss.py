"""What a disk can hold after the power was lost: states that are built from the record of what a writer called.

The model is that of POSIX, which promises less than any file system in use keeps: the bytes of a file are on disk when
the file has been synced since; names in a folder are when the folder has. What was not synced may be there or not, each
file and each folder by itself; of the changes of one folder, the first ones. Owns the record and the states; shim.c
writes the record.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Call:
    """One call that changed something, or made it durable.

    Attributes:
        kind: "create", "write", "truncate", "sync", "rename", "mkdir", "symlink", "unlink", "rmdir".
        path: of what it changed.
        other: the new name, or the target of a link.
        offset: of the bytes; of "truncate", the new size.
        data: the bytes that were written.
    """

    kind: str
    path: str
    other: str = ""
    offset: int = 0
    data: bytes = b""


def read_record(file: Path) -> list[Call]:
    """The calls of a record, in their order."""
    content, calls = file.read_bytes(), []
    while content:
        line, _, content = content.partition(b"\n")
        kind, path, other, offset, size = line.decode().split("\t")
        data, content = content[: int(size)], content[int(size) :]
        calls.append(Call(kind, path, other, int(offset), data))
    return calls


@dataclass
class _File:
    """Bytes as programs see them, and as they were when last synced."""

    content: bytearray = field(default_factory=bytearray)
    durable: bytes = b""


@dataclass
class _Link:
    """A symbolic link, whose target is as durable as its name."""

    target: str


@dataclass
class _Folder:
    """Names as programs see them, as they were when last synced, and the changes since."""

    names: dict[str, "_Node"] = field(default_factory=dict)
    durable: dict[str, "_Node"] = field(default_factory=dict)
    changes: list[tuple[str, "_Node | None"]] = field(default_factory=list)

    def set(self, name: str, node: "_Node | None") -> None:
        self.changes.append((name, node))
        if node is None:
            self.names.pop(name, None)
        else:
            self.names[name] = node

    def sync(self) -> None:
        self.durable, self.changes = dict(self.names), []


_Node = _File | _Folder | _Link


class Disk:
    """Replays calls below one folder, and says what would be left of them."""

    def __init__(self, root: Path) -> None:
        """`root` is empty, and durable itself."""
        self._root = str(root)
        self._top = _Folder()

    def replay(self, call: Call) -> None:
        """Do what a call did."""
        parent, name = self._place(call.path)
        match call.kind:
            case "create":
                parent.set(name, _File())
            case "mkdir":
                parent.set(name, _Folder())
            case "symlink":
                parent.set(name, _Link(call.other))
            case "unlink" | "rmdir":
                parent.set(name, None)
            case "rename":
                node = parent.names[name]
                new_parent, new_name = self._place(call.other)
                new_parent.set(new_name, node)
                parent.set(name, None)
            case _:
                self._change(self._find(call.path), call)

    def _change(self, node: "_Node | None", call: Call) -> None:
        if isinstance(node, _Folder):
            assert call.kind == "sync"
            node.sync()
        if not isinstance(node, _File):
            return  # of a file that has no name any more
        if call.kind == "sync":
            node.durable = bytes(node.content)
        elif call.kind == "truncate":
            node.content = node.content[: call.offset].ljust(call.offset, b"\0")
        else:
            end = call.offset + len(call.data)
            node.content = node.content.ljust(call.offset, b"\0")
            node.content[call.offset : end] = call.data

    def states(self, number: int, seed: int) -> Iterator[Mapping[str, bytes | str | None]]:
        """States after a loss now, by path below the root: bytes, the target of a link, or None for a folder.

        The first three are: nothing is there but what was synced; all names are there, and of the bytes only those that
        were synced; everything is there. Then come `number` that are drawn at random.
        """
        draw = random.Random(seed)  # noqa: S311 (to try out many states)
        yield dict(self._walk(self._top, "", lambda _changes: 0, lambda: False))
        yield dict(self._walk(self._top, "", len, lambda: False))
        yield dict(self._walk(self._top, "", len, lambda: True))
        for _ in range(number):
            yield dict(
                self._walk(self._top, "", lambda changes: draw.randint(0, len(changes)), lambda: draw.random() < 0.5)
            )

    def _walk(
        self,
        folder: _Folder,
        where: str,
        kept: Callable[[Sequence[object]], int],
        is_written: Callable[[], bool],
    ) -> Iterator[tuple[str, bytes | str | None]]:
        """What is left below a folder: of each folder, as many changes as are `kept`, of files what `is_written`."""
        names = dict(folder.durable)
        for name, node in folder.changes[: kept(folder.changes)]:
            if node is None:
                names.pop(name, None)
            else:
                names[name] = node
        for name, node in names.items():
            path = f"{where}/{name}".lstrip("/")
            if isinstance(node, _Folder):
                yield path, None
                yield from self._walk(node, path, kept, is_written)
            elif isinstance(node, _Link):
                yield path, node.target
            else:
                yield path, bytes(node.content) if is_written() else self._torn(node, is_written)

    @staticmethod
    def _torn(file: _File, is_written: Callable[[], bool]) -> bytes:
        """Of a file that was not synced: what was, or its new length with zeros where nothing had been written."""
        if len(file.durable) >= len(file.content) or not is_written():
            return file.durable
        return file.durable.ljust(len(file.content), b"\0")

    def _place(self, path: str) -> tuple[_Folder, str]:
        *folders, name = path.removeprefix(self._root).strip("/").split("/")
        parent = self._top
        for folder in folders:
            found = parent.names[folder]
            assert isinstance(found, _Folder)
            parent = found
        return parent, name

    def _find(self, path: str) -> "_Node | None":
        if path.rstrip("/") == self._root:
            return self._top
        try:
            parent, name = self._place(path)
        except (KeyError, AssertionError):
            return None
        return parent.names.get(name)


def write_state(state: Mapping[str, bytes | str | None], folder: Path) -> None:
    """Make a state in an empty folder."""
    for path, content in state.items():
        if content is None:
            (folder / path).mkdir()
        elif isinstance(content, str):
            (folder / path).symlink_to(content)
        else:
            (folder / path).write_bytes(content)


def replay_all(calls: Sequence[Call], root: Path) -> Iterator[tuple[Call, Disk]]:
    """The disk after each call."""
    disk = Disk(root)
    for call in calls:
        disk.replay(call)
        yield call, disk
