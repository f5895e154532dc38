"""A model checkpoint on disk: where its components are, and what identifies them in a key.

A checkpoint is a folder of components, as diffusers saves a pipeline: `transformer/`, `vae/`, ... It is given as a
folder, as a Hugging Face hub id, or as `builtin:<name>` for a folder inside this package. Reads no tensor.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants

from stages.errors import CheckpointError
from stages.keys import JsonValue, canonical_json, digest_bytes, digest_file
from stages.store.stat_cache import StatCache

BUILTIN_PREFIX = "builtin:"
_BUILTIN_FOLDER = Path(__file__).parent / "builtin"
# No name begins with a dot, and none holds "..": they become names of folders in the hub's cache.
_HUB_NAME = r"(?!\S*(?:\.\.|--))[A-Za-z0-9_][A-Za-z0-9_.-]*"
_HUB_ID = re.compile(f"{_HUB_NAME}/{_HUB_NAME}")
_REVISION = re.compile(r"(?!\S*\.\.)[A-Za-z0-9_][A-Za-z0-9_.+-]*(/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*")
_MAIN = "main"  # the hub's default branch
_COMMIT = re.compile(r"[0-9a-f]{40}")
# Other forms of weights, which nothing here reads.
_FOREIGN_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.onnx", "*.onnx_data", "*.h5", "*.msgpack", "*.gguf")
_MEND = "Correct the path in params/model.toml or the video's file."


@dataclass(frozen=True)
class Checkpoint:
    """Where the components are.

    Attributes:
        folder: holds one folder per component; for a hub id the snapshot's folder in the hub's cache.
        repo: the hub id, or "" for a folder.
        commit: the hub commit, 40 hex digits, or "" for a folder.
    """

    folder: Path
    repo: str = ""
    commit: str = ""


def resolve(checkpoint: str, revision: str = "", root: Path = Path()) -> Checkpoint:
    """Find a checkpoint.

    Args:
        checkpoint: folder (absolute, `~`, or relative to `root`), hub id or `builtin:<name>`.
        revision: branch, tag or commit of a hub id, "" is `main`; "" for the other two. The hub is asked once for
            the commit of a branch or tag, which then stands in `refs/<revision>` of the hub's cache: another one is
            taken when that file is deleted, or when `revision` names it.
    Raises:
        CheckpointError: nothing is there under that name, the revision is no revision, or the hub does not answer.
    """
    if checkpoint.startswith(BUILTIN_PREFIX):
        _refuse_revision(checkpoint, revision)
        return _resolve_builtin(checkpoint.removeprefix(BUILTIN_PREFIX))
    try:
        folder = root / Path(checkpoint).expanduser()
        is_folder = folder.is_dir()
    except (OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"model.checkpoint = {checkpoint!r}: not a usable path ({error}). {_MEND}") from error
    if is_folder:
        _refuse_revision(checkpoint, revision)
        return Checkpoint(folder)
    if _HUB_ID.fullmatch(checkpoint):
        return _resolve_hub(checkpoint, revision or _MAIN)
    repo, _, revision_behind = checkpoint.partition("@")
    if revision_behind and _HUB_ID.fullmatch(repo):
        raise CheckpointError(
            f"model.checkpoint = {checkpoint!r}: a revision stands on its own. Set checkpoint = {repo!r} and "
            f"revision = {revision_behind!r}."
        )
    raise CheckpointError(f"model.checkpoint = {checkpoint!r}: no such folder, and not a hub id (owner/name). {_MEND}")


def resolve_offline(checkpoint: str, revision: str, root: Path) -> Checkpoint | None:
    """As `resolve`, but the hub is not asked: None for a hub id whose commit is not in the hub's cache."""
    branch = revision or _MAIN
    if (
        _HUB_ID.fullmatch(checkpoint)
        and _REVISION.fullmatch(branch)
        and not _COMMIT.fullmatch(branch)
        and not (root / checkpoint).is_dir()
        and not _ref(checkpoint, branch).is_file()
    ):
        return None
    return resolve(checkpoint, revision, root)


def component_identity(checkpoint: Checkpoint, component: str, cache: StatCache) -> str:
    """What a component is, for a key: the hub commit, or a digest of the names and bytes of its files.

    The digest does not depend on where the folder lies. Bytes are read once per change (see stat_cache.py).

    Raises:
        CheckpointError: the folder lacks the component, or a file cannot be read.
    """
    if checkpoint.commit:
        return f"{checkpoint.repo}@{checkpoint.commit}"
    folder = checkpoint.folder / component
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise CheckpointError(
            f"{checkpoint.folder}: has no component `{component}`. "
            "A HunyuanVideo-1.5 checkpoint has one folder per component, as diffusers' save_pretrained writes them."
        )
    try:
        contents: Mapping[str, JsonValue] = {
            path.relative_to(folder).as_posix(): cache.get("xxh3", path, digest_file) for path in files
        }
    except OSError as error:
        raise CheckpointError(f"{error.filename or folder}: cannot be read ({error.strerror}). Mend that.") from error
    return digest_bytes(canonical_json(contents))


def component_folder(checkpoint: Checkpoint, component: str) -> Path:
    """The folder of a component, downloaded first when it comes from the hub and is not in its cache.

    Raises:
        CheckpointError: the folder is missing, or the hub cannot be reached.
    """
    folder = checkpoint.folder / component
    if checkpoint.commit:
        _download(checkpoint, component)
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder. The checkpoint is incomplete; download or copy it again.")
    return folder


def _resolve_builtin(name: str) -> Checkpoint:
    known = sorted(path.name for path in _BUILTIN_FOLDER.iterdir() if path.is_dir())
    if name not in known:
        raise CheckpointError(
            f"model.checkpoint = 'builtin:{name}': no such built-in checkpoint. There is: {', '.join(known)}."
        )
    return Checkpoint(_BUILTIN_FOLDER / name)


def _refuse_revision(checkpoint: str, revision: str) -> None:
    if revision:
        raise CheckpointError(
            f"model.revision = {revision!r}: only a hub id has revisions, and model.checkpoint = {checkpoint!r} is "
            'none. Set revision = "" beside it.'
        )


def _resolve_hub(repo: str, revision: str) -> Checkpoint:
    if not _REVISION.fullmatch(revision):
        raise CheckpointError(
            f"model.revision = {revision!r}: not the name of a branch or tag, and not a commit (40 hex digits). "
            "Correct it in params/model.toml or the video's file."
        )
    commit = revision if _COMMIT.fullmatch(revision) else _commit_of(repo, revision, _ref(repo, revision))
    return Checkpoint(_cached(repo) / "snapshots" / commit, repo=repo, commit=commit)


def _cached(repo: str) -> Path:
    return Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"


def _ref(repo: str, revision: str) -> Path:
    """The file that holds the commit of a branch or tag."""
    return _cached(repo) / "refs" / revision


def _commit_of(repo: str, revision: str, ref: Path) -> str:
    """The commit that `ref` keeps for a branch or tag; the hub's, which is kept from then on, when there is none.

    The hub's own library keeps refs there too, but not when it is asked for a commit, as _download does.
    """
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
    # Imported here because it takes longer than everything else in a run that has nothing to do.
    from huggingface_hub import HfApi  # noqa: PLC0415

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
    """Keep a commit; a reader sees no half-written file."""
    try:
        ref.parent.mkdir(parents=True, exist_ok=True)
        draft = ref.with_name(f".{ref.name}.{os.getpid()}")
        draft.write_text(commit, encoding="utf-8")
        draft.replace(ref)
    except OSError as error:
        raise CheckpointError(
            f"{ref}: cannot be written ({error.strerror}). Mend its folder's permissions, or set model.revision to "
            f"{commit}."
        ) from error


def _download(checkpoint: Checkpoint, component: str) -> None:
    from huggingface_hub import snapshot_download  # noqa: PLC0415 (as above)

    try:
        snapshot_download(
            checkpoint.repo,
            revision=checkpoint.commit,
            allow_patterns=[f"{component}/*"],
            ignore_patterns=list(_FOREIGN_WEIGHTS),
        )
    except Exception as error:
        raise CheckpointError(
            f"{checkpoint.repo}@{checkpoint.commit}: component `{component}` cannot be downloaded "
            f"({_describe(error)}). Check the name and the network, or give a folder."
        ) from error


def _describe(error: Exception) -> str:
    """Kind and reason of an error of the hub's library, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
