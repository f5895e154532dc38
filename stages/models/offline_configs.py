"""Settings of a checkpoint component, without its weights: from its folder, the hub's cache, or this package.

The network is not used. hub_configs/README.md describes what ships with the package.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from stages.errors import CheckpointError
from stages.models.places import resolve_offline, split_revision
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
    if component in components:
        checkpoint, revision = split_revision(components[component], root)
    settings = read_settings(_find(checkpoint, revision, root, component, is_elsewhere=component in components))
    kept = {name: value for name, value in settings.values.items() if name == "_class_name" or name[0] != "_"}
    return Settings(settings.where, kept)


def _find(checkpoint: str, revision: str, root: Path, component: str, *, is_elsewhere: bool) -> Path:
    found = resolve_offline(checkpoint, revision, root)
    if found is not None:
        path = found.folder / component / _FILE
        if is_elsewhere and not path.is_file():
            path = found.folder / _FILE  # of a folder, or a repository, that is nothing but the component
        if not found.commit or path.is_file():
            return path
    shipped = _SHIPPED / checkpoint / component / _FILE
    if shipped.is_file():
        if not revision:
            return shipped
        raise CheckpointError(
            f"model.revision = {revision!r}: {component}/{_FILE} of {checkpoint} is not in the hub's cache, and what "
            "this package has is of no revision. Run "
            f'`hf download {checkpoint} {component}/{_FILE} --revision {revision}` or set revision = "".'
        )
    known = ", ".join(sorted(str(folder.relative_to(_SHIPPED)) for folder in _SHIPPED.glob("*/*/")))
    raise CheckpointError(
        f"model.checkpoint = {checkpoint!r}: its {component}/{_FILE} is neither in the hub's cache nor part of this "
        f"package, which has those of {known}. Download the checkpoint's configs, or give a folder."
    )
