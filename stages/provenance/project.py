"""The project in whose folder a file is looked at: its stages and its store, without its videos."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stages.pipeline.stages import Pipeline, read_pipeline
from stages.request.params import load_machine
from stages.run.own_code import check_own_code
from stages.store.artifacts import Store
from stages.store.root_folder import require_folder


@dataclass(frozen=True)
class Project:
    """A project's folder, its stages, and where it keeps artifacts."""

    root: Path
    pipeline: Pipeline
    store: Store


def open_project(root: Path, overrides: Mapping[str, str]) -> Project:
    """The project in the folder `root`, which need not have a video; of `overrides` only those of the machine count.

    Raises:
        StagesError: its stages, the settings of the machine or its store cannot be used.
    """
    check_own_code(root, only_warns=True)
    pipeline = read_pipeline(root)
    store = Store(root / Path(load_machine(root, overrides, pipeline).artifacts).expanduser())
    require_folder(store.root)
    return Project(root, pipeline, store)
