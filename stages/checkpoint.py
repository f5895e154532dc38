"""A model checkpoint on disk: where its components are, and what identifies them in a key.

A checkpoint is a folder of components, as diffusers saves a pipeline: `transformer/`, `vae/`, ... It is given as a
folder, as a Hugging Face hub id, or as `builtin:<name>` for a folder inside this package. Reads no tensor.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stages.errors import CheckpointError
from stages.keys import JsonValue, canonical_json, digest_bytes, digest_file
from stages.stat_cache import StatCache

BUILTIN_PREFIX = "builtin:"
_BUILTIN_FOLDER = Path(__file__).parent / "builtin"
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")


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


def resolve(checkpoint: str, revision: str, root: Path) -> Checkpoint:
    """Find a checkpoint.

    Args:
        checkpoint: folder (absolute, `~`, or relative to `root`), hub id or `builtin:<name>`.
        revision: branch, tag or commit of a hub id; "" is `main`.
    Raises:
        CheckpointError: nothing is there under that name.
    """
    if checkpoint.startswith(BUILTIN_PREFIX):
        return _resolve_builtin(checkpoint.removeprefix(BUILTIN_PREFIX))
    folder = root / Path(checkpoint).expanduser()
    if folder.is_dir():
        return Checkpoint(folder)
    if _HUB_ID.fullmatch(checkpoint):
        return _resolve_hub(checkpoint, revision or "main")
    raise CheckpointError(
        f"model.checkpoint = {checkpoint!r}: no such folder, and not a hub id (owner/name). "
        "Correct the path in params/model.toml or the video's file."
    )


def component_identity(checkpoint: Checkpoint, component: str, cache: StatCache) -> str:
    """What a component is, for a key: the hub commit, or a digest of the names and bytes of its files.

    The digest does not depend on where the folder lies. Bytes are read once per change (see stat_cache.py).

    Raises:
        CheckpointError: the folder lacks the component.
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
    contents: Mapping[str, JsonValue] = {
        path.relative_to(folder).as_posix(): cache.get("xxh3", path, digest_file) for path in files
    }
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


def _resolve_hub(repo: str, revision: str) -> Checkpoint:
    cached = _hub_cache() / f"models--{repo.replace('/', '--')}"
    if _COMMIT.fullmatch(revision):
        commit = revision
    else:
        try:
            commit = (cached / "refs" / revision).read_text().strip()
        except OSError:
            commit = _ask_hub_for_commit(repo, revision)
    return Checkpoint(cached / "snapshots" / commit, repo=repo, commit=commit)


def _hub_cache() -> Path:
    """The hub's cache folder, by the environment variables that huggingface_hub reads."""
    home = os.environ.get("HF_HOME", "~/.cache/huggingface")
    return Path(os.environ.get("HF_HUB_CACHE", f"{home}/hub")).expanduser()


def _ask_hub_for_commit(repo: str, revision: str) -> str:
    # Imported here because it takes longer than everything else in a run that has nothing to do.
    from huggingface_hub import HfApi  # noqa: PLC0415

    try:
        commit = HfApi().model_info(repo, revision=revision).sha
    except Exception as error:
        raise CheckpointError(
            f"model.checkpoint = {repo!r}: revision {revision!r} is not in the hub's cache, and the hub cannot be "
            f"asked for it ({type(error).__name__}). Check the name and the network, or give a folder."
        ) from error
    if commit is None:
        raise CheckpointError(f"model.checkpoint = {repo!r}: the hub names no commit for revision {revision!r}.")
    return str(commit)


def _download(checkpoint: Checkpoint, component: str) -> None:
    from huggingface_hub import snapshot_download  # noqa: PLC0415 (as above)

    try:
        snapshot_download(
            checkpoint.repo,
            revision=checkpoint.commit,
            allow_patterns=[f"{component}/*"],
            cache_dir=_hub_cache(),
        )
    except Exception as error:
        raise CheckpointError(
            f"{checkpoint.repo}@{checkpoint.commit}: component `{component}` cannot be downloaded "
            f"({type(error).__name__}: {error}). Check the name and the network, or give a folder."
        ) from error
