"""What is kept of nodes that are being made, so that an interrupted run goes on: `<root>/partial/<stage>/<key>/state`.

Owns the file: how it is replaced, and whether it is whole. What it means, and whether it still holds, is the stage's
matter. A state is one file, because a file is replaced by one rename: whenever a writer is killed, there is the state
before or the new one. (Folders would take two renames, with nothing between them.)
"""

import errno
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stages.errors import StoreError
from stages.keys import KEY_NAME, STAGE_NAME, ArtifactId, JsonValue, Key, canonical_json, digest_bytes
from stages.machine.json_files import decode_json, parse_json
from stages.machine.regular_files import open_descriptor, reason_of
from stages.store.deep_folders import delete_folder
from stages.store.drafts import Drafts, make_durable, sync
from stages.store.layout import PARTIAL
from stages.store.sharing import make_folder

_STATE = "state"
_NEW, _OLD = "new", "old"  # in a draft
_FORMAT = 1  # of the file
_SEAL_BYTES = 32  # XXH3-128 in hex of all that follows
_MAX_HEADER_BYTES = 1 << 20
_LINE_END = b"\n"
_ANY = re.compile(".*", re.DOTALL)


@dataclass(frozen=True)
class PartialState:
    """How far a node is.

    Attributes:
        made_with: what must still be the same for whoever goes on from here, by names that users know.
        facts: of the work that is done.
        payload: the result so far.
    """

    made_with: Mapping[str, str]
    facts: Mapping[str, JsonValue]
    payload: bytes

    def to_bytes(self, artifact: ArtifactId) -> bytes:
        """The state of this node as a file holds it."""
        names = asdict(artifact) | {"format": _FORMAT}
        header = canonical_json({**names, "made_with": dict(self.made_with), "facts": dict(self.facts)})
        content = header + _LINE_END + self.payload
        return digest_bytes(content).encode() + content

    @staticmethod
    def from_bytes(content: bytes, artifact: ArtifactId, payload_bytes: int) -> "PartialState":
        """The inverse of `to_bytes`, for bytes of which nothing is known. Raises ValueError."""
        seal, content = content[:_SEAL_BYTES], content[_SEAL_BYTES:]
        if seal != digest_bytes(content).encode():
            raise ValueError("its digest does not match")
        header, _, payload = content.partition(_LINE_END)
        fields: Any = parse_json(decode_json(header))
        if not isinstance(fields, dict) or fields.get("format") != _FORMAT:
            raise ValueError("it is of another version")
        if (fields.get("stage"), fields.get("key")) != (artifact.stage, artifact.key):
            raise ValueError("it is that of another node")
        made_with, facts = fields.get("made_with"), fields.get("facts")
        if not (isinstance(made_with, dict) and isinstance(facts, dict) and {*map(type, made_with.values())} <= {str}):
            raise ValueError("it does not say how it was made")
        if len(payload) != payload_bytes:
            raise ValueError(f"it holds {len(payload)} bytes, not {payload_bytes}")
        return PartialState(made_with, facts, payload)


@dataclass(frozen=True)
class KeptState:
    """A state as it lies in the store, whether it is whole or not.

    Attributes:
        artifact: that it will become.
        path: of its folder.
        size_bytes: of all that is in the folder.
        last_use: when it was written, in seconds since 1970, by the clock of the file system.
        version: differs once it was written again.
    """

    artifact: ArtifactId
    path: Path
    size_bytes: int
    last_use: float
    version: tuple[tuple[int, int], ...]


class PartialStates:
    """The partial states of a store, for any number of processes."""

    def __init__(self, root: Path) -> None:
        """`root` is the store's folder, created when first written to."""
        self._root = root
        self._drafts = Drafts(root)

    def folder(self, artifact: ArtifactId) -> Path:
        """Where the state of a node is or will be."""
        return self._root.joinpath(PARTIAL, artifact.stage, artifact.key)

    def write(self, artifact: ArtifactId, state: PartialState) -> None:
        """Keep a state in place of the one before, synced to disk. What is no state and has its place goes, too.

        Raises:
            StoreError: the store cannot be written.
            OSError: likewise. The state before is still there.
        """
        self.write_file(artifact, state.to_bytes(artifact))

    def write_file(self, artifact: ArtifactId, content: bytes) -> None:
        """The same for what `read_file` of another store gave; whoever goes on from it looks whether it is whole."""
        folder = self.folder(artifact)
        with self._drafts.new() as space:
            new = space / _NEW
            new.mkdir()
            (new / _STATE).write_bytes(content)
            make_durable(new)
            with self._drafts.exclusive():
                is_first = _make_room(folder, space, self._root)
                (new / _STATE).replace(folder / _STATE)
            for path in (folder, *folder.parents[: 3 if is_first else 0]):
                sync(path)

    def read(self, artifact: ArtifactId, *, payload_bytes: int) -> PartialState | None:
        """The state of a node, or None when there is none.

        Args:
            artifact: which node.
            payload_bytes: size that its payload must have.
        Raises:
            StoreError: there is one that cannot be used; the message says why, and needs no full stop.
        """
        path = self.folder(artifact) / _STATE
        try:
            content = _read_file(path, payload_bytes + _MAX_HEADER_BYTES)
            return PartialState.from_bytes(content, artifact, payload_bytes)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{path}: cannot be read ({reason_of(error)})") from error
        except ValueError as error:
            raise StoreError(f"{path}: is damaged ({error})") from error

    def read_file(self, artifact: ArtifactId) -> bytes | None:
        """The file of the state of a node; None when there is none that can be read."""
        path = self.folder(artifact) / _STATE
        with suppress(OSError, ValueError):
            return _read_file(path, path.stat(follow_symlinks=False).st_size)
        return None

    def read_facts(self, artifact: ArtifactId) -> Mapping[str, JsonValue] | None:
        """The facts of the state of a node; None when there is none that is whole."""
        content = self.read_file(artifact)
        if content is None:
            return None
        with suppress(ValueError):
            payload_bytes = len(content[_SEAL_BYTES:].partition(_LINE_END)[2])
            return PartialState.from_bytes(content, artifact, payload_bytes).facts
        return None

    def remove(self, artifact: ArtifactId) -> bool:
        """Delete the state of a node, whatever lies in its place. False when there is nothing. Raises OSError.

        Needs no room on the disk.
        """
        folder = self.folder(artifact)
        try:
            if stat.S_ISDIR(folder.lstat().st_mode):
                with suppress(FileNotFoundError, IsADirectoryError, PermissionError):  # what is not whole is nothing
                    (folder / _STATE).unlink()
                delete_folder(folder)
            else:
                folder.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def find_all(self) -> list[KeptState]:
        """All states, in the order of their stages and keys. What cannot be looked at is left out."""
        return sorted(self._find(), key=lambda kept: kept.path)

    def find(self, artifact: ArtifactId) -> KeptState | None:
        """The state of a node; None where there is none, or it cannot be looked at."""
        folder = self.folder(artifact)
        with suppress(OSError):
            own = folder.lstat()
            is_folder = stat.S_ISDIR(own.st_mode)
            files = sorted(_entries(folder), key=lambda entry: entry.name) if is_folder else []
            below = [file.stat(follow_symlinks=False) for file in files]
            return KeptState(
                artifact,
                folder,
                sum(status.st_size for status in (below if is_folder else [own])),
                max(status.st_mtime for status in (own, *below)),
                tuple((status.st_ino, status.st_mtime_ns) for status in (own, *below)),
            )
        return None

    def _find(self) -> Iterator[KeptState]:
        for stage in _entries(self._root / PARTIAL, STAGE_NAME):
            for entry in _entries(stage.path, KEY_NAME) if stage.is_dir(follow_symlinks=False) else ():
                kept = self.find(ArtifactId(stage.name, Key(entry.name)))
                if kept is not None:
                    yield kept


def _entries(folder: str | Path, pattern: re.Pattern[str] = _ANY) -> list[os.DirEntry[str]]:
    """What has a name that matches; others are somebody's own."""
    with suppress(OSError), os.scandir(folder) as entries:
        return [entry for entry in entries if pattern.fullmatch(entry.name)]
    return []


def _make_room(folder: Path, space: Path, root: Path) -> bool:
    """Make the folder of a state, and move to `space` what is in its place; whether there was none."""
    if not os.path.lexists(folder) or not stat.S_ISDIR(folder.lstat().st_mode):
        with suppress(FileNotFoundError):
            folder.rename(space / _OLD)
        make_folder(folder.parent, root)
        make_folder(folder, root)
        return True
    if (folder / _STATE).is_dir() and not (folder / _STATE).is_symlink():  # what else it may be, a rename replaces
        (folder / _STATE).rename(space / _OLD)
    return False


def _read_file(path: Path, max_bytes: int) -> bytes:
    """All bytes of a plain file in a plain folder. Raises OSError or ValueError."""
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            descriptor = open_descriptor(path.name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
        finally:
            os.close(folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
            raise ValueError("it is a link, or not a plain file in a plain folder") from error
        raise
    with os.fdopen(descriptor, "rb") as file:
        size_bytes = os.fstat(descriptor).st_size
        if size_bytes > max_bytes:
            raise ValueError(f"it has {size_bytes} bytes")
        return file.read(max_bytes)
