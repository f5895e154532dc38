"""A video whose file is still to be written: what it would be, before it is there."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stages.errors import ParamsError
from stages.keys import JsonValue
from stages.pipeline.rules import Table
from stages.pipeline.stages import Pipeline
from stages.request.layers import VIDEO_FILES, Faults, Tables, VideoFile, located, merge
from stages.request.params import read_defaults, tables_of_video, typed_overrides
from stages.request.tables import MachineParams
from stages.request.video_params import Layers, VideoChecker, VideoParams


@dataclass(frozen=True)
class NewVideo:
    """A video whose file is still to be written.

    Attributes:
        params: all that makes it.
        said: what its file and the command line say, by table and name.
        defaults: what the files of the project say of all videos.
    """

    params: VideoParams
    said: Tables
    defaults: Tables


def check_new_video(
    root: Path,
    name: str,
    written: Mapping[str, Mapping[str, JsonValue]],
    overrides: Mapping[str, str],
    pipeline: Pipeline,
) -> NewVideo:
    """A video as a file with these tables would make it, with overrides in front; no other video is looked at.

    Args:
        root: the project's folder.
        name: the video's, for messages.
        written: values by table and name; None is as if nothing were written.
        overrides: dotted name -> text, from the command line.
        pipeline: the project's stages.
    Raises:
        ParamsError: a default, an override or a value is wrong; all faults in one message.
    """
    faults, models = Faults(root), tables_of_video(pipeline)
    tables: dict[str, type[Table]] = {**models, "machine": MachineParams}
    defaults: Tables = {table: read_defaults(table, tables, faults) or {} for table in models}
    where = f"{VIDEO_FILES}{name}.toml"
    own = {
        table: located({name: value for name, value in values.items() if value is not None}, where)
        for table, values in written.items()
    }
    typed = typed_overrides(overrides, tables, faults)
    layers = Layers(defaults, drafts={}, typed=typed, unread=frozenset())
    file = VideoFile(where, own, frozenset())
    video = VideoChecker(models, pipeline, faults).video(name, file, layers, is_draft=False)
    if video is None or faults.lines:
        raise ParamsError("\n  ".join(faults.lines))
    return NewVideo(video, merge([own, typed], models), defaults)
