"""Where the bytes of a store are: what `doit du` says."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from stages.keys import ArtifactId, JsonValue
from stages.machine.kept_programs import FOLDER as PROGRAMS
from stages.store.inventory import Inventory, take_inventory
from stages.store.layout import ANSWERS, DRAFTS, LOGS, PARTIAL, PINS, POSTERS, PREVIEWS, REMOTE, REPORT, VIDEOS
from stages.store.leftovers import size_of_folder

WANTED, PINNED, REST, UNREADABLE = "wanted", "pinned", "rest", "unreadable"
KINDS = (WANTED, PINNED, REST, UNREADABLE)
_FOLDERS: Mapping[str, str] = MappingProxyType({
    "partial states": PARTIAL,
    "drafts": DRAFTS,
    "compiled programs": PROGRAMS,
    "remote transfers": REMOTE,
    "answers of doit preflight": ANSWERS,
    "logs": LOGS,
    "previews": PREVIEWS,
    "pictures of videos": POSTERS,
    "the report": REPORT,
    "own files among the videos": VIDEOS,
})  # fmt: skip


@dataclass(frozen=True)
class Space:
    """Bytes of all files of a store; each file is counted once.

    Attributes:
        stages: by stage and kind, artifacts and bytes. What is wanted and pinned counts as wanted.
        videos: by present video, the bytes of what no other video needs.
        shared_bytes: of what several present videos need.
        folders: of all else, by what it is.
        record_bytes: of pins, leases and what else the store remembers.
        other_bytes: of files that this project does not know.
        unreadable: folders of artifacts of which nothing is known.
    """

    stages: Mapping[str, Mapping[str, tuple[int, int]]]
    videos: Mapping[str, int]
    shared_bytes: int
    folders: Mapping[str, int]
    record_bytes: int
    other_bytes: int
    unreadable: Sequence[Path]

    @property
    def total_bytes(self) -> int:
        """Of all."""
        return self.sum_of(*KINDS) + sum(self.folders.values()) + self.record_bytes + self.other_bytes

    def sum_of(self, *kinds: str) -> int:
        """Bytes of all artifacts of these kinds."""
        return sum(kinds_of[kind][1] for kinds_of in self.stages.values() for kind in kinds)

    def to_json(self) -> dict[str, JsonValue]:
        """What `doit du --json` prints; its fields are an interface, sizes are bytes."""
        return {
            "total": self.total_bytes,
            "stages": {
                stage: {kind: {"artifacts": number, "bytes": size} for kind, (number, size) in kinds.items()}
                for stage, kinds in self.stages.items()
            },
            **{kind: self.sum_of(kind) for kind in KINDS},
            "videos": dict(self.videos),
            "shared": self.shared_bytes,
            **{what.replace(" ", "_"): size for what, size in self.folders.items()},
            "records": self.record_bytes,
            "other": self.other_bytes,
            "unreadable_folders": [str(folder) for folder in self.unreadable],
        }


def measure(
    root: Path,
    wanted: Mapping[ArtifactId, Sequence[str]],
    pinned: Set[ArtifactId],
    stages: Sequence[str],
) -> Space:
    """Look at all files below a store's root.

    Args:
        root: the store's folder; one that is not there holds nothing.
        wanted: what the present parameters need, and the videos that need it.
        pinned: what is pinned, without what it was made from.
        stages: in the order in which they are listed; those that are only in the store come after them.
    Raises:
        OSError: the root cannot be read.
    """
    inventory = take_inventory(root)
    kinds = _sort(inventory, wanted, inventory.ancestors(pinned))
    in_store = {artifact.stage for artifact in inventory.entries}
    by_stage = {stage: dict.fromkeys(KINDS, (0, 0)) for stage in dict.fromkeys([*stages, *sorted(in_store)])}
    videos, shared_bytes = {name: 0 for names in wanted.values() for name in names}, 0
    for artifact, entry in inventory.entries.items():
        number, size_bytes = by_stage[artifact.stage][kinds[artifact]]
        by_stage[artifact.stage][kinds[artifact]] = number + 1, size_bytes + entry.size_bytes
        names = wanted.get(artifact, ())
        if len(names) == 1:
            videos[names[0]] += entry.size_bytes
        elif names:
            shared_bytes += entry.size_bytes
    folders = {what: size_of_folder(root / folder) for what, folder in _FOLDERS.items()}
    unreadable = [root / each.stage / each.key for each, kind in kinds.items() if kind == UNREADABLE]
    known = sum(entry.size_bytes for entry in inventory.entries.values()) + sum(folders.values())
    record_bytes = _size_of_records(root)
    other_bytes = max(size_of_folder(root) - known - record_bytes, 0)
    return Space(by_stage, videos, shared_bytes, folders, record_bytes, other_bytes, unreadable)


def _size_of_records(root: Path) -> int:
    """Of what lies in the root under a hidden name, and is none of the folders."""
    if not root.is_dir():
        return 0
    hidden = [path for path in root.iterdir() if path.name.startswith(".") and path.name not in _FOLDERS.values()]
    files = sum(path.lstat().st_size for path in hidden if path.is_file() and not path.is_symlink())
    return files + sum(size_of_folder(path) for path in (*hidden, root / PINS))


def _sort(
    inventory: Inventory, wanted: Mapping[ArtifactId, Sequence[str]], pinned: Set[ArtifactId]
) -> dict[ArtifactId, str]:
    needed = inventory.ancestors(wanted)
    kinds = {}
    for artifact, entry in inventory.entries.items():
        if artifact in needed:
            kinds[artifact] = WANTED
        elif artifact in pinned:
            kinds[artifact] = PINNED
        else:
            kinds[artifact] = UNREADABLE if entry.manifest is None else REST
    return kinds
