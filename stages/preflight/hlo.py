"""What chips send each other, read from the text of a compiled program.

The compiler's own cost analysis counts a loop's body once; here a body counts as often as it runs.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

_COMPUTATION = re.compile(r"(?:ENTRY )?%?([\w.-]+) \(.*\{")
_COLLECTIVE = re.compile(
    r"= (.*?) (all-gather|all-reduce|all-to-all|ragged-all-to-all|reduce-scatter|collective-permute|"
    r"collective-broadcast)(-start)?\("
)
# libtpu may carry on a collective while other things are computed. It stands in the fusion that starts it, where the
# flag is -1, and again in each that carries it on.
_CARRIED_ON = re.compile(r'"async_collective_fusion_config":\{"flag_start":"\d')
_CALLED = re.compile(r"(?:calls|to_apply|body|condition|branch_computations)=\{?((?:%[\w.-]+(?:, )?)+)")
_WHILE = re.compile(r" while\(.*condition=%?([\w.-]+), body=%?([\w.-]+)")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_CONSTANT = re.compile(r"s32\[\]\S* constant\((\d+)\)")
_ARRAY = re.compile(r"\b(pred|[a-z]+(\d+)\w*)\[([\d,]*)\]")
_ENTRY = "ENTRY "
_BYTE = 8


@dataclass(frozen=True)
class Collective:
    """All collectives of a kind in one call of a program: how many, and the bytes of their results on each device."""

    kind: str
    count: int
    size_bytes: int


def count_collectives(text: str) -> tuple[Collective, ...]:
    """Collectives in the text of a program (`jax.stages.Compiled.as_text`), by kind.

    The number of times that a loop runs is what the compiler notes, or else the bound in its condition: loops count
    from 0, as those of `jax.lax.scan` do.
    """
    lines, entry = split_computations(text)
    if not entry:
        return ()
    runs = _count_runs(lines, entry)
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for computation, times in runs.items():
        for line in lines[computation]:
            if (found := _COLLECTIVE.search(line)) and not _CARRIED_ON.search(line):
                result, kind, is_start = found.groups()
                counts[kind] += times
                sizes[kind] += times * result_bytes(kind, result, is_started=bool(is_start))
    return tuple(Collective(kind, counts[kind], sizes[kind]) for kind in sorted(counts))


def result_bytes(kind: str, type_: str, *, is_started: bool) -> int:
    """Bytes that a device has after a collective, by its type. That of one that is started holds its operands, too."""
    holds_operands = is_started and kind != "all-reduce"
    return bytes_of(_tuple_elements(type_)[1] if holds_operands else type_)


def split_computations(text: str) -> tuple[Mapping[str, list[str]], str]:
    """The lines of each computation, and the name of the one that is called."""
    lines: defaultdict[str, list[str]] = defaultdict(list)
    name = entry = ""
    for line in text.splitlines():
        if not line.startswith(" ") and (found := _COMPUTATION.match(line)):
            name = found[1]
            entry = name if line.startswith(_ENTRY) else entry
        elif name:
            lines[name].append(line)
    return lines, entry


def _count_runs(lines: Mapping[str, list[str]], entry: str) -> Counter[str]:
    """How often each computation runs in one call of `entry`."""
    runs: Counter[str] = Counter()
    open_calls = [(entry, 1)]
    while open_calls:
        name, times = open_calls.pop()
        runs[name] += times
        for line in lines.get(name, []):
            trips = count_trips(line, lines)
            for group in _CALLED.findall(line):
                open_calls += [(called.strip("% "), times * trips) for called in group.split(",") if called.strip()]
    return runs


def count_trips(line: str, lines: Mapping[str, list[str]]) -> int:
    """How often what a line calls runs: more than once for a loop alone."""
    loop = _WHILE.search(line)
    if loop is None:
        return 1
    if known := _TRIPS.search(line):
        return int(known[1])
    bounds = [int(number) for inner in lines.get(loop[1], []) for number in _CONSTANT.findall(inner)]
    return max(bounds, default=1)


def _tuple_elements(type_: str) -> list[str]:
    """The elements of a tuple's type as HLO writes it. Of what is started these are operands, results, and others."""
    elements, depth = [""], 0
    for character in type_[1:-1]:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            elements.append("")
        else:
            elements[-1] += character
    return elements


def bytes_of(type_: str) -> int:
    """Bytes of all arrays in a type as HLO writes it."""
    return sum(
        math.prod(int(size) for size in shape.split(",") if size) * (int(bits) if bits else _BYTE) // _BYTE
        for _, bits, shape in _ARRAY.findall(type_)
    )
