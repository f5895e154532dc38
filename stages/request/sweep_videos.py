"""The videos of sweeps: a name, a number and the layers of each combination. What a sweep is, is in sweep.py.

A combination keeps the number that the store remembers of it; others are counted on from there (0034).
"""

import json
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any, Final

from stages.errors import ParamsError
from stages.keys import digest_bytes
from stages.models.wording import name_some
from stages.request.layers import Faults, Tables, Value, VideoFile, shown
from stages.request.sweep import SWEEP, Sweep, read_sweep
from stages.store.sweep_numbers import Numbers

KEPT_FROM: Final = "kept_from"  # in a file that `doit keep` has written: the sweep that leaves its name to it
_DIGITS = 16  # of a combination's digest: 64 bits, for one file's 100,000 at most


@dataclass(frozen=True)
class Expanded:
    """Files of videos, and of sweeps in their places those of their combinations.

    Attributes:
        files: by the name of the video.
        sweeps: by the name of the sweep, by that of each of its videos, what differs: values by dotted name.
        new_numbers: those that the store does not remember yet.
    """

    files: Mapping[str, VideoFile]
    sweeps: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    new_numbers: Numbers = field(default_factory=dict)

    def names_of(self, name: str) -> Set[str]:
        """The videos that a name of the command line means: all of a sweep, or the one."""
        return frozenset(self.sweeps.get(name, (name,)))


def expand_sweeps(
    files: Mapping[str, VideoFile], known: Mapping[str, Iterable[str]], remembered: Numbers, faults: Faults
) -> Expanded:
    """Put the combinations of each sweep into its place.

    Args:
        files: all that were read, by their names.
        known: the tables of parameters, with their names.
        remembered: the numbers of combinations.
        faults: takes what is wrong, as faults of the sweep's file; the file then stays in its place.
    """
    found: dict[str, VideoFile] = {}
    sweeps: dict[str, Mapping[str, Mapping[str, Any]]] = {}
    new_numbers: dict[str, Mapping[str, int]] = {}
    for name, file in files.items():
        _check_kept(name, file, faults)
        sweep = read_sweep(file.others[SWEEP], file.where, known, faults, name) if SWEEP in file.others else None
        if sweep is None or name in faults.of_videos:  # what is wrong with the file is wrong with all of it
            found[name] = file if SWEEP not in file.others else replace(file, unread=frozenset(known))
            continue
        identity = " ".join([name, *sorted(sweep.names)])
        numbers, new = _number(sweep, remembered.get(identity, {}))
        if new:
            new_numbers[identity] = new
        values = {f"{name}-{number}": each for number, each in numbers.items() if not sweep.skips(each)}
        values = {each: own for each, own in values.items() if not _is_left(name, files.get(each), known.keys())}
        if taken := [each for each in values if each in files]:
            faults.add(_explain_collision(file, taken, files), name)
            found[name] = replace(file, unread=frozenset(known))
            continue
        sweeps[name] = values
        found |= {each: _with_values(file, own) for each, own in values.items()}
    return Expanded(found, sweeps, new_numbers)


def name_combinations(
    faults: Mapping[str, ParamsError], sweeps: Mapping[str, Mapping[str, Any]]
) -> dict[str, ParamsError]:
    """The same; those of a sweep's videos name these, and what is wrong with several of them is one error."""
    named = dict(faults)
    for videos in sweeps.values():
        alike: dict[str, list[str]] = {}
        for video in videos:
            if video in faults:
                alike.setdefault(str(faults[video]), []).append(video)
        for text, names in alike.items():
            error = faults[names[0]] if text.startswith(f"{names[0]}: ") else ParamsError(f"{name_some(names)}: {text}")
            named |= dict.fromkeys(names, error)
    return named


def _number(sweep: Sweep, remembered: Mapping[str, int]) -> tuple[dict[int, dict[str, Any]], dict[str, int]]:
    """All combinations by their numbers, which stay; and, by the combinations' digests, the numbers that are new."""
    following = max(remembered.values(), default=0) + 1
    numbers: dict[int, dict[str, Any]] = {}
    new: dict[str, int] = {}
    for combination in sweep.combinations():
        digest = _digest(combination)
        number = remembered.get(digest)
        if number is None:
            number = new[digest] = following
            following += 1
        numbers[number] = combination
    return dict(sorted(numbers.items())), new


def _digest(combination: Mapping[str, Any]) -> str:
    """What a combination is remembered by: its values, in whatever order they stand; 6 is 6.0."""
    plain = [_plain(combination[name]) for name in sorted(combination)]
    return digest_bytes(json.dumps(plain, default=str).encode())[:_DIGITS]  # a date is refused later


def _plain(value: Any) -> Any:
    """A value as JSON can say it: of an integer with thousands of digits, which is refused later, not in decimal."""
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    return {"int": hex(whole)} if type(whole) is int else whole


def _with_values(file: VideoFile, combination: Mapping[str, Any]) -> VideoFile:
    """The file of a sweep with the values of one combination in it."""
    where = f"{file.where}, [{SWEEP}]"
    tables: Tables = dict(file.tables)
    for dotted, value in combination.items():
        table, name = dotted.split(".", maxsplit=1)
        tables[table] = {**tables.get(table, {}), name: Value(value, where)}
    return replace(file, tables=tables)


def _check_kept(name: str, file: VideoFile, faults: Faults) -> None:
    kept_from = file.others.get(KEPT_FROM)
    if kept_from is not None and not isinstance(kept_from, str):
        faults.add(f"{file.where}, {KEPT_FROM} = {shown(kept_from)}: must be text, the name of a sweep.", name)


def _is_left(sweep: str, file: VideoFile | None, known: Set[str]) -> bool:
    """Whether a sweep leaves a name to the file that has it: that says so, or cannot be read, as while it is edited."""
    return file is not None and (file.others.get(KEPT_FROM) == sweep or file.unread >= known)


def _explain_collision(file: VideoFile, taken: list[str], files: Mapping[str, VideoFile]) -> str:
    others = name_some([files[name].where for name in taken])
    has, them = ("has", "it") if len(taken) == 1 else ("have", "them")
    kept = f'`{KEPT_FROM} = "{file.where.rpartition("/")[2].removesuffix(".toml")}"`'
    return (
        f"{file.where}, [{SWEEP}]: {others} {has} the name of a video of this sweep. Rename {them}, or write {kept} at "
        f"the top of {them}: then the sweep leaves the name to {them}."
    )
