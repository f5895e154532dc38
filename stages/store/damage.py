"""What verification finds wrong with an artifact, and the mark by which the next run makes it again."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from stages.errors import StoreError, UnreadableError
from stages.keys import ArtifactId
from stages.store.artifacts import Store
from stages.store.manifest import DAMAGED_RUN, MANIFEST, NOTE, RUN
from stages.store.payloads import Stamp, stamp_of
from stages.store.removal import forget_artifact

Seen: TypeAlias = tuple[Stamp | None, ...]


@dataclass(frozen=True)
class Fault:
    """What is wrong with a file of an artifact: its name, and a sentence without a full stop."""

    name: str
    message: str


@dataclass(frozen=True)
class Damage:
    """What is wrong with an artifact.

    Attributes:
        artifact: which one.
        faults: one for each damaged file.
        seen: what the files were when they were read.
    """

    artifact: ArtifactId
    faults: tuple[Fault, ...]
    seen: Seen

    @property
    def is_lost(self) -> bool:
        """Whether the result is damaged; otherwise only what says how it was made, or that it was read."""
        return any(fault.name not in (RUN, NOTE) for fault in self.faults)


def see(store: Store, artifact: ArtifactId) -> Seen:
    """What an artifact's files are at present. Raises UnreadableError when that cannot be known."""
    folder = store.folder(artifact)
    names = [MANIFEST, RUN, NOTE]
    try:
        if manifest := store.manifest(artifact):
            names.append(manifest.payload)
    except UnreadableError:
        raise
    except StoreError:
        pass  # damaged: what the payload is called is not known
    return tuple(stamp_of(folder / name) for name in names)


def mark(store: Store, damaged: Collection[Damage]) -> dict[ArtifactId, str]:
    """Have damaged artifacts made again by the next run, and put aside what only says how they were made.

    Returns:
        Why, of those that could not be marked.
    """
    refused = {}
    for damage in damaged:
        try:
            with store.exclusive():
                if damage.seen == see(store, damage.artifact):  # else it was made again meanwhile
                    _mark(store, damage)
        except OSError as error:
            refused[damage.artifact] = error.strerror or type(error).__name__
        except UnreadableError as error:
            refused[damage.artifact] = str(error).removesuffix(".")
    return refused


def _mark(store: Store, damage: Damage) -> None:
    folder, names = store.folder(damage.artifact), {fault.name for fault in damage.faults}
    if names - {MANIFEST, RUN, NOTE}:
        if not store.is_collected(damage.artifact):  # then its record is whole, and what was made from it stays fresh
            forget_artifact(folder)  # a damaged manifest needs no mark: it counts as none
        return
    with suppress(FileNotFoundError):
        if RUN in names:
            (folder / RUN).replace(folder / DAMAGED_RUN)
    (folder / NOTE).unlink(missing_ok=True)  # it is written anew when the payload is read
