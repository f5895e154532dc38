"""Components of checkpoints in folders of any name, for tests."""

from pathlib import Path

from stages.models.component_files import ComponentFiles
from stages.models.component_source import FolderSource, pick
from stages.models.weights import open_weights
from stages.pipeline.component import Component
from stages.tensors.weight_files import WeightFiles


def files_of(folder: Path, component: Component, variant: str = "") -> ComponentFiles:
    """The files in a folder that are read of a component."""
    return ComponentFiles(component, folder, pick(component, FolderSource(folder), variant=variant, cache=None))


def weights_of(folder: Path, component: Component) -> WeightFiles:
    """The weights in a folder."""
    return open_weights(files_of(folder, component))
