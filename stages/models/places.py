"""From the names that parameters give to the places where checkpoints and their components are.

A checkpoint is named by its folder, by a Hugging Face hub id, or as `builtin:<name>`, a folder of this package. What is
in a place is read in checkpoint.py.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from stages.errors import CheckpointError
from stages.models import hub, hub_cache
from stages.models.checkpoint import Checkpoint

BUILTIN_PREFIX = "builtin:"
_BUILTIN_FOLDER = Path(__file__).parent / "builtin"
_FIX = "Correct the path in params/model.toml or the video's file."
_CHECKPOINT = "model.checkpoint"


def resolve(
    checkpoint: str,
    revision: str = "",
    root: Path = Path(),
    *,
    variant: str = "",
    components: Mapping[str, str] = MappingProxyType({}),
) -> Checkpoint:
    """Find a checkpoint.

    Args:
        checkpoint: folder (absolute, `~`, or relative to `root`), hub id or `builtin:<name>`.
        revision: branch, tag or commit of a hub id, "" is `main`; "" for the other two. The commit of a branch or tag
            is looked up once (see `hub.find_commit`).
        root: the project's folder.
        variant: of the weights, such as "fp16".
        components: where single components are taken from, by their names: what `checkpoint` can be, or the folder of
            the component itself; a hub id may have `@` and a revision behind it.
    Raises:
        CheckpointError: there is no such checkpoint, the revision is not valid, or the hub does not answer.
    """
    elsewhere = {
        name: _resolve_one(f"model.components.{name}", *split_revision(text, root), root)
        for name, text in components.items()
    }
    return replace(_resolve_one(_CHECKPOINT, checkpoint, revision, root), variant=variant, elsewhere=elsewhere)


def resolve_offline(checkpoint: str, revision: str, root: Path) -> Checkpoint | None:
    """As `resolve`, without the network: None for a hub id whose commit is not in the hub's cache."""
    if hub.is_hub_id(checkpoint) and not (root / checkpoint).is_dir() and hub.would_ask(checkpoint, revision):
        return None
    return resolve(checkpoint, revision, root)


def split_revision(place: str, root: Path) -> tuple[str, str]:
    """What a component is taken from: a place as `checkpoint` names it, and the revision behind the @ of a hub id."""
    repo, _, revision = place.partition("@")
    return (repo, revision) if hub.is_hub_id(repo) and not _is_folder(root, place) else (place, "")


def _is_folder(root: Path, place: str) -> bool:
    with suppress(OSError, RuntimeError, ValueError):  # no path: `_resolve_one` says so
        return (root / Path(place).expanduser()).is_dir()
    return False


def _resolve_one(parameter: str, checkpoint: str, revision: str, root: Path) -> Checkpoint:
    if checkpoint.startswith(BUILTIN_PREFIX):
        _refuse_revision(parameter, checkpoint, revision)
        return _resolve_builtin(parameter, checkpoint.removeprefix(BUILTIN_PREFIX))
    try:
        folder = root / Path(checkpoint).expanduser()
        is_folder = folder.is_dir()
    except (OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{parameter} = {checkpoint!r}: not a usable path ({error}). {_FIX}") from error
    if is_folder:
        _refuse_revision(parameter, checkpoint, revision)
        return Checkpoint(folder)
    if hub.is_hub_id(checkpoint):
        commit = hub.find_commit(checkpoint, revision)
        return Checkpoint(hub_cache.snapshot_folder(checkpoint, commit), repo=checkpoint, commit=commit)
    repo, _, revision_behind = checkpoint.partition("@")
    if revision_behind and hub.is_hub_id(repo):
        raise CheckpointError(
            f"{parameter} = {checkpoint!r}: a revision stands on its own. Set checkpoint = {repo!r} and "
            f"revision = {revision_behind!r}."
        )
    raise CheckpointError(f"{parameter} = {checkpoint!r}: no such folder, and not a hub id (owner/name). {_FIX}")


def _resolve_builtin(parameter: str, name: str) -> Checkpoint:
    known = sorted(path.name for path in _BUILTIN_FOLDER.iterdir() if path.is_dir())
    if name not in known:
        raise CheckpointError(
            f"{parameter} = 'builtin:{name}': no such built-in checkpoint. There is: {', '.join(known)}."
        )
    return Checkpoint(_BUILTIN_FOLDER / name)


def _refuse_revision(parameter: str, checkpoint: str, revision: str) -> None:
    if revision:
        raise CheckpointError(
            f"model.revision = {revision!r}: only a hub id has revisions, and {parameter} = {checkpoint!r} is "
            'none. Set revision = "" beside it.'
        )
