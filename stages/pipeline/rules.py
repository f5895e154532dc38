"""Rules of parameters: the table that each stage's parameters are, and what several tables want of a value.

A table is a pydantic model whose fields have defaults and rules. Two marks say what a field means for keys:
docs/decisions/0002-keys.md.
"""

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from stages.geometry import SPATIAL_COMPRESSION
from stages.keys import FROM_FILE, JsonValue
from stages.machine.regular_files import name_kind

MAX_PIXELS = 16384  # on a side: the most that x264 takes
_MAX_FILE_BYTES = 16 << 30  # of a file from elsewhere, which is read as a whole; an hour of latents of 720p has 6 GB
_FIX_PATH = "Correct it; a relative path starts at the project's folder."


@dataclass(frozen=True)
class Neutral:
    """Marks a parameter that came later than artifacts in stores: with this value, the result is what it was before.

    While it has this value it is left out of keys, so that what was stored before is still found. The value stays what
    it is for ever, whatever becomes the default.
    """

    value: JsonValue


@dataclass(frozen=True)
class OnlyWith:
    """Marks a parameter without effect, and left out of keys, unless another one, true or false, is true."""

    name: str


@dataclass(frozen=True)
class Drafted:
    """Marks a parameter of which a draft has another value by itself (`doit draft`): what `of` makes of the final one.

    It has to be valid for every valid value, and to make the video cheaper.
    """

    of: Callable[[Any], Any]


@dataclass(frozen=True)
class KeyName:
    """Marks a parameter that was renamed: in keys, and for the stage's program, it keeps its first name."""

    name: str


class Table(BaseModel):
    """The parameters of a stage, by name, with their defaults and rules."""

    # strict: TOML's `true` is not 1 and "7" is not 7; an unknown name is an error
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, validate_default=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        """Refuse marks that would fail in silence, or much later; a fault here is one of the declaration."""
        super().__pydantic_init_subclass__(**options)
        key_names = [_mark(field, KeyName, KeyName(name)).name for name, field in cls.model_fields.items()]
        assert len(set(key_names)) == len(key_names), f"{cls.__name__}: two fields have one name in keys: {key_names}"
        for name, field in cls.model_fields.items():
            only_with = _mark(field, OnlyWith, None)
            if only_with is not None:
                other = cls.model_fields.get(only_with.name)
                assert other is not None, f"{cls.__name__}.{name}: there is no {only_with.name}"
                assert other.annotation is bool, f"{cls.__name__}.{name}: {only_with.name} is neither true nor false"

    @classmethod
    def complete(cls, parameters: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """Parameters of a key, and of those that it leaves out because they are neutral, the neutral values."""
        neutral = {
            _mark(field, KeyName, KeyName(name)).name: _mark(field, Neutral, None).value
            for name, field in cls.model_fields.items()
            if _mark(field, Neutral, None) is not None
        }
        return {**neutral, **parameters}

    @classmethod
    def read_key_parameters(cls, parameters: Mapping[str, JsonValue]) -> "ReadBack":
        """The values by which a stage computed, from the parameters of a key: the inverse of `key_parameters`."""
        fields = {marks.key_name: (name, marks) for name, marks in _marks(cls)}
        values = {fields[key_name][0]: value for key_name, value in parameters.items() if key_name in fields}
        missing = []
        for name, marks in _marks(cls):
            if name not in values and marks.neutral is not None:
                values[name] = marks.neutral.value
            elif name not in values and not (marks.only_with and values.get(marks.only_with.name) is False):
                missing.append(name)
        return ReadBack(values, tuple(sorted(parameters.keys() - fields.keys())), tuple(missing))

    def key_parameters(self) -> dict[str, JsonValue]:
        """What the stage computes by, and what its key is made of: all values but those that change nothing."""
        return {marks.key_name: getattr(self, name) for name, marks in _marks(type(self)) if self._counts(name, marks)}

    def draft(self) -> dict[str, JsonValue]:
        """The parameters of which a draft has other values by itself, with these values."""
        return {name: of(getattr(self, name)) for name, of in _drafted(type(self))}

    def file(self) -> Path | None:
        """The file from elsewhere that takes the place of the stage's result, if there is one."""
        path = getattr(self, FROM_FILE, "")
        return Path(path) if path else None

    def _counts(self, name: str, marks: "_Marks") -> bool:
        value, neutral, only_with = getattr(self, name), marks.neutral, marks.only_with
        # 0 is 0.0, but not false
        is_neutral = neutral is not None and value == neutral.value and _is_bool(value) == _is_bool(neutral.value)
        return not is_neutral and (only_with is None or bool(getattr(self, only_with.name)))


@dataclass(frozen=True)
class ReadBack:
    """What the parameters of a key say of a table's values.

    Attributes:
        values: by the table's names.
        unknown: names in the key that the table has not.
        missing: names of the table of which the key says nothing, though they would be in it.
    """

    values: Mapping[str, JsonValue]
    unknown: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class _Marks:
    """What the marks of a field say."""

    key_name: str
    neutral: Neutral | None
    only_with: OnlyWith | None


@functools.cache  # asked for each video
def _marks(table: type[Table]) -> tuple[tuple[str, _Marks], ...]:
    """The fields of a table, with their marks."""
    return tuple(
        (
            name,
            _Marks(
                _mark(field, KeyName, KeyName(name)).name, _mark(field, Neutral, None), _mark(field, OnlyWith, None)
            ),
        )
        for name, field in table.model_fields.items()
    )


@functools.cache
def _drafted(table: type[Table]) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    """The fields of a table that are drafted, and how."""
    marks = ((name, _mark(field, Drafted, None)) for name, field in table.model_fields.items())
    return tuple((name, mark.of) for name, mark in marks if mark is not None)


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _mark(field: FieldInfo, kind: Any, default: Any) -> Any:
    """The field's mark of a kind."""
    return next((mark for mark in field.metadata if isinstance(mark, kind)), default)


def latent_multiple(value: int) -> int:
    """The same number of pixels, if the VAE can make it.

    Raises:
        ValueError: it cannot; names the two nearest that it can.
    """
    if value % SPATIAL_COMPRESSION:
        lower = max(value // SPATIAL_COMPRESSION, 1) * SPATIAL_COMPRESSION
        upper = (value // SPATIAL_COMPRESSION + 1) * SPATIAL_COMPRESSION
        nearest = f"{lower} or {upper}" if lower < value else f"{upper}"
        raise ValueError(f"must be a multiple of {SPATIAL_COMPRESSION}, the VAE's spatial compression. Use {nearest}.")
    return value


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
    path = (root / Path(_usable_path(value)).expanduser()).absolute()
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ValueError(f"there is no file {path}. {_FIX_PATH}") from error
    except OSError as error:
        raise ValueError(f"is not a usable path ({error}). {_FIX_PATH}") from error
    if kind := name_kind(status.st_mode):
        raise ValueError(f"{path} {kind}, and must be a file. {_FIX_PATH}")
    if status.st_size > _MAX_FILE_BYTES:
        raise ValueError(f"{path} has more than {_MAX_FILE_BYTES >> 30} GiB, which no such file has. {_FIX_PATH}")
    return str(path)


def _usable_path(value: str) -> str:
    """The same path, if a file can have such a name and the home folder in front of it is somebody's."""
    try:
        if "\0" in value:
            raise ValueError("it has a NUL character")
        os.fsencode(Path(value).expanduser())
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"is not a usable path ({error}). {_FIX_PATH}") from error
    return value


Text: TypeAlias = Annotated[str, AfterValidator(_encodable)]
Name: TypeAlias = Annotated[Text, Field(min_length=1)]
Folder: TypeAlias = Annotated[Name, AfterValidator(_usable_path)]
# Left out of keys: a node that is made from a file has the digest of the file in its key, and nothing else.
FileFromElsewhere: TypeAlias = Annotated[Text, AfterValidator(_existing_file), Neutral("")]
Pixels: TypeAlias = Annotated[int, Field(ge=SPATIAL_COMPRESSION, le=MAX_PIXELS), AfterValidator(latent_multiple)]
Dtype: TypeAlias = Literal["bfloat16", "float32"]
