"""A model checkpoint: where its components are, and what identifies them in a key.

A checkpoint is a folder of components, as diffusers saves a pipeline: `transformer/`, `vae/`, ...; single components
can be taken from elsewhere. How parameters name one is in places.py. No tensor is read here.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.errors import CheckpointError
from stages.keys import canonical_json, digest_bytes
from stages.models import hub
from stages.models.component_files import ComponentFiles, Picked
from stages.models.component_source import (
    FolderSource,
    HubSource,
    Source,
    find_in_hub,
    has_variant,
    needs_listing,
    pick,
)
from stages.models.pipeline_class import MODEL_INDEX, explain_layout
from stages.models.settings import Settings, read_settings
from stages.pipeline.component import Component
from stages.store.stat_cache import StatCache


@dataclass(frozen=True)
class Checkpoint:
    """Where the components of a checkpoint are.

    Attributes:
        folder: has one folder per component; for a hub id, it is the snapshot in the hub's cache.
        repo: the hub id, or "" for a folder.
        commit: the hub commit, 40 hex digits, or "" for a folder.
        variant: of the weights, such as "fp16", where a component has them; "" for none.
        elsewhere: of components that are taken from elsewhere, by their names: a checkpoint that has the component, or
            a folder or repository that is nothing but it.
    """

    folder: Path
    repo: str = ""
    commit: str = ""
    variant: str = ""
    elsewhere: Mapping[str, "Checkpoint"] = field(default_factory=dict, hash=False)

    @staticmethod
    def from_fields(fields: Mapping[str, Any]) -> "Checkpoint":
        """The inverse of `dataclasses.asdict`, after JSON."""
        elsewhere = {name: Checkpoint.from_fields(place) for name, place in fields["elsewhere"].items()}
        return Checkpoint(**{**fields, "folder": Path(fields["folder"]), "elsewhere": elsewhere})


def component_identity(checkpoint: Checkpoint, component: Component, cache: StatCache) -> str:
    """What identifies a component in a key: the digest of the names of the files that are read, and of their content.

    It does not depend on where they are. Bytes of a folder's files are read once per change (see stat_cache.py); of a
    hub's, the ids of its blobs stand for them.

    Raises:
        CheckpointError: files that would be read are missing, one cannot be read, or the hub does not answer.
    """
    source, picked = find_component(checkpoint, component, cache)
    return digest_bytes(canonical_json(dict(source.digests(picked.names, cache))))


def find_component(checkpoint: Checkpoint, component: Component, cache: StatCache | None) -> tuple[Source, Picked]:
    """Where a component is, and its files that are read. Raises CheckpointError."""
    place = checkpoint.elsewhere.get(component.name, checkpoint)
    try:
        return _find_at(place, checkpoint, component, cache)
    except CheckpointError:
        if layout := _explain_layout(place):
            raise CheckpointError(layout) from None
        raise


def open_component(checkpoint: Checkpoint, component: Component) -> ComponentFiles:
    """The files of a component that its stage reads; those that are missing of a hub id are downloaded first.

    Raises:
        CheckpointError: files that would be read are missing, or cannot be downloaded.
    """
    source, picked = find_component(checkpoint, component, None)
    if isinstance(source, HubSource):
        source.fetch(picked.names)
    return ComponentFiles(component, source.folder, picked)


def find_local_files(checkpoint: Checkpoint, component: Component) -> ComponentFiles | None:
    """As `open_component`, without a download: None for a component of the hub that is not whole in its cache.

    Raises:
        CheckpointError: files that would be read are missing.
    """
    source, picked = find_component(checkpoint, component, None)
    if isinstance(source, HubSource) and not all((source.folder / name).is_file() for name in picked.names):
        return None
    return ComponentFiles(component, source.folder, picked)


def read_component_settings(checkpoint: Checkpoint, component: Component) -> Settings:
    """The settings of a component; of a hub id, their file is downloaded if it is missing, and nothing else.

    Raises:
        CheckpointError: files that would be read are missing, or the settings are no JSON or cannot be downloaded.
    """
    source, _ = find_component(checkpoint, component, None)
    if isinstance(source, HubSource):
        source.fetch([component.settings])
    return read_settings(source.folder / component.settings)


def fetch_components(
    checkpoint: Checkpoint, components: Iterable[Component], progress: Callable[[int, int], None]
) -> None:
    """Download what is missing of components that come from the hub.

    Args:
        checkpoint: where they are.
        components: those that are read.
        progress: called with the bytes that are there and the bytes in all, of what was missing in one repository.
    Raises:
        CheckpointError: files are missing, or cannot be downloaded.
    """
    for (repo, commit), paths in _paths_in_hub(checkpoint, components).items():
        hub.fetch(repo, commit, paths, progress)


def require_components(checkpoint: Checkpoint, components: Iterable[Component]) -> None:
    """Find out whether what is missing of components can be downloaded, before anything is computed.

    Where something is, the model index of its repository comes with it, so that `explain_class` has it to read.

    Raises:
        CheckpointError: it cannot; without a network, all missing files of all components are named.
    """
    for (repo, commit), paths in _paths_in_hub(checkpoint, components).items():
        if hub.require_access(repo, commit, paths):
            index = [MODEL_INDEX] if MODEL_INDEX in hub.list_files(repo, commit) else []
            hub.fetch(repo, commit, index, lambda _done, _total: None)


def find_missing_bytes(checkpoint: Checkpoint, components: Iterable[Component]) -> Mapping[Path, int]:
    """How many bytes of components have still to be downloaded, by the file of the hub's cache that takes them.

    Raises:
        CheckpointError: the hub does not answer.
    """
    missing: dict[Path, int] = {}
    for (repo, commit), paths in _paths_in_hub(checkpoint, components).items():
        missing |= hub.find_missing_bytes(repo, commit, paths)
    return missing


def list_components(checkpoint: Checkpoint, components: Iterable[Component], cache: StatCache) -> None:
    """Ask the hub for the files of commits, where its answer is not kept and its cache lacks a part of a component.

    `component_identity` does so for one component; this names all of them when the hub cannot be asked. Where several
    components of a commit are identified, this comes first: how one is identified must not depend on the others.

    Raises:
        CheckpointError: the hub does not answer.
    """
    wanted: dict[tuple[str, str], list[str]] = {}
    for component in components:
        place = checkpoint.elsewhere.get(component.name, checkpoint)
        is_elsewhere, variant = place is not checkpoint, checkpoint.variant
        if place.commit and needs_listing(
            place.repo, place.commit, component, variant=variant, may_be_root=is_elsewhere, cache=cache
        ):
            wanted.setdefault((place.repo, place.commit), []).append(f"{component.name}/*")
    for (repo, commit), patterns in wanted.items():
        hub.list_files(repo, commit, wanted=patterns)


def component_folder(checkpoint: Checkpoint, name: str) -> Path:
    """Where a component of this name is, or will be once it is downloaded."""
    place = checkpoint.elsewhere.get(name)
    if place is None:
        return checkpoint.folder / name
    return place.folder / name if (place.folder / name).is_dir() else place.folder


def index_folder(checkpoint: Checkpoint, name: str) -> Path:
    """Where the model index is, if there is one, of the checkpoint from which a component of this name is taken."""
    place = checkpoint.elsewhere.get(name, checkpoint)
    is_component_itself = not (place.folder / name).is_dir() and place.folder.name == name and not place.commit
    return place.folder.parent if is_component_itself else place.folder


def settings_file(checkpoint: Checkpoint, component: Component) -> Path:
    """Where the settings of a component are, or will be once it is downloaded."""
    return component_folder(checkpoint, component.name) / component.settings


def describe_place(checkpoint: Checkpoint, name: str) -> str:
    """Where a component of this name is taken from, for people: repository and commit, or a folder."""
    place = checkpoint.elsewhere.get(name, checkpoint)
    return f"{place.repo}@{place.commit}" if place.commit else str(component_folder(checkpoint, name))


def _explain_layout(place: Checkpoint) -> str | None:
    if place.commit:
        return explain_layout(f"{place.repo}@{place.commit}", hub.known_files(place.repo, place.commit))
    paths = place.folder.glob("transformer/*/config.json")
    return explain_layout(str(place.folder), (path.relative_to(place.folder).as_posix() for path in paths))


def _find_at(
    place: Checkpoint, checkpoint: Checkpoint, component: Component, cache: StatCache | None
) -> tuple[Source, Picked]:
    variant = checkpoint.variant
    source: Source
    if place.commit:
        source, picked = find_in_hub(
            place.repo, place.commit, component, variant=variant, may_be_root=place is not checkpoint, cache=cache
        )
    else:
        source = FolderSource(component_folder(checkpoint, component.name))
        _require_component(place, component, source, is_elsewhere=place is not checkpoint)
        picked = pick(component, source, variant=variant, cache=cache)
    if variant and component.weights and not picked.variant:
        _require_variant(checkpoint)
    return source, picked


def _paths_in_hub(checkpoint: Checkpoint, components: Iterable[Component]) -> Mapping[tuple[str, str], list[str]]:
    """What is read of components that come from the hub, by repository and commit."""
    paths: dict[tuple[str, str], list[str]] = {}
    for component in components:
        source, picked = find_component(checkpoint, component, None)
        if isinstance(source, HubSource):
            own = paths.setdefault((source.repo, source.commit), [])
            own += [f"{source.prefix}{name}" for name in picked.names]
    return paths


def _require_component(place: Checkpoint, component: Component, source: Source, *, is_elsewhere: bool) -> None:
    names = source.names()
    if not names and not is_elsewhere:
        raise CheckpointError(
            f"{place.folder}: has no component `{component.name}`. A HunyuanVideo-1.5 checkpoint has one folder per "
            "component, as diffusers' save_pretrained writes them."
        )
    if is_elsewhere and source.folder == place.folder and component.settings not in names:
        raise CheckpointError(
            f"model.components.{component.name}: {place.folder} has neither a folder `{component.name}` nor "
            f"{component.settings}. Name a checkpoint that has this component, or the folder of the component itself."
        )


def _require_variant(checkpoint: Checkpoint) -> None:
    """Raise CheckpointError where no component has weights of the variant: its name is wrong, then."""
    places = (checkpoint, *checkpoint.elsewhere.values())
    if not any(has_variant(place.folder, place.repo, place.commit, checkpoint.variant) for place in places):
        raise CheckpointError(
            f'model.variant = "{checkpoint.variant}": no component of {checkpoint.repo or checkpoint.folder} has '
            'weights of it. Correct it, or set variant = "".'
        )
