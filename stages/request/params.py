"""Parameters: the files under params/, overrides from the command line, and their rules.

`params/<stage>.toml` holds the defaults, `params/videos/<name>.toml` one video, the command line overrides both.
Owns the names and the rules, which are an interface; all faults are reported at once, each with where it stands
and how to mend it. How files are layered and faults worded is in param_files.py.
"""

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from stages.errors import ParamsError
from stages.geometry import SPATIAL_COMPRESSION, TEMPORAL_COMPRESSION, is_valid_num_frames
from stages.keys import FROM_FILE, JsonValue
from stages.request.layers import (
    COMMAND_LINE,
    Origin,
    Tables,
    Value,
    located,
    merge,
    near,
    read_toml,
    validate,
    value_from_text,
)

VIDEO_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
# Names that doit or this project already use on the command line.
RESERVED_NAMES = frozenset({
    "encode", "denoise", "decode", "export", "video",
    "run", "list", "info", "clean", "forget", "ignore", "dumpdb", "strace", "tabcompletion", "reset-dep", "help",
    "preflight",
})  # fmt: skip
_MAX_SEED = 2**63 - 1  # what a torch generator takes
_MAX_CRF = {"h264": 51, "hevc": 51, "av1": 63, "vp9": 63}  # smallest files; 0 is the best of each codec
_MISSING_IN_VIDEO = "Add `{name}` to its table [{table}], or to params/{table}.toml for all videos."
_MEND_PATH = "Correct it; a relative path starts at the project's folder."
# Host 0's address and port, and which of how many this host is.
_HOSTS = re.compile(r"auto|one|\S+:[0-9]{1,5} (?P<index>[0-9]{1,5})/(?P<count>[0-9]{1,5})")
_LIMIT_VIDEO = "video"  # `video=<name>` on the command line limits the overrides to one video


def _latent_multiple(value: int) -> int:
    if value % SPATIAL_COMPRESSION:
        lower = max(value // SPATIAL_COMPRESSION, 1) * SPATIAL_COMPRESSION
        upper = (value // SPATIAL_COMPRESSION + 1) * SPATIAL_COMPRESSION
        nearest = f"{lower} or {upper}" if lower < value else f"{upper}"
        raise ValueError(f"must be a multiple of {SPATIAL_COMPRESSION}, the VAE's spatial compression. Use {nearest}.")
    return value


def _causal_length(value: int) -> int:
    if not is_valid_num_frames(value):
        lower = (value - 1) // TEMPORAL_COMPRESSION * TEMPORAL_COMPRESSION + 1
        raise ValueError(
            f"must be 4k + 1, because the VAE keeps frame 0 alone and folds each 4 after it into one."
            f" Use {lower} or {lower + TEMPORAL_COMPRESSION}."
        )
    return value


def _crf_of_codec(value: int, info: Any) -> int:
    """`info` is pydantic's: it has the fields above this one."""
    codec = info.data.get("codec")  # not there when it is wrong itself
    if codec is not None and not 0 <= value <= _MAX_CRF[codec]:
        raise ValueError(f'must be 0 to {_MAX_CRF[codec]} when export.codec is "{codec}".')
    return value


def _unsigned_zero(value: float) -> float:
    return value + 0.0  # -0.0 becomes 0.0: equal values have one key


def _encodable(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError("is not valid UTF-8 text.") from error
    return value


def _existing_file(value: str, info: Any) -> str:
    """The absolute path of a file; "" stays. `info` is pydantic's: its context is the project's folder."""
    if not value:
        return value
    root: Path = info.context
    try:
        path = (root / Path(value).expanduser()).absolute()
        is_file = path.is_file()
    except (OSError, RuntimeError) as error:
        raise ValueError(f"is not a usable path ({error}). {_MEND_PATH}") from error
    if not is_file:
        raise ValueError(f"there is no file {path}. {_MEND_PATH}")
    return str(path)


def _hosts(value: str) -> str:
    match = _HOSTS.fullmatch(value)
    if match is None or (match["index"] and int(match["index"]) >= int(match["count"])):
        raise ValueError(
            'must be "auto", "one", or "<address>:<port> <index>/<count>" with the address of host 0, such as '
            '"10.0.0.2:8482 0/4" on the first of four.'
        )
    return value


Text: TypeAlias = Annotated[str, AfterValidator(_encodable)]
FileFromElsewhere: TypeAlias = Annotated[Text, AfterValidator(_existing_file)]
Pixels: TypeAlias = Annotated[int, Field(ge=SPATIAL_COMPRESSION), AfterValidator(_latent_multiple)]
Dtype: TypeAlias = Literal["bfloat16", "float32"]


class _Table(BaseModel):
    # strict: TOML's `true` is not 1 and "7" is not 7; an unknown name is an error
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ModelParams(_Table):
    """Which weights. `checkpoint` is a folder, a hub id or `builtin:<name>`; `revision` is for hub ids."""

    checkpoint: Annotated[Text, Field(min_length=1)]
    revision: Text


class EncodeParams(_Table):
    """Prompt to embeddings. `from_file` holds the embeddings, if it is not ""; the others then count for nothing."""

    prompt: Text
    negative_prompt: Text
    dtype: Dtype
    from_file: FileFromElsewhere


class DenoiseParams(_Table):
    """Embeddings to latents. Sizes in frames and pixels; `flow_shift` unset means the scheduler's own.

    `from_file` holds the latents, if it is not ""; the others, and all parameters of encode, then count for nothing.
    """

    num_frames: Annotated[int, Field(ge=1), AfterValidator(_causal_length)]
    height: Pixels
    width: Pixels
    num_inference_steps: Annotated[int, Field(ge=1)]
    guidance_scale: Annotated[float, Field(ge=1.0)]
    seed: Annotated[int, Field(ge=0, le=_MAX_SEED)]
    window_size: Annotated[int, Field(ge=0)]
    flow_shift: Annotated[float, Field(gt=0)] | None = None
    dtype: Dtype
    from_file: FileFromElsewhere


class DecodeParams(_Table):
    """Latents to frames. `tile_size` in pixels, `tile_overlap` as a share of it."""

    decoder: Literal["native", "diffusers", "diffusers-tpu", "diffusers-tpu-framewise"]
    enable_tiling: bool
    tile_size: Pixels
    tile_overlap: Annotated[float, Field(ge=0, le=0.5), AfterValidator(_unsigned_zero)]
    dtype: Dtype


class ExportParams(_Table):
    """Frames to a video file. `fps` in 1/s, `crf` as the codec means it."""

    fps: Annotated[int, Field(ge=1, le=240)]
    codec: Literal["h264", "hevc", "av1", "vp9"]
    crf: Annotated[int, AfterValidator(_crf_of_codec)]  # after `codec`, which its rule reads


class VideoParams(_Table):
    """All that makes one video."""

    model: ModelParams
    encode: EncodeParams
    denoise: DenoiseParams
    decode: DecodeParams
    export: ExportParams

    def of_stage(self, stage: str) -> Mapping[str, JsonValue]:
        """The parameters by which one stage computes, as plain values; not those that have no effect."""
        table: _Table = getattr(self, stage)
        without_effect = set() if self.decode.enable_tiling else {"tile_size", "tile_overlap"}
        return table.model_dump(exclude={FROM_FILE, *without_effect})

    def file_of_stage(self, stage: str) -> Path | None:
        """The file from elsewhere that takes the place of one stage's result, if there is one."""
        path: str = getattr(getattr(self, stage), FROM_FILE, "")
        return Path(path) if path else None


class MachineParams(_Table):
    """Settings of the machine. They are written to run.json and are part of no key."""

    platform: Literal["auto", "cpu", "tpu"]
    mesh: Text
    hosts: Annotated[Text, AfterValidator(_hosts)]
    artifacts: Annotated[Text, Field(min_length=1)]


class _Settings(_Table):
    machine: MachineParams


@dataclass(frozen=True)
class Params:
    """Everything that was asked for: the videos by name, and the machine's settings."""

    videos: Mapping[str, VideoParams]
    machine: MachineParams


_VIDEO_TABLES = tuple(VideoParams.model_fields)
_TABLES: Mapping[str, Any] = {
    name: field.annotation for model in (VideoParams, _Settings) for name, field in model.model_fields.items()
}


def load_params(root: Path, overrides: Mapping[str, str]) -> Params:
    """Read, merge and check all parameters below `root / "params"`.

    Args:
        root: the project's folder.
        overrides: dotted name -> text, from the command line; `video` limits the others to one video.
    Raises:
        ParamsError: all faults of all files and overrides in one message.
    """
    faults: list[str] = []
    folder = root / "params"
    read = {table: read_toml(folder / f"{table}.toml", root, faults) for table in _TABLES}
    unread = {table for table, values in read.items() if values is None}
    defaults: Tables = {table: located(values or {}, f"params/{table}.toml") for table, values in read.items()}
    files = _read_videos(folder / "videos", root, faults)
    limit = overrides.get(_LIMIT_VIDEO)
    if limit is not None and limit not in files:
        faults.append(f"{COMMAND_LINE}, video = {limit}: no such video.{near(limit, files)}")
    typed = _typed_overrides(overrides, faults)
    # a wrong default is told even if every video has a value of its own; one that is not there may be given by videos
    origin = Origin("params", "", _TABLES.keys())
    validate(merge([defaults], _VIDEO_TABLES), VideoParams, origin, faults, context=root)
    videos: dict[str, VideoParams] = {}
    for name, file in files.items():
        layers = [defaults, file.tables, {} if limit in files and limit != name else typed]
        origin = Origin(f"params/videos/{name}.toml", _MISSING_IN_VIDEO, unread | file.unread)
        checked = validate(_merge_video(layers), VideoParams, origin, faults, context=root)
        if checked is not None:
            videos[name] = checked
    origin = Origin("params/machine.toml", "Add `{name}` to it.", unread)
    settings = validate(merge([defaults, typed], _Settings.model_fields), _Settings, origin, faults)
    if faults or settings is None:
        raise ParamsError("\n  ".join(dict.fromkeys(faults)))
    return Params(videos=videos, machine=settings.machine)


@dataclass(frozen=True)
class _VideoFile:
    """What a video's file says, and which of its tables could not be read."""

    tables: Tables
    unread: Set[str]


def _read_videos(folder: Path, root: Path, faults: list[str]) -> dict[str, _VideoFile]:
    # names with a dot in front are lock files of editors
    paths = sorted(path for path in folder.glob("*.toml") if not path.name.startswith("."))
    if not paths:
        faults.append(f"{folder.relative_to(root)}: holds no video. Write one, such as demo.toml.")
    return {path.stem: _read_video(path, root, faults) for path in paths}


def _merge_video(layers: Iterable[Tables]) -> Tables:
    """The tables of one video. No prompt is asked for where a file holds the embeddings or what is made of them."""
    tables = merge(layers, _VIDEO_TABLES)
    if any(FROM_FILE in names and names[FROM_FILE].value for names in tables.values()):
        tables["encode"].setdefault("prompt", Value("", "nowhere"))
    return tables


def _read_video(path: Path, root: Path, faults: list[str]) -> _VideoFile:
    where = str(path.relative_to(root))
    if not VIDEO_NAME.fullmatch(path.stem):
        faults.append(f"{where}: a video's name is made of a-z, 0-9, _ and -, the first a letter or digit. Rename it.")
    if path.stem in RESERVED_NAMES:
        faults.append(f"{where}: `{path.stem}` is the name of a stage or a command. Rename the file.")
    content = read_toml(path, root, faults)
    if content is None:
        return _VideoFile({}, frozenset(_VIDEO_TABLES))
    tables: Tables = {}
    for table, names in content.items():
        if table not in _VIDEO_TABLES:
            faults.append(f"{where}, {table}: no such table.{near(table, _VIDEO_TABLES)}")
        elif not isinstance(names, dict):
            faults.append(f"{where}, {table} = {names!r}: must be a table, [{table}].")
        else:
            tables[table] = located(names, where)
    return _VideoFile(tables, content.keys() - tables.keys())


def _typed_overrides(overrides: Mapping[str, str], faults: list[str]) -> Tables:
    known = [f"{table}.{name}" for table, model in _TABLES.items() for name in model.model_fields]
    typed: Tables = {}
    for dotted, text in overrides.items():
        if dotted in known:
            table, name = dotted.split(".")
            value = value_from_text(_TABLES[table], name, text)
            typed.setdefault(table, {}).update(located({name: value}, COMMAND_LINE))
        elif dotted != _LIMIT_VIDEO:
            faults.append(f"{COMMAND_LINE}, {dotted} = {text}: no such parameter.{near(dotted, known)}")
    return typed
