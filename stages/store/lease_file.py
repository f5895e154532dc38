"""The file of a lease: what it says, and whose it is. leases.py says what leases are and how they are taken."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stages.keys import ArtifactId
from stages.machine.holder import Holder, read_holder


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
        holder = read_holder(text)
        if holder is None:
            return None
        fields: dict[str, Any] = json.loads(text)
        try:
            made, *reads = (ArtifactId(**each) for each in (fields["artifact"], *fields["reads"]))
            return Lease(holder, made, tuple(reads), str(fields["group"]), bool(fields["is_locked"]))
        except (LookupError, TypeError):
            return None


def is_at(path: Path, descriptor: int) -> bool:
    """Whether an open file is still the one under its name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def is_of(path: Path, lease: Lease) -> bool:
    """Whether a file says that a lease's holder has it. It is opened anew: over NFS an open file can be an old one."""
    try:
        seen = Lease.from_json(path.read_bytes())
    except FileNotFoundError:
        return False
    return seen is not None and seen.holder.token == lease.holder.token


def write_lease(descriptor: int, text: bytes) -> None:
    """Put a text into an open file, whatever was in it. A reader can see something in between. Raises OSError."""
    os.pwrite(descriptor, text, 0)
    os.ftruncate(descriptor, len(text))
