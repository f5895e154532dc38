"""The Hugging Face hub: which commit a branch or tag means, where the hub's cache has it, and downloads.

The hub is asked once for the commit of a branch or tag. The answer is kept in `refs/<revision>` of the hub's own cache;
delete that file to ask again.
"""

import os
import re
from pathlib import Path

from huggingface_hub import constants

from stages.errors import CheckpointError

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
    return bool(is_branch_or_tag) and not _ref(repo, revision).is_file()


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
    return revision if _COMMIT.fullmatch(revision) else _commit_of(repo, revision, _ref(repo, revision))


def snapshot_folder(repo: str, commit: str) -> Path:
    """The folder of a commit in the hub's cache, whether it is there or not."""
    return _cached(repo) / "snapshots" / commit


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


def _cached(repo: str) -> Path:
    return Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"


def _ref(repo: str, revision: str) -> Path:
    """The file that holds the commit of a branch or tag."""
    return _cached(repo) / "refs" / revision


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
    """Keep a commit; no reader sees a half-written file."""
    try:
        ref.parent.mkdir(parents=True, exist_ok=True)
        draft = ref.with_name(f".{ref.name}.{os.getpid()}")
        draft.write_text(commit, encoding="utf-8")
        draft.replace(ref)
    except OSError as error:
        raise CheckpointError(
            f"{ref}: cannot be written ({error.strerror}). Fix its folder's permissions, or set model.revision to "
            f"{commit}."
        ) from error


def _describe(error: Exception) -> str:
    """The type and text of an error of the hub's library, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
