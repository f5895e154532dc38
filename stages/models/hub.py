"""The Hugging Face hub: which commit a branch or tag means, which files it has, and how they get into the hub's cache.

The hub is asked once for the commit of a branch or tag, and once for the files of a commit. The answers are kept in the
hub's own cache (hub_cache.py); what is there is used without asking. `refs/<revision>` may be deleted to ask again.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from stages.errors import CheckpointError, StagesError
from stages.models import hub_cache
from stages.models.hub_listing import HubFile, read_entries
from stages.store.stat_cache import StatCache

# No name begins with a dot, and none holds "..": they become names of folders in the hub's cache.
_NAME = r"(?!\S*(?:\.\.|--))[A-Za-z0-9_][A-Za-z0-9_.-]*"
_ID = re.compile(f"{_NAME}/{_NAME}")
_REVISION = re.compile(r"(?!\S*\.\.)[A-Za-z0-9_][A-Za-z0-9_.+-]*(/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MAIN = "main"  # the hub's default branch
# Other forms of weights, which nothing here reads.
_FOREIGN_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.onnx", "*.onnx_data", "*.h5", "*.msgpack", "*.gguf")


def is_hub_id(name: str) -> bool:
    """Whether a name has the form owner/name."""
    return _ID.fullmatch(name) is not None


def would_ask(repo: str, revision: str) -> bool:
    """Whether `find_commit` would ask the hub."""
    revision = revision or _MAIN
    is_branch_or_tag = _REVISION.fullmatch(revision) and not _COMMIT.fullmatch(revision)
    return bool(is_branch_or_tag) and not hub_cache.ref_file(repo, revision).is_file()


def find_commit(repo: str, revision: str) -> str:
    """The commit of a revision: the one that the hub's cache keeps, or the hub's answer, which is kept from then on.

    The hub's own library keeps refs there too, but not when it is asked for a commit, as `download` does.

    Args:
        repo: hub id.
        revision: branch, tag or commit; "" is `main`.
    Returns:
        40 hex digits.
    Raises:
        CheckpointError: the revision is not valid, the hub does not answer, or its cache cannot be read or written.
    """
    revision = revision or _MAIN
    if not _REVISION.fullmatch(revision):
        raise CheckpointError(
            f"model.revision = {revision!r}: not the name of a branch or tag, and not a commit (40 hex digits). "
            "Correct it in params/model.toml or the video's file."
        )
    return revision if _COMMIT.fullmatch(revision) else _commit_of(repo, revision, hub_cache.ref_file(repo, revision))


def snapshot_folder(repo: str, commit: str) -> Path:
    """The folder of a commit in the hub's cache, whether it is there or not."""
    return hub_cache.snapshot_folder(repo, commit)


def list_files(repo: str, commit: str) -> Mapping[str, str]:
    """Blob id by path of all files of a commit, as the hub lists them. It is asked once: a commit never changes.

    Returns:
        By the path in the repository, with "/": git's SHA-1 of a small file, SHA-256 of a large one, in hex digits.
    Raises:
        CheckpointError: the hub does not answer, has no such commit, or lists what is no file of a repository.
    """
    return {path: file.blob_id for path, file in _list(repo, commit).items()}


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
    present = hub_cache.find_paths(repo, commit, hub_cache.read_listing(repo, commit))
    missing = sorted(set(paths) - present.keys())
    if not missing:
        return
    listing = _list(repo, commit)
    if unknown := [path for path in missing if path not in listing]:
        raise CheckpointError(f"{repo}@{commit}: has no {', '.join(unknown)}.")
    _bring_all(repo, commit, {path: listing[path] for path in missing}, progress)


def download(repo: str, commit: str, component: str) -> None:
    """Bring a component of a commit into the hub's cache, unless it is there. Raises CheckpointError."""
    # Imported here because it takes longer than everything else in a run that has nothing to do.
    from huggingface_hub import snapshot_download  # noqa: PLC0415

    try:
        snapshot_download(
            repo, revision=commit, allow_patterns=[f"{component}/*"], ignore_patterns=list(_FOREIGN_WEIGHTS)
        )
    except Exception as error:
        raise CheckpointError(
            f"{repo}@{commit}: component `{component}` cannot be downloaded "
            f"({_describe(error)}). Check the name and the network, or give a folder."
        ) from error


def _list(repo: str, commit: str) -> Mapping[str, HubFile]:
    listing = hub_cache.read_listing(repo, commit)
    if listing is not None:
        return listing
    from stages.models import hub_client  # noqa: PLC0415 (slow, and of no use where nothing is missing)

    try:
        listing = read_entries(hub_client.ask_entries(repo, commit))
    except Exception as error:
        raise CheckpointError(
            f"{repo}@{commit}: the hub cannot be asked for its files ({_describe(error)})."
        ) from error
    hub_cache.keep_listing(repo, commit, listing)
    return listing


def _bring_all(repo: str, commit: str, files: Mapping[str, HubFile], progress: Callable[[int, int], None]) -> None:
    from stages.models.hub_transfer import bring  # noqa: PLC0415 (as above)

    total_bytes, done_bytes = sum(file.size_bytes for file in files.values()), 0
    for path, file in sorted(files.items(), key=lambda each: each[1].size_bytes):  # what is refused is so at once

        def report(num_bytes: int, before: int = done_bytes) -> None:
            progress(before + num_bytes, total_bytes)

        try:
            bring(repo, commit, path, file, report)
        except StagesError:
            raise
        except Exception as error:
            raise CheckpointError(f"{repo}@{commit}: {path} cannot be downloaded ({_describe(error)}).") from error
        done_bytes += file.size_bytes


def _commit_of(repo: str, revision: str, ref: Path) -> str:
    try:
        commit = ref.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        commit = _ask_hub_for_commit(repo, revision)
        _write_ref(ref, commit)
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{ref}: cannot be read ({error}). Delete it; the hub is asked again.") from error
    if not _COMMIT.fullmatch(commit):
        raise CheckpointError(f"{ref}: holds no commit (40 hex digits). Delete it; the hub is asked again.")
    return commit


def _ask_hub_for_commit(repo: str, revision: str) -> str:
    from huggingface_hub import HfApi  # noqa: PLC0415 (as above)

    try:
        commit = HfApi().model_info(repo, revision=revision).sha
    except Exception as error:
        raise CheckpointError(
            f"model.checkpoint = {repo!r}: revision {revision!r} is not in the hub's cache, and the hub cannot be "
            f"asked for it ({_describe(error)}). Check the name and the network, set model.revision to a commit, or "
            "give a folder."
        ) from error
    if commit is None or not _COMMIT.fullmatch(commit):
        raise CheckpointError(f"model.checkpoint = {repo!r}: the hub names no commit for revision {revision!r}.")
    return str(commit)


def _write_ref(ref: Path, commit: str) -> None:
    try:
        hub_cache.write_whole(ref, commit)
    except OSError as error:
        raise CheckpointError(
            f"{ref}: cannot be written ({error.strerror}). Fix its folder's permissions, or set model.revision to "
            f"{commit}."
        ) from error


def _describe(error: Exception) -> str:
    """The type and text of an error of the hub's library, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
