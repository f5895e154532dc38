"""The Hugging Face hub: which commit a branch or tag means, which files it has, and how they get into the hub's cache.

The hub is asked once for the commit of a branch or tag, and once for the files of a commit. The answers are kept in the
hub's own cache (hub_cache.py); what is there is used without asking. `refs/<revision>` may be deleted to ask again.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from huggingface_hub import constants

from stages.errors import CheckpointError
from stages.machine.credentials import hide_credentials
from stages.machine.regular_files import read_regular, reason_of
from stages.models import hub_cache
from stages.models.hub_listing import HubFile, read_entries
from stages.models.reference import Reference
from stages.store.stat_cache import StatCache

# No name begins with a dot, and none holds "..": they become names of folders in the hub's cache.
_NAME = r"(?!\S*(?:\.\.|--))[A-Za-z0-9_][A-Za-z0-9_.-]*"
_ID = re.compile(f"{_NAME}/{_NAME}")
_REVISION = re.compile(r"(?!\S*\.\.)[A-Za-z0-9_][A-Za-z0-9_.+-]*(/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*")
_SHORT_COMMIT = re.compile(r"[0-9a-f]{7,39}")
_MAIN = "main"  # the hub's default branch


def is_hub_id(name: str) -> bool:
    """Whether a name has the form owner/name."""
    return _ID.fullmatch(name) is not None


def would_ask(repo: str, revision: str) -> bool:
    """Whether `find_commit` would ask the hub."""
    revision = revision or _MAIN
    return _REVISION.fullmatch(revision) is not None and not _find_offline(repo, revision)


def find_commit(reference: Reference) -> str:
    """The commit of a hub id's revision: the one that the hub's cache keeps, or the hub's answer.

    The answer is kept from then on. The hub's own library keeps refs there too, but not when it is asked for a commit.

    Args:
        reference: to a hub id; its revision is a branch, tag or commit, "" is `main`. A commit that the cache has may
            be cut to 7 digits or more.
    Returns:
        40 hex digits.
    Raises:
        CheckpointError: the revision is not valid, the hub does not answer, or its cache cannot be read or written.
    """
    repo, revision = reference.place, reference.revision or _MAIN
    if not _REVISION.fullmatch(revision):
        behind = f"behind the @ is {revision!r}, " if reference.component else ""
        raise CheckpointError(
            f"{reference.where_revision}: {behind}not the name of a branch or tag, and not a commit (40 hex digits). "
            "Correct it in params/model.toml or the video's file."
        )
    if found := _find_offline(repo, revision):
        return found
    commit = _ask_hub_for_commit(reference, revision)
    _write_ref(hub_cache.ref_file(repo, revision), reference, commit)
    return commit


def list_files(repo: str, commit: str, *, wanted: Collection[str] = ()) -> Mapping[str, str]:
    """Blob id by path of all files of a commit, as the hub lists them. It is asked once: a commit never changes.

    Args:
        repo, commit: of the hub.
        wanted: paths or patterns of paths, which the message names when the hub cannot be reached.
    Returns:
        By the path in the repository, with "/": git's SHA-1 of a small file, SHA-256 of a large one, in hex digits.
    Raises:
        CheckpointError: the hub does not answer, has no such commit, or lists what is no file of a repository.
    """
    return {path: file.blob_id for path, file in _list(repo, commit, wanted).items()}


def list_sizes(repo: str, commit: str) -> Mapping[str, int]:
    """Bytes by path of all files of a commit; otherwise as `list_files`."""
    return {path: file.size_bytes for path, file in _list(repo, commit, ()).items()}


def is_listed(repo: str, commit: str) -> bool:
    """Whether the files of a commit are known, so that `list_files` does not ask the hub."""
    return hub_cache.read_listing(repo, commit) is not None


def known_files(repo: str, commit: str) -> Collection[str]:
    """The paths of those files of a commit that the hub has listed before, or else that its cache holds."""
    listing = hub_cache.read_listing(repo, commit)
    return hub_cache.find_paths(repo, commit, None).keys() if listing is None else listing.keys()


def cached_files(repo: str, commit: str, cache: StatCache | None = None) -> Mapping[str, str]:
    """Blob id by path of those files of a commit that the hub's cache holds whole. The network is not used.

    The id is the name of the blob that a snapshot links to. Where the snapshot holds plain files, it is what the hub
    has listed for a file of that size, if it was ever asked, and else computed from the content.

    Args:
        repo, commit: of the hub; there need be nothing of them in the cache.
        cache: remembers ids that were computed; without one, they are computed each time.
    Raises:
        CheckpointError: a file whose id must be computed cannot be read.
    """
    listing = hub_cache.read_listing(repo, commit) or {}
    paths = hub_cache.find_paths(repo, commit, listing)
    try:
        return {name: hub_cache.find_blob_id(path, listing.get(name), cache) for name, path in paths.items()}
    except OSError as error:
        raise CheckpointError(
            f"{error.filename}: cannot be read ({error.strerror}). Check its permissions and its disk."
        ) from error


def fetch(repo: str, commit: str, paths: Iterable[str], progress: Callable[[int, int], None]) -> None:
    """Bring files of a commit into the hub's cache, unless they are there. Where all are there, nothing is asked.

    Args:
        repo, commit: of the hub.
        paths: in the repository, with "/".
        progress: called with the bytes that are there and the bytes in all, of the files that were missing.
    Raises:
        CheckpointError: a file is not in the repository, cannot be had, or is not what the hub has listed, or the
            cache cannot be written. What has come of a file is kept for the next time, and never taken for whole.
    """
    if missing := _find_missing(repo, commit, paths):
        from stages.models.hub_download import download  # noqa: PLC0415 (as below)

        download(repo, commit, missing, progress)


def require_access(repo: str, commit: str, paths: Iterable[str]) -> bool:
    """Find out whether missing files can be had, by a byte of one; whether any is missing. If not, nothing is asked.

    Raises:
        CheckpointError: as `fetch`. Where the hub cannot be reached, all that is missing is named.
    """
    missing = _find_missing(repo, commit, paths)
    if missing:
        from stages.models.hub_download import probe  # noqa: PLC0415 (as below)

        probe(repo, commit, missing)
    return bool(missing)


def find_missing_bytes(repo: str, commit: str, paths: Iterable[str]) -> Mapping[Path, int]:
    """How many bytes have still to come of those files that are not in the cache, by the file that takes them.

    Raises:
        CheckpointError: the hub does not answer.
    """
    missing = _find_missing(repo, commit, paths)
    if not missing:
        return {}
    from stages.models.hub_transfer import count_missing_bytes  # noqa: PLC0415 (as below)

    files = {hub_cache.blob_path(repo, file.blob_id): file for file in missing.values()}
    return {path: count_missing_bytes(repo, file) for path, file in files.items()}


def read_header(repo: str, commit: str, path: str) -> bytes:
    """The header of a safetensors file of a commit, with its length before it, as far as the file has it; unchecked.

    Raises:
        CheckpointError: it cannot be had.
    """
    from stages.models.hub_download import download_header  # noqa: PLC0415 (as below)

    return download_header(repo, commit, path)


def _find_offline(repo: str, revision: str) -> str:
    """The commit of a revision as far as the cache knows it, else ""."""
    if hub_cache.is_commit(revision):
        return revision
    ref = hub_cache.ref_file(repo, revision)
    try:
        commit = read_regular(ref).decode().strip()
    except (FileNotFoundError, NotADirectoryError):
        snapshots = hub_cache.find_commits(repo) if _SHORT_COMMIT.fullmatch(revision) else ()
        matching = [commit for commit in snapshots if commit.startswith(revision)]
        return matching[0] if len(matching) == 1 else ""
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"{ref}: cannot be read ({reason_of(error)}). Delete it; the hub is asked again."
        ) from error
    if not hub_cache.is_commit(commit):
        raise CheckpointError(f"{ref}: holds no commit (40 hex digits). Delete it; the hub is asked again.")
    return commit


def _ask_hub_for_commit(reference: Reference, revision: str) -> str:
    # Imported here because it takes longer than everything else in a run that has nothing to do.
    from stages.models import hub_client, hub_refusals  # noqa: PLC0415

    repo, where = reference.place, reference.where
    try:
        commit = hub_client.ask_commit(repo, revision)
    except Exception as error:
        known = hub_cache.find_commits(repo)
        instead = f" The cache has {', '.join(known)}: set {reference.setting(known[0])}." if known else ""
        raise CheckpointError(
            f"{where}: the commit of its revision {revision!r} is not known: "
            f"{hub_refusals.explain(error, repo, revision)}{instead}"
        ) from None
    if not isinstance(commit, str) or not hub_cache.is_commit(commit):
        raise CheckpointError(f"{where}: the hub names no commit for revision {revision!r}.")
    return commit


def _write_ref(ref: Path, reference: Reference, commit: str) -> None:
    try:
        hub_cache.write_whole(ref, commit)
    except OSError as error:
        raise CheckpointError(
            f"{ref}: cannot be written ({error.strerror}). Fix its folder's permissions, or set "
            f"{reference.setting(commit)}."
        ) from error


def _find_missing(repo: str, commit: str, paths: Iterable[str]) -> Mapping[str, HubFile]:
    """Of these files, those that are not in the cache, as the hub lists them."""
    missing = sorted(set(paths) - hub_cache.find_paths(repo, commit, hub_cache.read_listing(repo, commit)).keys())
    if not missing:
        return {}
    listing = _list(repo, commit, missing)
    if unknown := [path for path in missing if path not in listing]:
        raise CheckpointError(
            f"{repo}@{commit}: the repository has no {', '.join(unknown)}. Look at "
            f"{hide_credentials(constants.ENDPOINT)}/{repo}, or take another revision."
        )
    return {path: listing[path] for path in missing}


def _list(repo: str, commit: str, wanted: Collection[str]) -> Mapping[str, HubFile]:
    listing = hub_cache.read_listing(repo, commit)
    if listing is not None:
        return listing
    from stages.models import hub_client, hub_refusals  # noqa: PLC0415 (as above)

    try:
        listing = read_entries(hub_client.ask_entries(repo, commit))
    except Exception as error:
        raise hub_refusals.refusal(error, repo, commit, wanted) from None
    hub_cache.keep_listing(repo, commit, listing)
    return listing
