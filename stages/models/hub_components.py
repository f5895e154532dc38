"""Which files of a hub commit components lack in the hub's cache.

The network is used only where something is missing, or where it is not known what there should be.
"""

import json
from collections.abc import Iterable

from stages.models import hub, hub_cache

# Other forms of weights, which nothing here reads.
_FOREIGN_WEIGHTS = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".onnx", ".onnx_data", ".h5", ".msgpack", ".gguf")
_INDEX, _WEIGHTS, _SETTINGS = ".safetensors.index.json", ".safetensors", ".json"
_MODEL = "config.json"  # settings of a component that has weights


def find_missing(repo: str, commit: str, components: Iterable[str]) -> list[str]:
    """The paths of what components lack in the cache, sorted.

    Args:
        repo, commit: of the hub.
        components: names of folders.
    Raises:
        CheckpointError: the hub has to be asked, and `hub.list_files` cannot.
    """
    listing = hub_cache.read_listing(repo, commit)
    present = hub_cache.find_paths(repo, commit, listing)
    lacking = [each for each in components if listing is not None or not _looks_whole(repo, commit, each, present)]
    if not lacking:
        return []
    listed = hub.list_files(repo, commit, wanted=[f"{each}/*" for each in lacking])
    folders = tuple(f"{each}/" for each in lacking)
    return sorted(
        path
        for path in listed
        if path.startswith(folders) and not path.endswith(_FOREIGN_WEIGHTS) and path not in present
    )


def _looks_whole(repo: str, commit: str, component: str, present: Iterable[str]) -> bool:
    """Whether what is there of a component can be all: its settings, and of a model the weights with all shards."""
    names = {path.removeprefix(f"{component}/") for path in present if path.startswith(f"{component}/")}
    folder = hub_cache.snapshot_folder(repo, commit) / component
    try:
        shards = {
            shard
            for name in names
            if name.endswith(_INDEX)
            for shard in json.loads((folder / name).read_bytes())["weight_map"].values()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return True  # not for want of a file: its reader says what is wrong with it
    kind = _WEIGHTS if _MODEL in names else _SETTINGS
    return shards <= names and any(name.endswith(kind) for name in names)
