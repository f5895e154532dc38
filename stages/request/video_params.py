"""The parameters of one video, and how they are checked."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from stages.errors import ParamsError
from stages.keys import FROM_FILE, JsonValue
from stages.pipeline.rules import Table
from stages.request.layers import Faults, Tables, Value, VideoFile, validate
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


class VideoChecker:
    """Checks the tables of videos. Those of one content are checked once, and are one object."""

    def __init__(self, models: Mapping[str, type[Table]], faults: Faults) -> None:
        self._models = models
        self._faults = faults
        self._known: dict[str, Table] = {}  # without a fault, by what their values print as: 1 is not 1.0, nor true

    def video(self, name: str, file: VideoFile, tables: Tables, *, unread: Set[str]) -> VideoParams | None:
        """One video's parameters, or None with its faults added; nothing is missing in tables that are `unread`."""
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
