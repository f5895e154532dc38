"""What lies in a store: every artifact, of whatever project or stage, with its size, its cost and what it is made from.

Reads the folders themselves, because most of what a store holds is part of no present video. Changes nothing.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import median

from stages.keys import FROM_FILE, KEY_NAME, STAGE_NAME, ArtifactId, Key
from stages.machine.regular_files import is_damage, read_regular
from stages.store.layout import NO_STAGES
from stages.store.manifest import COLLECTED, FORGOTTEN, MANIFEST, NOTE, OWN_FILES, RUN, Manifest
from stages.store.usage import read_rebuild_s, run_file

_MAX_MANIFEST_BYTES = 1 << 26  # far more than parameters and a prompt take; a larger file is none


@dataclass(frozen=True)
class Entry:
    """One artifact's folder.

    Attributes:
        artifact: by the names of the folders.
        manifest: what it is; None of one that cannot be read, of which nothing is known.
        is_forgotten: whether it is to be made again anyway.
        is_marked: whether a gc has deleted the payload, or was about to.
        is_link: whether the folder is a link: what it leads to is somebody's own, and counts, but nothing of it goes.
        is_remnant: whether there is nothing but what a gc leaves that was ended while it deleted a whole artifact.
        payload_bytes: of its payload, None where that is not there.
        size_bytes: of all its files; of a link, 0.
        rebuild_s: seconds that it took; None where run.json does not say.
        last_use: seconds since 1970, of itself.
        stamp: differs when it was published again or used.
    """

    artifact: ArtifactId
    manifest: Manifest | None
    is_forgotten: bool
    is_marked: bool
    is_link: bool
    is_remnant: bool
    payload_bytes: int | None
    size_bytes: int
    rebuild_s: float | None
    last_use: float
    stamp: tuple[int, ...]

    @property
    def inputs(self) -> tuple[ArtifactId, ...]:
        """What it was made from, as far as that is known."""
        return () if self.manifest is None else self.manifest.node.input_artifacts

    @property
    def is_from_file(self) -> bool:
        """Whether it came from a file elsewhere, without which nothing makes it again."""
        return self.manifest is not None and FROM_FILE in self.manifest.parameters


@dataclass(frozen=True)
class Inventory:
    """The artifacts of a store, as they were when it was taken."""

    entries: Mapping[ArtifactId, Entry] = field(default_factory=dict)

    def is_there(self, artifact: ArtifactId) -> bool:
        """Whether it can be read: its payload is there."""
        entry = self.entries.get(artifact)
        return entry is not None and entry.payload_bytes is not None

    def ancestors(self, artifacts: Iterable[ArtifactId]) -> set[ArtifactId]:
        """These, and all that they were made from as far as the manifests say."""
        found: set[ArtifactId] = set()
        waiting = [*artifacts]
        while waiting:
            artifact = waiting.pop()
            if artifact not in found:
                found.add(artifact)
                waiting += self.entries[artifact].inputs if artifact in self.entries else ()
        return found

    @cached_property
    def readers(self) -> Mapping[ArtifactId, tuple[ArtifactId, ...]]:
        """By artifact, those that were made from it."""
        readers: dict[ArtifactId, list[ArtifactId]] = {}
        for entry in self.entries.values():
            for artifact in entry.inputs:
                readers.setdefault(artifact, []).append(entry.artifact)
        return {artifact: tuple(found) for artifact, found in readers.items()}

    @cached_property
    def last_uses(self) -> Mapping[ArtifactId, float]:
        """Last use of each, seconds since 1970: its own, and when something was made from it."""
        uses = {artifact: entry.last_use for artifact, entry in self.entries.items()}
        for artifact in reversed(self.in_order):
            for read in self.entries[artifact].inputs:
                if read in uses:
                    uses[read] = max(uses[read], uses[artifact])
        return uses

    @cached_property
    def in_order(self) -> tuple[ArtifactId, ...]:
        """All artifacts, each after those that it was made from."""
        ordered: dict[ArtifactId, None] = {}
        for first in self.entries:
            waiting = [first]
            while waiting:
                artifact = waiting[-1]
                missing = [
                    each for each in self.entries[artifact].inputs if each in self.entries and each not in ordered
                ]
                if missing and artifact not in ordered:
                    waiting += missing  # keys are digests of those before, so there is no circle
                else:
                    ordered.setdefault(waiting.pop())
        return tuple(ordered)

    def rebuild_s(self, artifact: ArtifactId) -> float | None:
        """Seconds that making one again takes, from what it was made from: measured, or an estimate; None: unknown."""
        entry = self.entries.get(artifact)
        if entry is None or entry.manifest is None or entry.is_from_file:
            return None
        if entry.rebuild_s is not None:
            return entry.rebuild_s
        pace = self._paces.get(artifact.stage)
        return None if pace is None else pace * entry.manifest.size_bytes

    def is_estimate(self, artifact: ArtifactId) -> bool:
        """Whether `rebuild_s` is an estimate, from the sizes and times of other artifacts of the stage."""
        return self.entries[artifact].rebuild_s is None and self.rebuild_s(artifact) is not None

    @cached_property
    def _paces(self) -> Mapping[str, float]:
        """By stage, the median of seconds per byte."""
        paces: dict[str, list[float]] = {}
        for artifact, entry in self.entries.items():
            if entry.manifest is not None and entry.rebuild_s is not None and not entry.is_from_file:
                paces.setdefault(artifact.stage, []).append(entry.rebuild_s / max(entry.manifest.size_bytes, 1))
        return {stage: median(found) for stage, found in paces.items()}


def take_inventory(root: Path) -> Inventory:
    """All artifacts below a store's root. What vanishes meanwhile is left out. Raises OSError: it cannot be read."""
    return Inventory({entry.artifact: entry for entry in map(read_entry, list_artifacts(root)) if entry is not None})


def list_artifacts(root: Path) -> Iterator[tuple[Path, ArtifactId]]:
    """Folders whose names are those of artifacts; nothing in them is looked at."""
    for stage in _folders(root):
        if STAGE_NAME.fullmatch(stage.name) and stage.name not in NO_STAGES:
            yield from artifacts_of_stage(stage)


def artifacts_of_stage(stage: Path) -> Iterator[tuple[Path, ArtifactId]]:
    """The same of one folder of the root."""
    for folder in _folders(stage):
        if KEY_NAME.fullmatch(folder.name):
            yield folder, ArtifactId(stage.name, Key(folder.name))


def _folders(folder: Path) -> list[Path]:
    """Folders in a folder, by name; none where it is not there."""
    try:
        with os.scandir(folder) as found:
            return sorted(Path(entry.path) for entry in found if _is_folder(entry))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is one, or a link to one. Raises OSError: that cannot be known."""
    try:
        return entry.is_dir()
    except OSError as error:
        if is_damage(error):  # a link that leads back to itself: it is somebody's, and no artifact
            return False
        raise


def read_entry(found: tuple[Path, ArtifactId]) -> Entry | None:
    """One artifact; None where its folder is gone, or holds other things."""
    folder, artifact = found
    try:
        with os.scandir(folder) as scan:
            files = {entry.name: entry.stat(follow_symlinks=False) for entry in scan}
        is_link = folder.is_symlink()
    except OSError:
        return None
    if not all(name.startswith(NOTE) for name in files) and not files.keys() & {*OWN_FILES}:
        return None
    sealed = MANIFEST in files
    name = MANIFEST if sealed else FORGOTTEN
    manifest = _read_manifest(folder / name, artifact, files.get(name))
    payload = None if manifest is None else files.get(manifest.payload)
    used = files.get(RUN) or files.get(COLLECTED) or files.get(name)
    return Entry(
        artifact=artifact,
        manifest=manifest,
        is_forgotten=not sealed,
        is_marked=COLLECTED in files,
        is_link=is_link,
        is_remnant=all(name == COLLECTED or name.startswith(NOTE) for name in files),
        payload_bytes=payload.st_size if payload is not None and stat.S_ISREG(payload.st_mode) else None,
        size_bytes=0 if is_link else sum(each.st_size for each in files.values() if stat.S_ISREG(each.st_mode)),
        rebuild_s=read_rebuild_s(run_file(folder)),
        last_use=0.0 if used is None else used.st_mtime,
        stamp=stamp_of(files.get(MANIFEST), files.get(FORGOTTEN), files.get(RUN), payload),
    )


def stamp_of(*files: os.stat_result | None) -> tuple[int, ...]:
    """What differs when one of the files was replaced, written or used."""
    present = [(file.st_ino, file.st_size, file.st_mtime_ns) if file else (0, 0, 0) for file in files]
    return tuple(number for each in present for number in each)


def _read_manifest(file: Path, artifact: ArtifactId, status: os.stat_result | None) -> Manifest | None:
    """None of what is no manifest, or another artifact's, or of another format: then nothing is known of it."""
    if status is None or not stat.S_ISREG(status.st_mode):
        return None
    with suppress(OSError, ValueError):
        manifest = Manifest.from_json(read_regular(file, _MAX_MANIFEST_BYTES).decode())
        return manifest if manifest.node.artifact == artifact else None
    return None
