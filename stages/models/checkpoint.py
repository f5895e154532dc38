"""A model checkpoint on disk: where its components are, and what identifies them in a key.

A checkpoint is a folder of components, as diffusers saves a pipeline: `transformer/`, `vae/`, ... It is named by its
folder, by a Hugging Face hub id, or as `builtin:<name>`, a folder of this package. No tensor is read here.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stages.errors import CheckpointError
from stages.keys import JsonValue, canonical_json, digest_bytes, digest_file
from stages.models import hub
from stages.models.hub_components import find_missing
from stages.store.stat_cache import StatCache

BUILTIN_PREFIX = "builtin:"
_BUILTIN_FOLDER = Path(__file__).parent / "builtin"
_FIX = "Correct the path in params/model.toml or the video's file."


@dataclass(frozen=True)
class Checkpoint:
    """Where the components of a checkpoint are.

    Attributes:
        folder: has one folder per component; for a hub id, it is the snapshot in the hub's cache.
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
        revision: branch, tag or commit of a hub id, "" is `main`; "" for the other two. The commit of a branch or tag
            is looked up once (see `hub.find_commit`).
    Raises:
        CheckpointError: there is no such checkpoint, the revision is not valid, or the hub does not answer.
    """
    if checkpoint.startswith(BUILTIN_PREFIX):
        _refuse_revision(checkpoint, revision)
        return _resolve_builtin(checkpoint.removeprefix(BUILTIN_PREFIX))
    try:
        folder = root / Path(checkpoint).expanduser()
        is_folder = folder.is_dir()
    except (OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"model.checkpoint = {checkpoint!r}: not a usable path ({error}). {_FIX}") from error
    if is_folder:
        _refuse_revision(checkpoint, revision)
        return Checkpoint(folder)
    if hub.is_hub_id(checkpoint):
        commit = hub.find_commit(checkpoint, revision)
        return Checkpoint(hub.snapshot_folder(checkpoint, commit), repo=checkpoint, commit=commit)
    repo, _, revision_behind = checkpoint.partition("@")
    if revision_behind and hub.is_hub_id(repo):
        raise CheckpointError(
            f"model.checkpoint = {checkpoint!r}: a revision stands on its own. Set checkpoint = {repo!r} and "
            f"revision = {revision_behind!r}."
        )
    raise CheckpointError(f"model.checkpoint = {checkpoint!r}: no such folder, and not a hub id (owner/name). {_FIX}")


def resolve_offline(checkpoint: str, revision: str, root: Path) -> Checkpoint | None:
    """As `resolve`, without the network: None for a hub id whose commit is not in the hub's cache."""
    if hub.is_hub_id(checkpoint) and not (root / checkpoint).is_dir() and hub.would_ask(checkpoint, revision):
        return None
    return resolve(checkpoint, revision, root)


def component_identity(checkpoint: Checkpoint, component: str, cache: StatCache) -> str:
    """What identifies a component in a key: the hub commit, or a digest of the names and bytes of its files.

    The digest does not depend on where the folder is. Bytes are read once per change (see stat_cache.py).

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
        raise CheckpointError(
            f"{error.filename or folder}: cannot be read ({error.strerror}). Check its permissions and its disk."
        ) from error
    return digest_bytes(canonical_json(contents))


def component_folder(checkpoint: Checkpoint, component: str) -> Path:
    """The folder of a component, which is downloaded first when it comes from the hub and is not in its cache.

    Raises:
        CheckpointError: the folder is missing, or the hub cannot be reached.
    """
    fetch_components(checkpoint, [component], lambda _done, _total: None)
    folder = checkpoint.folder / component
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder. The checkpoint is incomplete; download or copy it again.")
    return folder


def fetch_components(checkpoint: Checkpoint, components: Iterable[str], progress: Callable[[int, int], None]) -> None:
    """Download what is missing of components that come from the hub.

    Args:
        checkpoint: from `resolve`.
        components: their names.
        progress: called with the bytes that are there and the bytes in all, of what was missing.
    Raises:
        CheckpointError: something cannot be had.
    """
    if checkpoint.commit and (missing := find_missing(checkpoint.repo, checkpoint.commit, components)):
        hub.fetch(checkpoint.repo, checkpoint.commit, missing, progress)


def require_components(checkpoint: Checkpoint, components: Iterable[str]) -> None:
    """Find out whether what is missing of components can be downloaded, before anything is computed.

    Raises:
        CheckpointError: it cannot; without a network, all missing files of all components are named.
    """
    if checkpoint.commit and (missing := find_missing(checkpoint.repo, checkpoint.commit, components)):
        hub.require_access(checkpoint.repo, checkpoint.commit, missing)


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
