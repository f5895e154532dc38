"""From the names that parameters give to the places where checkpoints and their components are.

A checkpoint is named by its folder, by a Hugging Face hub id, or as `builtin:<name>`, a folder of this package. What is
in a place is read in checkpoint.py.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from stages.errors import CheckpointError
from stages.models import hub, hub_cache
from stages.models.checkpoint import Checkpoint
from stages.models.reference import CHECKPOINT, COMPONENTS, Reference

BUILTIN_PREFIX = "builtin:"
_BUILTIN_FOLDER = Path(__file__).parent / "builtin"


def resolve(
    checkpoint: str,
    revision: str = "",
    root: Path = Path(),
    *,
    variant: str = "",
    components: Mapping[str, str] = MappingProxyType({}),
    typed: Collection[str] = (),
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
        typed: the parameters that the command line names, such as "model.checkpoint"; messages say so.
    Raises:
        CheckpointError: there is no such checkpoint, the revision is not valid, or the hub does not answer.
    """
    elsewhere = {}
    for name, text in components.items():
        reference = replace(read_component(name, text, root), is_typed=f"{COMPONENTS}{name}" in typed)
        elsewhere[name] = resolve_reference(reference, root)
    reference = Reference(checkpoint, revision, is_typed=CHECKPOINT in typed)
    return replace(resolve_reference(reference, root), variant=variant, elsewhere=elsewhere)


def resolve_offline(reference: Reference, root: Path) -> Checkpoint | None:
    """As `resolve_reference`, without the network: None for a hub id whose commit is not in the hub's cache."""
    place = reference.place
    if hub.is_hub_id(place) and not (root / place).is_dir() and hub.would_ask(place, reference.revision):
        return None
    return resolve_reference(reference, root)


def read_component(name: str, text: str, root: Path) -> Reference:
    """What `model.components.<name>` refers to: a place as `checkpoint` names it, and a revision behind an @."""
    place, _, revision = text.partition("@")
    is_known = hub.is_hub_id(place) or place.startswith(BUILTIN_PREFIX) or _is_folder(root, place)
    if revision and is_known and not _is_folder(root, text):
        return Reference(place, revision, component=name)
    return Reference(text, component=name)


def resolve_reference(reference: Reference, root: Path) -> Checkpoint:
    """Find what a parameter refers to. Raises CheckpointError, as `resolve`."""
    place = reference.place
    if place.startswith(BUILTIN_PREFIX):
        _refuse_revision(reference)
        return _resolve_builtin(reference)
    try:
        folder = root / Path(place).expanduser()
        is_folder = folder.is_dir()
    except (OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{reference.where}: not a usable path ({error}). {reference.fix}") from error
    if is_folder:
        _refuse_revision(reference)
        return Checkpoint(folder)
    if hub.is_hub_id(place):
        commit = hub.find_commit(reference)
        return Checkpoint(hub_cache.snapshot_folder(place, commit), repo=place, commit=commit)
    repo, _, revision_behind = place.partition("@")
    if revision_behind and hub.is_hub_id(repo):
        raise CheckpointError(
            f"{reference.where}: a revision stands on its own. Set checkpoint = {repo!r} and "
            f"revision = {revision_behind!r}."
        )
    raise CheckpointError(f"{reference.where}: no such folder, and not a hub id (owner/name). {reference.fix}")


def list_builtin() -> list[str]:
    """The names of the checkpoints that ship with this package, as parameters name them."""
    return [f"{BUILTIN_PREFIX}{path.name}" for path in sorted(_BUILTIN_FOLDER.iterdir()) if path.is_dir()]


def _is_folder(root: Path, place: str) -> bool:
    with suppress(OSError, RuntimeError, ValueError):  # no path: `resolve_reference` says so
        return (root / Path(place).expanduser()).is_dir()
    return False


def _resolve_builtin(reference: Reference) -> Checkpoint:
    name = reference.place.removeprefix(BUILTIN_PREFIX)
    known = sorted(path.name for path in _BUILTIN_FOLDER.iterdir() if path.is_dir())
    if name not in known:
        raise CheckpointError(f"{reference.where}: no such built-in checkpoint. There is: {', '.join(known)}.")
    return Checkpoint(_BUILTIN_FOLDER / name)


def _refuse_revision(reference: Reference) -> None:
    if not reference.revision:
        return
    if reference.component:
        raise CheckpointError(
            f"{reference.where}: only a hub id has revisions, and {reference.place!r} is none. Take "
            f"`@{reference.revision}` away."
        )
    raise CheckpointError(
        f"{reference.where_revision}: only a hub id has revisions, and {reference.where} is none. "
        'Set revision = "" beside it.'
    )
