"""What a remote store has: one listing, and of what is wanted the small objects that say what it is."""

import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from stages.keys import ArtifactId, Digest
from stages.remote.bucket import Bucket
from stages.remote.entry import Entry
from stages.remote.in_parallel import NUM_SMALL_REQUESTS, map_in_parallel
from stages.remote.layout import ARTIFACTS, ENTRY_NAME, RECORDS, name_entry, variant_of


@dataclass(frozen=True)
class Found:
    """An artifact of a remote store; `is_whole`: its payload is there, too."""

    name: str
    entry: Entry
    is_whole: bool


@dataclass
class Catalog:
    """The artifacts of a remote store as they were when it was listed. May be used by several threads.

    Attributes:
        bucket: where they are.
        warn: is called with a message about an object that says nothing.
        damaged: names of such objects, and why.
    """

    bucket: Bucket
    warn: Callable[[str], None] = lambda _message: None
    damaged: dict[str, str] = field(default_factory=dict)
    _names: Collection[str] | None = None
    _found: dict[str, Found | None] = field(default_factory=dict)
    _adding: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def names(self) -> Collection[str]:
        """Of all objects that say what an artifact is. Raises RemoteError."""
        if self._names is None:
            listed = (each.name for kind in (ARTIFACTS, RECORDS) for each in self.bucket.list(kind))
            self._names = {name for name in listed if ENTRY_NAME.fullmatch(name)}
        return self._names

    def find(self, artifact: ArtifactId, variant: Digest) -> Found | None:
        """One variant of an artifact; None where there is none, or one that says nothing. Raises RemoteError."""
        for is_whole in (True, False):
            name = name_entry(artifact, variant, is_whole=is_whole)
            if name in self.names() and (found := self._read(name)) is not None:
                return found
        return None

    def prepare(self, wanted: Iterable[tuple[ArtifactId, Digest]]) -> None:
        """Read what `find` will be asked for, several at a time. Raises RemoteError."""
        names = []
        for artifact, variant in wanted:
            both = (name_entry(artifact, variant, is_whole=is_whole) for is_whole in (True, False))
            name = next((each for each in both if each in self.names()), None)
            if name is not None and name not in self._found:
                names.append(name)
        for _ in map_in_parallel(self._read, dict.fromkeys(names), NUM_SMALL_REQUESTS):
            pass

    def drop(self, name: str) -> None:
        """From now on there is no object of this name."""
        self._found[name] = None

    def add(self, name: str, entry: Entry, *, is_whole: bool) -> None:
        """From now on there is this object."""
        self.names()
        with self._adding:
            self._found[name] = Found(name, entry, is_whole)
            self._names = {*self.names(), name}

    def _read(self, name: str) -> Found | None:
        if name not in self._found:
            self._found[name] = self.read(name)
        return self._found[name]

    def read(self, name: str) -> Found | None:
        """What an object says at present; None where it is gone, or says nothing. Raises RemoteError."""
        content = self.bucket.get(name)
        if content is None:
            return None
        parts = ENTRY_NAME.fullmatch(name)
        assert parts is not None
        try:
            entry = Entry.from_bytes(content)
            manifest = entry.manifest
            if (manifest.stage, manifest.key, variant_of(manifest)) != (parts["stage"], parts["key"], parts["variant"]):
                raise ValueError("it is that of another artifact")
        except ValueError as error:
            if name not in self.damaged:
                self.warn(f"{name}: is damaged ({error}). It counts for nothing, and is put again by who makes that.")
            self.damaged[name] = str(error)
            return None
        return Found(name, entry, parts["kind"] == ARTIFACTS)
