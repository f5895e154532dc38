"""The hub's cache on disk: where a repository lies in it, what of a commit is there, and how files get there.

A repository's folder holds `refs/` (the commit of a branch or tag), `blobs/` (content, named by its id) and
`snapshots/<commit>/` (links to blobs, or plain files where links are not supported). Never asks the network.
"""

import errno
import functools
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol, runtime_checkable

from huggingface_hub import constants

from stages.machine.regular_files import open_regular, read_regular
from stages.models.hub_listing import HubFile, from_json, from_tree, is_blob_id, to_json
from stages.store.stat_cache import StatCache

_OURS = ".hunyuan-stages"  # in a repository's folder: lists of files, which the hub's library does not look at
_BLOBS, _SNAPSHOTS = "blobs", "snapshots"
_READ_BY_NOBODY = (".gitattributes", "README.md")  # a download of single components does not bring them
_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP)  # what file systems without links answer
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CHUNK_BYTES = 2**20
_MAX_LISTING_BYTES = 2**28  # as many files as a list may have, each with a long path
# The hub stores weights and whatever is larger by SHA-256, other files as git does.
_LARGE_SUFFIX, _LARGE_BYTES = ".safetensors", 10 * 2**20


@runtime_checkable  # tests check annotations on every call
class Hash(Protocol):
    """A hash in the making, as hashlib has them."""

    def update(self, content: bytes, /) -> None:
        """Read more."""

    def hexdigest(self) -> str:
        """Of what has been read, in hex digits."""


def is_commit(name: str) -> bool:
    """Whether a name is that of a commit: 40 hex digits."""
    return _COMMIT.fullmatch(name) is not None


def repo_folder(repo: str) -> Path:
    """The folder of a repository, whether it is there or not."""
    return Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"


def snapshot_folder(repo: str, commit: str) -> Path:
    """The folder of a commit, whether it is there or not."""
    return repo_folder(repo) / _SNAPSHOTS / commit


def blob_path(repo: str, blob_id: str) -> Path:
    """The file that holds the content with this id, whether it is there or not."""
    return repo_folder(repo) / _BLOBS / blob_id


def ref_file(repo: str, revision: str) -> Path:
    """The file that holds the commit of a branch or tag."""
    return repo_folder(repo) / "refs" / revision


def find_commits(repo: str) -> Sequence[str]:
    """The commits of which the cache has files, sorted."""
    with suppress(OSError):
        return sorted(entry.name for entry in os.scandir(repo_folder(repo) / _SNAPSHOTS) if is_commit(entry.name))
    return ()


def read_listing(repo: str, commit: str) -> Mapping[str, HubFile] | None:
    """The files of a commit as the hub has listed them before, to us or to its own library.

    None where neither list is kept, or what is kept is damaged, cannot be read, or is of a form that is not known.
    """
    tree = repo_folder(repo) / "trees" / f"{commit}.json"
    for file, parse in ((_listing_file(repo, commit), from_json), (tree, from_tree)):
        with suppress(OSError, ValueError):
            return parse(read_regular(file, _MAX_LISTING_BYTES).decode())
    return _unkept().get(_listing_file(repo, commit))


def keep_listing(repo: str, commit: str, files: Mapping[str, HubFile]) -> None:
    """Keep the files of a commit for `read_listing`: where the cache cannot be written, for this process only."""
    try:
        write_whole(_listing_file(repo, commit), to_json(files))
    except OSError:
        _unkept()[_listing_file(repo, commit)] = files


def is_known_to_lack(repo: str, commit: str, paths: Iterable[str]) -> bool:
    """Whether a commit is known to have none of these files, though its files were never listed.

    The hub's library notes each file that it has asked for in vain. And where files that nothing loads are there, all
    was downloaded, unless something is still coming.
    """
    missing = [path for path in paths if not (repo_folder(repo) / ".no_exist" / commit / path).is_file()]
    if not missing:
        return True
    has_all = any((snapshot_folder(repo, commit) / name).is_file() for name in _READ_BY_NOBODY)
    return has_all and not any((repo_folder(repo) / _BLOBS).glob("*.incomplete"))


def find_paths(repo: str, commit: str, listing: Mapping[str, HubFile] | None) -> Mapping[str, Path]:
    """The files of a commit that are there, by path in the repository; of another size than listed counts as absent."""
    root = snapshot_folder(repo, commit)
    found = {path.relative_to(root).as_posix(): path for path in _walk(root)}
    return {name: path for name, path in sorted(found.items()) if _is_whole(path, (listing or {}).get(name))}


def find_blob_id(path: Path, listed: HubFile | None, cache: StatCache | None) -> str:
    """The blob id of a file in a snapshot; see `hub.cached_files`. Raises OSError."""
    if path.is_symlink():
        target = path.readlink()
        if target.parent.name == _BLOBS and is_blob_id(target.name):
            return target.name
    if listed is not None:
        return listed.blob_id
    return str(cache.get("hub-blob", path, _compute_id) if cache else _compute_id(path))


def write_whole(path: Path, text: str) -> None:
    """Write a file so that no reader sees half of it. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(path)
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def place(blob: Path, path: Path) -> None:
    """Give a blob its place in a snapshot: a link, or the file itself where links are not supported. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(path)
    try:
        if constants.HF_HUB_DISABLE_SYMLINKS or not _link(draft, blob):
            blob.replace(path)
        else:
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def start_hash(blob_id: str, size_bytes: int) -> Hash:
    """A hash that has read nothing, of the kind by which a blob of this size got its id."""
    if len(blob_id) == 64:
        return hashlib.sha256()
    return hashlib.sha1(b"blob %d\0" % size_bytes, usedforsecurity=False)  # as git names content


def _draft(path: Path) -> Path:
    """A name that no process of any host has had: the cache may be shared, and process ids come again."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}")


def _link(link: Path, blob: Path) -> bool:
    """Make a relative link; False where the file system has none."""
    try:
        link.symlink_to(os.path.relpath(blob, link.parent))
    except OSError as refusal:
        if refusal.errno not in _NO_LINKS:
            raise
        return False
    return True


@functools.cache
def _unkept() -> dict[Path, Mapping[str, HubFile]]:
    """The lists that a cache has not taken, by the file that would hold each: one dictionary for the process."""
    return {}


def _listing_file(repo: str, commit: str) -> Path:
    return repo_folder(repo) / _OURS / f"files-{commit}.json"


def _walk(folder: Path) -> Iterator[Path]:
    """All files below a folder, and links, also those that lead nowhere; links to folders are not followed."""
    for parent, _, names in os.walk(folder):
        yield from (Path(parent) / name for name in names)


def _is_whole(path: Path, listed: HubFile | None) -> bool:
    try:
        status = path.stat()  # of a link that leads nowhere, an error
        return stat.S_ISREG(status.st_mode) and (listed is None or status.st_size == listed.size_bytes)
    except OSError:
        return False


def _compute_id(path: Path) -> str:
    """The id that the hub would give to a file's content."""
    with open_regular(path) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        is_large = path.suffix == _LARGE_SUFFIX or size_bytes > _LARGE_BYTES
        content = start_hash("0" * (64 if is_large else 40), size_bytes)
        while chunk := file.read(_CHUNK_BYTES):
            content.update(chunk)
    return content.hexdigest()
