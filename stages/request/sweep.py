"""The table [sweep] of a video's file: parameters with several values each, and which combinations of them are meant.

Owns its syntax and its faults. What videos are made of the combinations is in sweep_videos.py.
"""

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from stages.machine.printable import cut, printable
from stages.request.layers import Faults, shown
from stages.request.names import near

SWEEP: Final = "sweep"
_ZIP: Final = "zip"
_SKIP: Final = "skip"
_MAX_VIDEOS = 100_000  # a run that looks at them takes a minute and more
_MAX_COUNTED = 10**15  # of more than that, nobody needs the number
_MAX_SHOWN = 40  # characters of a value, where what differs is listed
_RANGE = re.compile(r"\s*([+-]?[0-9]{1,19})\s*\.\.\s*([+-]?[0-9]{1,19})\s*")  # a seed has 19 digits
_VALUES_RULE = 'must be a list of values, such as [1, 2, 3], or a range of whole numbers, such as "1..16".'
_ZIP_RULE = 'must be a list of lists of parameters, such as [["denoise.height", "denoise.width"]].'
_SKIP_RULE = 'must be a list of combinations, such as [{ "denoise.seed" = 3, "export.fps" = 8 }].'


@dataclass(frozen=True)
class Axis:
    """Parameters whose values change together: one, or those that are zipped.

    Attributes:
        names: dotted.
        points: at each place along it, a value of each of them.
    """

    names: tuple[str, ...]
    points: Sequence[tuple[Any, ...]]


@dataclass(frozen=True)
class Sweep:
    """What a table [sweep] says.

    Attributes:
        axes: of which every combination is meant, the first of them the slowest.
        skipped: values by dotted name; a combination that has all of one of them is left out.
    """

    axes: tuple[Axis, ...]
    skipped: tuple[Mapping[str, Any], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Dotted names of the parameters that differ."""
        return tuple(name for axis in self.axes for name in axis.names)

    def combinations(self) -> Iterator[dict[str, Any]]:
        """Values by dotted name, also of combinations that are skipped; those of one file are always in one order."""
        names = self.names
        for points in itertools.product(*(axis.points for axis in self.axes)):
            yield dict(zip(names, itertools.chain(*points), strict=True))

    def skips(self, combination: Mapping[str, Any]) -> bool:
        """Whether a combination is left out."""
        return any(
            tuple(same(combination[name]) for name in names) in values for names, values in self._skipped.items()
        )

    @cached_property
    def _skipped(self) -> Mapping[tuple[str, ...], Set[tuple[Any, ...]]]:
        """By their names, the values that are left out together: there can be thousands."""
        found: dict[tuple[str, ...], set[tuple[Any, ...]]] = {}
        for each in self.skipped:
            names = tuple(sorted(each))
            found.setdefault(names, set()).add(tuple(same(each[name]) for name in names))
        return found


def same(value: Any) -> tuple[bool, Any]:
    """What two values have in common that are the same parameter: 1 is 1.0, but neither is true."""
    return isinstance(value, bool), value


def describe_values(values: Mapping[str, Any]) -> str:
    """A combination as a person reads it: `denoise.seed = 3, encode.prompt = "A red circle"`; long texts are cut."""
    return ", ".join(f"{name} = {_brief(value)}" for name, value in values.items())


def _brief(value: Any) -> str:
    return f'"{cut(printable(value), _MAX_SHOWN)}"' if isinstance(value, str) else shown(value)


def read_sweep(
    content: Any, where: str, known: Mapping[str, Iterable[str]], faults: Faults, video: str
) -> Sweep | None:
    """The sweep that a video's file describes, or None with all that is wrong with it in `faults`.

    Values are not held against the rules of their parameters here.

    Args:
        content: the table, as it was parsed.
        where: the file.
        known: the tables of parameters, with their names.
        faults: takes what is wrong.
        video: the file's, whose faults they are.
    """
    reader = _Reader(where, [f"{table}.{name}" for table, names in known.items() for name in names], faults, video)
    num_before = len(faults.of_videos.get(video, ()))
    sweep = reader.read(content)
    if len(faults.of_videos.get(video, ())) > num_before:
        return None
    if sweep.skipped and all(map(sweep.skips, sweep.combinations())):
        faults.add(f"{where}, [{SWEEP}], {_SKIP}: leaves no combination. Take one of its entries out.", video)
        return None
    return sweep


@dataclass(frozen=True)
class _Reader:
    where: str
    known: Sequence[str]
    faults: Faults
    video: str

    def read(self, content: Any) -> Sweep:
        """The sweep, as far as it can be read."""
        if not isinstance(content, dict):
            self._add(f"{self.where}, {SWEEP} = {shown(content)}: must be a table, [{SWEEP}].")
            return Sweep(())
        leaves = self._flatten({name: value for name, value in content.items() if name not in (_ZIP, _SKIP)})
        values = {name: found for name, value in leaves.items() if (found := self._values(name, value)) is not None}
        if not leaves:
            self._add(f'{self.where}, [{SWEEP}]: names no parameter. Write one, such as "denoise.seed" = [1, 2, 3].')
        groups = self._zipped(content.get(_ZIP, []), leaves.keys(), values)
        axes = self._axes(groups, values)
        num_videos = math.prod(len(axis.points) for axis in axes)
        if num_videos > _MAX_VIDEOS:
            self._refuse_number(f"{self.where}, [{SWEEP}]", num_videos)
            return Sweep(())
        for axis in axes:
            self._refuse_twice(axis)
        return Sweep(axes, tuple(self._skipped(content.get(_SKIP, []), leaves.keys(), values)))

    def _add(self, line: str) -> None:
        self.faults.add(line, self.video)

    def _refuse_number(self, place: str, number: int) -> None:
        shown_number = f"{number:,}" if number <= _MAX_COUNTED else f"more than {_MAX_COUNTED:,}"
        self._add(f"{place}: is {shown_number} videos; a sweep has at most {_MAX_VIDEOS:,}. Leave values out.")

    def _flatten(self, content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
        """Values by dotted name: TOML makes of a name with dots and no quotation marks tables in each other."""
        flat: dict[str, Any] = {}
        for name, value in content.items():
            dotted = f"{prefix}{name}"
            for inner, found in self._flatten(value, f"{dotted}.").items() if _has_names(value) else [(dotted, value)]:
                if inner in flat:
                    self._add(f"{self.where}, [{SWEEP}], {inner}: is there twice. Leave one out.")
                flat[inner] = found
        return flat

    def _values(self, name: str, value: Any) -> Sequence[Any] | None:
        """What a parameter is to be, one after the other; None with a fault added."""
        place = f"{self.where}, [{SWEEP}], {name}"
        if name not in self.known:
            self._add(f"{place}: no such parameter.{near(name, self.known)}")
            return None
        limits = _RANGE.fullmatch(value) if isinstance(value, str) else None
        if limits is not None:
            first, last = int(limits[1]), int(limits[2])
            if last < first:
                self._add(f'{place} = "{value}": ends before it begins. Write "{last}..{first}".')
            if last - first >= _MAX_VIDEOS:  # more than `len` may be able to say
                self._refuse_number(f'{place} = "{value}"', last - first + 1)
                return None
            return range(first, last + 1)
        if not isinstance(value, list) or any(isinstance(each, dict | list) for each in value):
            self._add(f"{place} = {shown(value)}: {_VALUES_RULE}")
            return None
        if not value:
            self._add(f"{place} = []: holds no value. Write some, or leave the line out.")
        return value

    def _zipped(
        self, content: Any, written: Iterable[str], values: Mapping[str, Sequence[Any]]
    ) -> Sequence[Sequence[str]]:
        """The names that belong together, as far as all is right with them."""
        place = f"{self.where}, [{SWEEP}], {_ZIP}"
        if not (isinstance(content, list) and all(_is_group(group) for group in content)):
            self._add(f"{place} = {shown(content)}: {_ZIP_RULE}")
            return []
        names = [name for group in content for name in group]
        for name in dict.fromkeys(names):
            if name not in written:
                self._add(f"{place}: {name} has no values in [{SWEEP}].{near(name, written)}")
            elif names.count(name) > 1:
                self._add(f"{place}: {name} is there twice. Leave one out.")
        groups = [group for group in content if all(name in values for name in group)]
        for group in groups:
            if len({len(values[name]) for name in group}) > 1:
                numbers = ", ".join(f"{name} has {len(values[name]):,}" for name in group)
                self._add(f"{place}: {numbers}. What is zipped needs as many values each.")
        return groups

    def _axes(self, groups: Sequence[Sequence[str]], values: Mapping[str, Sequence[Any]]) -> tuple[Axis, ...]:
        """In the order in which the parameters are written; nothing is computed of long ranges yet."""
        group_of = {name: tuple(group) for group in groups for name in group}
        in_order = dict.fromkeys(group_of.get(name, (name,)) for name in values)
        return tuple(Axis(names, _Points([values[name] for name in names])) for names in in_order)

    def _refuse_twice(self, axis: Axis) -> None:
        """Two equal values would be two videos that are the same."""
        seen = set()
        for point in axis.points:
            identity = tuple(map(same, point))
            if identity in seen:
                what = describe_values(dict(zip(axis.names, point, strict=True)))
                self._add(f"{self.where}, [{SWEEP}]: {what} is there twice. Leave one out.")
            seen.add(identity)

    def _skipped(
        self, content: Any, written: Iterable[str], values: Mapping[str, Sequence[Any]]
    ) -> Iterator[Mapping[str, Any]]:
        """The combinations that are left out, as far as all is right with them."""
        place = f"{self.where}, [{SWEEP}], {_SKIP}"
        if not (isinstance(content, list) and all(map(_has_names, content))):
            self._add(f"{place} = {shown(content)}: {_SKIP_RULE}")
            return
        for entry in map(self._flatten, content):
            for name, value in entry.items():
                if name not in written:
                    self._add(f"{place}: {name} has no values in [{SWEEP}].{near(name, written)}")
                elif name in values and not _holds(values[name], value):
                    self._add(f"{place}: {describe_values({name: value})} is none of its values in [{SWEEP}].")
            if all(name in values for name in entry):
                yield entry


@dataclass(frozen=True)
class _Points(Sequence[tuple[Any, ...]]):
    """Values of several parameters side by side, none of which is looked at before it is asked for."""

    columns: Sequence[Sequence[Any]]

    def __len__(self) -> int:
        return min(map(len, self.columns))

    def __getitem__(self, place: Any) -> Any:
        return tuple(column[place] for column in self.columns)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return zip(*self.columns, strict=False)  # of unequal ones a fault is known


def _holds(values: Sequence[Any], value: Any) -> bool:
    try:
        return any(same(each) == same(value) for each in values) if isinstance(values, list) else value in values
    except TypeError:
        return False


def _has_names(value: Any) -> bool:
    return isinstance(value, dict) and bool(value)


def _is_group(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and all(isinstance(each, str) for each in value)
