"""The file of a lease: what it says, and whose it is. leases.py says what leases are and how they are taken."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from stages.keys import ArtifactId, artifact_from
from stages.machine.holder import Holder
from stages.machine.json_files import decode_json, parse_json
from stages.machine.regular_files import open_descriptor, read_regular

MAX_BYTES: Final = 1 << 22  # of a lease; some seventy for each artifact that is read
RUN: Final = "run"  # in the place of a stage: the lease of a run, of all that it is going to make and read


@dataclass(frozen=True)
class Lease:
    """What the file of a lease says.

    Attributes:
        holder: who has it.
        artifact: what the holder makes.
        reads: all that it is made from, back to the first stage.
        group: of hosts that make it together, and do not keep each other from it; "" of one that makes it by itself.
        is_locked: whether the holder also has the lock on the file.
    """

    holder: Holder
    artifact: ArtifactId
    reads: tuple[ArtifactId, ...]
    group: str
    is_locked: bool

    def to_json(self, count: int) -> bytes:
        """The text of the file."""
        fields = {
            **asdict(self.holder),
            "artifact": asdict(self.artifact),
            "reads": [asdict(artifact) for artifact in self.reads],
            "group": self.group,
            "is_locked": self.is_locked,
            "count": count,
        }
        return json.dumps(fields, sort_keys=True).encode() + b"\n"

    @staticmethod
    def from_json(text: bytes) -> "Lease | None":
        """What a file says; None where it says nothing of the kind: it is empty, damaged, or is just being written."""
        try:
            fields: Any = parse_json(decode_json(text))
            made, *reads = map(artifact_from, (fields["artifact"], *fields["reads"]))
            group, is_locked = str(fields["group"]), bool(fields["is_locked"])
        except (ValueError, KeyError, TypeError):
            return None
        holder = Holder.from_fields(fields)
        return None if holder is None else Lease(holder, made, tuple(reads), group, is_locked)


def is_at(path: Path, descriptor: int) -> bool:
    """Whether an open file is still the one under its name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def is_of(path: Path, lease: Lease) -> bool:
    """Whether a file says that a lease's holder has it. It is opened anew: over NFS an open file can be an old one.

    Raises OSError: it cannot be read, or is no regular file.
    """
    try:
        seen = Lease.from_json(read_regular(path, MAX_BYTES))
    except FileNotFoundError:
        return False
    return seen is not None and seen.holder.token == lease.holder.token


def write_lease(descriptor: int, text: bytes) -> None:
    """Put a text into an open file, whatever was in it. A reader can see something in between. Raises OSError."""
    os.pwrite(descriptor, text, 0)
    os.ftruncate(descriptor, len(text))


def give_back(path: Path, descriptor: int) -> None:
    """Leave a lease to whoever wants it. Raises OSError: its file can neither be deleted nor emptied."""
    try:
        path.unlink(missing_ok=True)
    except PermissionError as error:  # another user's file in a sticky folder
        try:
            os.ftruncate(descriptor, 0)
        except OSError:
            raise error from None


def size_of(path: Path) -> int:
    """Bytes of a file, 0 of one that is not there. Raises OSError."""
    try:
        if size_bytes := path.lstat().st_size:
            return size_bytes
        descriptor = open_descriptor(path)  # or NFS could say what was true some seconds ago
    except FileNotFoundError:
        return 0
    try:
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
