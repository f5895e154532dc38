"""What a video's parameters are in this project, with one checkpoint or another: where the same weights are found.

Weights are compared by their identities, whatever path they had; nothing is said of them here but where they are.
"""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from stages.errors import StagesError
from stages.keys import JsonValue, Node
from stages.machine.printable import escaped
from stages.models.places import list_builtin
from stages.pipeline.toml_text import parse_toml, read_toml_text
from stages.provenance.comparison import list_weight_differences
from stages.provenance.project import Project
from stages.provenance.record import Record
from stages.request.graph import build_graph
from stages.request.layers import VIDEO_FILES
from stages.request.new_video import NewVideo, check_new_video
from stages.request.params import Params
from stages.request.tables import MachineParams
from stages.store.stat_cache import STAT_CACHE, StatCache

_MODEL: Final = "model"


@dataclass(frozen=True)
class Resolved:
    """A video as it would be here: its parameters, and its nodes."""

    video: NewVideo
    nodes: Mapping[str, Node]


class Resolver:
    """Works out what a video's parameters are here, with one or another checkpoint."""

    def __init__(self, project: Project, name: str, tables: Mapping[str, Mapping[str, JsonValue]]) -> None:
        """`name` is the video's, for messages; `tables` are the values that made what is to be made again."""
        self._project = project
        self._name = name
        self._tables = tables
        self._cache = StatCache(project.store.root / STAT_CACHE)

    def resolve(
        self, overrides: Mapping[str, str], tables: Mapping[str, Mapping[str, JsonValue]] | None = None
    ) -> Resolved:
        """With the tables of the record, or others, and overrides in front. Raises StagesError: it cannot be made."""
        project = self._project
        video = check_new_video(
            project.root, self._name, self._tables if tables is None else tables, overrides, project.pipeline
        )
        params = Params({self._name: video.params}, MachineParams(), typed={*overrides}, limited={self._name})
        graph = build_graph(params, project.root, self._cache, project.pipeline)
        self._cache.save()  # digests of files that were read, whatever becomes of this
        if self._name in graph.faults:
            raise graph.faults[self._name]
        return Resolved(video, graph.videos[self._name])

    def advise(self, record: Record, where: Mapping[str, str]) -> str:
        """Where the weights of a record are, of all checkpoints that the project names; else how to say where.

        `where` are the overrides by which they were not found.
        """
        typed = [f"{name}={text}" for name, text in where.items() if name.startswith("model.")]
        files = {name: text for name, text in where.items() if not name.startswith("model.")}
        for model in ({}, *self._checkpoints()) if typed else self._checkpoints():
            overrides = {f"model.{name}": value for name, value in model.items()}
            with suppress(StagesError):
                resolved = self.resolve({**files, **overrides})
                if not list_weight_differences(record, resolved.nodes, resolved.video.params.model):
                    found = shlex.join(f"{name}={value}" for name, value in overrides.items())
                    how = f"add `{found}`" if found else f"leave out `{shlex.join(typed)}`"
                    return escaped(f"The weights that made it are here: {how}.")
        return (
            "Say where its weights are: `model.checkpoint=...`, a folder or a hub id, or `model.components.NAME=...`."
        )

    def _checkpoints(self) -> Iterator[Mapping[str, str]]:
        """Tables [model], other than the project's own, that videos of it may have, and the built-in checkpoints."""
        seen = set[tuple[tuple[str, str], ...]]()  # thousands of videos can name the same
        for path in sorted((self._project.root / VIDEO_FILES).glob("[!.]*.toml")):
            with suppress(OSError, ValueError, AttributeError):  # such a file is a fault of its own video
                table = parse_toml(read_toml_text(path)).get(_MODEL, {})
                flat = {name: value for name, value in table.items() if isinstance(value, str) and value}
                flat |= {f"components.{name}": str(value) for name, value in table.get("components", {}).items()}
                if flat and (items := tuple(sorted(flat.items()))) not in seen:
                    seen.add(items)
                    yield flat
        yield from ({"checkpoint": name} for name in list_builtin())
