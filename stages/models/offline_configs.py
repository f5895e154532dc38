"""Settings of a checkpoint component, without its weights: from its folder, the hub's cache, or this package.

The network is not used. hub_configs/README.md describes what ships with the package.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from stages.errors import CheckpointError
from stages.models.places import read_component, resolve_offline
from stages.models.reference import Reference
from stages.models.settings import Settings, read_settings

_FILE = "config.json"
_SHIPPED = Path(__file__).parent / "hub_configs"


def read_config(
    checkpoint: str, revision: str, root: Path, component: str, components: Mapping[str, str] = MappingProxyType({})
) -> Settings:
    """Read the settings of `transformer` or `vae`; of those with a leading underscore, only the class is kept.

    Args:
        checkpoint, revision, root, components: as in `checkpoint.resolve`.
        component: name of its folder.
    Raises:
        CheckpointError: there is no such checkpoint, or its file is in none of these places.
    """
    is_elsewhere = component in components
    reference = (
        read_component(component, components[component], root) if is_elsewhere else Reference(checkpoint, revision)
    )
    settings = read_settings(_find(reference, root, component))
    kept = {name: value for name, value in settings.values.items() if name == "_class_name" or name[0] != "_"}
    return Settings(settings.where, kept)


def _find(reference: Reference, root: Path, component: str) -> Path:
    found = resolve_offline(reference, root)
    if found is not None:
        path = found.folder / component / _FILE
        if reference.component and not path.is_file():
            path = found.folder / _FILE  # of a folder, or a repository, that is nothing but the component
        if not found.commit or path.is_file():
            return path
    shipped = _SHIPPED / reference.place / component / _FILE
    if shipped.is_file():
        if not reference.revision:
            return shipped
        command = f"hf download {reference.place} {component}/{_FILE} --revision {reference.revision}"
        raise CheckpointError(
            f"{reference.where_revision}: {component}/{_FILE} of {reference.place} is not in the hub's cache, and what "
            f"this package has is of no revision. Run `{command}`, or set {reference.setting('')}."
        )
    known = ", ".join(sorted(str(folder.relative_to(_SHIPPED)) for folder in _SHIPPED.glob("*/*/")))
    raise CheckpointError(
        f"{reference.where}: its {component}/{_FILE} is neither in the hub's cache nor part of this "
        f"package, which has those of {known}. Download the checkpoint's configs, or give a folder."
    )
