"""Where the files of one component are, in a folder or in a commit of the hub: their names, and what identifies them.

Which of them are picked is decided in component_files.py; what is asked of the hub, in hub.py.
"""

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, cast

from stages.errors import CheckpointError
from stages.keys import JsonValue
from stages.machine.regular_files import digest_file, read_regular
from stages.models import hub, hub_cache
from stages.models.component_files import Picked, find_undecided, parse_index, pick_files
from stages.models.weight_names import find_variants
from stages.pipeline.component import Component
from stages.store.stat_cache import StatCache


@dataclass(frozen=True)
class FolderSource:
    """A component in a folder; its content is identified by the digests of its bytes."""

    folder: Path

    @property
    def where(self) -> str:
        """The folder."""
        return str(self.folder)

    @property
    def fix(self) -> str:
        """What to do where something is missing."""
        return "The component is incomplete: download or copy it again."

    def names(self) -> Collection[str]:
        """Of all files there; none where there is no such folder."""
        try:
            with os.scandir(self.folder) as entries:
                return frozenset(entry.name for entry in entries if entry.is_file())
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise _unreadable(self.folder, error) from error

    def shards(self, index: str, cache: StatCache | None) -> Collection[str]:
        """The names of the files that an index names; parsed once per change."""
        path = self.folder / index
        try:
            found = cache.get("shards", path, _list_shards) if cache else _list_shards(path)
        except OSError as error:
            raise _unreadable(path, error) from error
        return cast("list[str]", found)

    def digests(self, names: Collection[str], cache: StatCache) -> Mapping[str, JsonValue]:
        """XXH3-128 of each file; its bytes are read once per change."""
        try:
            return {name: cache.get("xxh3", self.folder / name, digest_file) for name in names}
        except OSError as error:
            raise _unreadable(self.folder, error) from error


@dataclass(frozen=True)
class HubSource:
    """A component in a commit of the hub; its content is identified by the ids of its blobs.

    Attributes:
        repo, commit: of the hub.
        prefix: of its files' paths: its folder with a "/", or "" where the repository is nothing but it.
        paths: of all files of the commit.
        is_listed: whether the hub has listed them; else they are those that its cache holds.
    """

    repo: str
    commit: str
    prefix: str
    paths: Collection[str]
    is_listed: bool

    @property
    def folder(self) -> Path:
        """In the hub's cache."""
        return hub_cache.snapshot_folder(self.repo, self.commit) / self.prefix

    @property
    def where(self) -> str:
        """Repository, commit and folder."""
        return f"{self.repo}@{self.commit}/{self.prefix}".removesuffix("/")

    @property
    def fix(self) -> str:
        """What to do where something is missing."""
        return "The repository is incomplete: use another one, or another revision."

    def names(self) -> Collection[str]:
        """Of all files there."""
        found = (path.removeprefix(self.prefix) for path in self.paths if path.startswith(self.prefix))
        return frozenset(name for name in found if "/" not in name)

    def shards(self, index: str, cache: StatCache | None) -> Collection[str]:
        """The names of the files that an index names; the index is downloaded if it is not there."""
        self.fetch([index])
        return FolderSource(self.folder).shards(index, cache)

    def digests(self, names: Collection[str], cache: StatCache) -> Mapping[str, JsonValue]:
        """Blob id of each file."""
        ids = hub.list_files(*self._of) if self.is_listed else hub.cached_files(*self._of, cache)
        return {name: ids[f"{self.prefix}{name}"] for name in names}

    def sizes(self, names: Collection[str]) -> Mapping[str, int]:
        """Bytes of each file, as the hub lists them. Raises CheckpointError: it does not answer."""
        sizes = hub.list_sizes(*self._of)
        return {name: sizes[f"{self.prefix}{name}"] for name in names}

    def fetch(self, names: Iterable[str], progress: Callable[[int, int], None] = lambda _done, _total: None) -> None:
        """Bring files into the hub's cache, unless they are there; `progress` in bytes. Raises CheckpointError."""
        hub.fetch(*self._of, [f"{self.prefix}{name}" for name in names], progress)

    @property
    def _of(self) -> tuple[str, str]:
        return self.repo, self.commit


Source: TypeAlias = FolderSource | HubSource


def find_in_hub(
    repo: str, commit: str, component: Component, *, variant: str, may_be_root: bool, cache: StatCache | None
) -> tuple[HubSource, Picked]:
    """A component of a commit, and the files that the stage reads.

    The hub is asked for the files of the commit only where `needs_listing` says so.

    Args:
        repo, commit: of the hub.
        component: as the stage declares it.
        variant: of the weights, "" for none.
        may_be_root: whether the repository can be nothing but the component, as one that `model.components` names.
        cache: remembers what was read from files.
    Raises:
        CheckpointError: files are missing, or the hub does not answer.
    """
    if not hub.is_listed(repo, commit) and (
        found := _find_unlisted(repo, commit, component, variant=variant, may_be_root=may_be_root, cache=cache)
    ):
        return found
    paths = hub.list_files(repo, commit, wanted=[f"{component.name}/*"]).keys()
    source = _source_in_hub(repo, commit, component, paths, may_be_root=may_be_root, is_listed=True)
    return source, pick(component, source, variant=variant, cache=cache)


def needs_listing(
    repo: str, commit: str, component: Component, *, variant: str, may_be_root: bool, cache: StatCache | None
) -> bool:
    """Whether `find_in_hub` has to ask the hub for the files of the commit. The network is not used."""
    return (
        not hub.is_listed(repo, commit)
        and _find_unlisted(repo, commit, component, variant=variant, may_be_root=may_be_root, cache=cache) is None
    )


def _find_unlisted(
    repo: str, commit: str, component: Component, *, variant: str, may_be_root: bool, cache: StatCache | None
) -> tuple[HubSource, Picked] | None:
    """As `find_in_hub`, from what the cache holds of a commit whose files were never listed.

    None where that is not a whole component, or where the hub may have a file with which another choice would be made:
    a component is identified by what its commit holds, not by how much of that was downloaded.
    """
    paths = hub_cache.find_paths(repo, commit, None).keys()
    source = _source_in_hub(repo, commit, component, paths, may_be_root=may_be_root, is_listed=False)
    with suppress(CheckpointError):
        picked = pick(component, source, variant=variant, cache=cache)
        has_variant = picked.variant == variant or not component.weights
        undecided = [f"{source.prefix}{name}" for name in find_undecided(component, source.names())]
        if has_variant and hub_cache.is_known_to_lack(repo, commit, undecided):
            return source, picked
    return None


def _source_in_hub(
    repo: str, commit: str, component: Component, paths: Collection[str], *, may_be_root: bool, is_listed: bool
) -> HubSource:
    folder = f"{component.name}/"
    is_root = may_be_root and not any(path.startswith(folder) for path in paths)
    return HubSource(repo, commit, "" if is_root else folder, paths, is_listed)


def pick(component: Component, source: Source, *, variant: str, cache: StatCache | None) -> Picked:
    """The files that the stage reads. Raises CheckpointError (see `pick_files`)."""
    return pick_files(
        component,
        source.names(),
        variant=variant,
        read_shards=lambda index: source.shards(index, cache),
        where=source.where,
        fix=source.fix,
    )


def has_variant(folder: Path, repo: str, commit: str, variant: str) -> bool:
    """Whether a component of a checkpoint has weights of a variant. `repo` and `commit` are "" for a folder."""
    if commit:
        names = [path.rpartition("/")[2] for path in hub.list_files(repo, commit)]
    else:
        names = [path.name for pattern in ("*", "*/*") for path in folder.glob(pattern)]
    return variant in find_variants(names)


def _list_shards(path: Path) -> JsonValue:
    return cast("JsonValue", sorted(parse_index(read_regular(path), str(path))))


def _unreadable(path: Path, error: OSError) -> CheckpointError:
    return CheckpointError(
        f"{error.filename or path}: cannot be read ({error.strerror}). Check its permissions and its disk."
    )
