"""The parameters of one video: the layers that its file is between, checked, and what a draft makes of them."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from stages.errors import ParamsError
from stages.keys import FROM_FILE, JsonValue
from stages.pipeline.rules import Table
from stages.pipeline.stages import Pipeline
from stages.request.crop_check import check_crop
from stages.request.draft import DRAFT, draft_by_itself, read_draft
from stages.request.layers import Faults, Tables, Value, VideoFile, merge, validate
from stages.request.tables import ModelParams

_T = TypeVar("_T", bound=Table)


@dataclass(frozen=True)
class VideoParams:
    """All that makes one video.

    Attributes:
        model: which weights.
        stages: the table of each stage, by its name.
    """

    model: ModelParams
    stages: Mapping[str, Table]

    def table(self, kind: type[_T]) -> _T:
        """The table of this kind.

        Raises:
            ParamsError: the project has no stage with such a table.
        """
        for table in self.stages.values():
            if isinstance(table, kind):
                return table
        raise ParamsError(f"no stage of this project has the parameters that are asked for here ({kind.__name__}).")

    def of_stage(self, stage: str) -> Mapping[str, JsonValue]:
        """The parameters by which one stage computes, as plain values; not those that have no effect."""
        return self.stages[stage].key_parameters()

    def file_of_stage(self, stage: str) -> Path | None:
        """The file from elsewhere that takes the place of one stage's result, if there is one."""
        return self.stages[stage].file()

    def with_changes(self, stage: str, **values: JsonValue) -> "VideoParams":
        """The same with other values, which are not checked, in one stage's table."""
        return replace(self, stages={**self.stages, stage: self.stages[stage].model_copy(update=values)})


@dataclass(frozen=True)
class Layers:
    """What a video's file is between.

    Attributes:
        defaults: below it.
        drafts: of drafts of all videos.
        typed: above it.
        unread: tables that could not be read: nothing is missing in them.
    """

    defaults: Tables
    drafts: Tables
    typed: Tables
    unread: Set[str]


class VideoChecker:
    """Checks the tables of videos. Those of one content are checked once, and are one object."""

    def __init__(self, models: Mapping[str, type[Table]], pipeline: Pipeline, faults: Faults) -> None:
        self._models = models
        self._pipeline = pipeline
        self._faults = faults
        self._names = {table: tuple(model.model_fields) for table, model in models.items()}
        self._known: dict[str, Table] = {}  # without a fault, by what their values print as: 1 is not 1.0, nor true

    def video(self, name: str, file: VideoFile, layers: Layers, is_draft: bool) -> VideoParams | None:
        """One video's parameters, or those of its draft; None with its faults added.

        A draft of which the file says something is checked in any case.
        """
        own_draft = {}
        if DRAFT in file.others:
            place = f"{file.where}, [{DRAFT}]"
            own_draft = read_draft(file.others[DRAFT], place, self._names, self._faults, name)
        final = self._merged(name, file, [layers.defaults, file.tables, layers.typed], layers.unread | file.unread)
        if not (is_draft or own_draft):
            return final
        by_itself = draft_by_itself(final.stages, file.where) if final is not None else {}
        above = [by_itself, layers.drafts, own_draft, layers.typed]
        draft = self._merged(name, file, [layers.defaults, file.tables, *above], self._models.keys())
        return draft if is_draft and final is not None else final

    def _merged(self, name: str, file: VideoFile, layers: Iterable[Tables], unread: Set[str]) -> VideoParams | None:
        """The parameters that follow from layers, or None with faults added; none is missing in `unread` tables."""
        tables = merge(layers, self._models)
        if any(FROM_FILE in values and values[FROM_FILE].value for values in tables.values()) and "encode" in tables:
            tables["encode"].setdefault("prompt", Value("", "nowhere"))  # none is read
        checked = {
            table: self._table(table, tables[table], name, None if table in unread else file.where)
            for table in self._models
        }
        found = {table: values for table, values in checked.items() if values is not None}
        if len(found) < len(self._models):
            return None
        model = found.pop("model")
        assert isinstance(model, ModelParams)
        check_crop(name, found, tables, self._pipeline, self._faults)
        return VideoParams(model, found)

    def _table(self, table: str, values: Mapping[str, Value], video: str, file: str | None) -> Table | None:
        try:
            text = f"{table} {[(name, found.value) for name, found in values.items()]}"
        except ValueError:  # a number of thousands of digits, which no parameter takes
            text = ""
        known = self._known.get(text) or validate(
            table, values, self._models[table], self._faults, video=video, file=file
        )
        if known is not None and text:
            self._known[text] = known
        return known
