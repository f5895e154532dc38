"""How long a call of a program takes by the compiler's own schedule, read from its text.

The text of a TPU's program is in the order in which it runs, and each instruction has the cycles that the compiler
expects of it. What runs beside others, copies and collectives that are started and waited for later, counts only as far
as it is waited for. Kernels have no such figure; theirs come from what they say of themselves.
"""

import re
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from types import MappingProxyType

from stages.denoise.attention.tiles import BUNDLES_PER_MILLION
from stages.machine.chips import Chip
from stages.preflight.hlo import bytes_of, count_trips, result_bytes, split_computations

_NAMED = re.compile(r"\s+(?:ROOT )?%([\w.-]+) = ")
_KIND = re.compile(r"([\w-]+)\((?:%([\w.-]+))?")
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_UNKNOWN = 10**15  # cycles; the compiler writes the largest integer where another unit does it
_KERNEL = re.compile(r'"cost_estimate":\{"flops":"(\d+)","transcendentals":"(\d+)","bytes_accessed":"(\d+)"')
_BODY = re.compile(r"body=%?([\w.-]+)")
_CALLED = re.compile(r"calls=%?([\w.-]+)")
_GROUP = re.compile(r"replica_groups=(?:\{\{([\d,]+)\}|\[\d+,(\d+)\])")
# Of what a chip has in the end, how often the others' share goes over its links.
_COLLECTIVES: Mapping[str, int] = MappingProxyType(
    {"all-gather": 1, "all-to-all": 1, "ragged-all-to-all": 1, "reduce-scatter": 1, "all-reduce": 2}
)
_PERMUTE = "collective-permute"
_COPIES = ("copy", "slice", "dynamic-slice", "dynamic-update-slice")
_STARTS, _ENDS = '"AsyncCollectiveStart"', '"AsyncCollectiveDone"'  # within the fusions that do so
_BOUNDED = "bounded_attention"


@dataclass(frozen=True)
class Expected:
    """Seconds of a call on a device.

    Attributes:
        compute_s: of all that the compiler has an estimate for, products among it.
        kernels_s: of our kernels.
        chips_s: in which it waits for what other chips send.
        memory_s: in which it waits for copies between its memories.
    """

    compute_s: float = 0.0
    kernels_s: float = 0.0
    chips_s: float = 0.0
    memory_s: float = 0.0

    @property
    def total_s(self) -> float:
        """All of it."""
        return self.compute_s + self.kernels_s + self.chips_s + self.memory_s

    def __add__(self, other: "Expected") -> "Expected":
        return Expected(*map(sum, zip(astuple(self), astuple(other), strict=True)))

    def __mul__(self, count: int) -> "Expected":
        return Expected(*(count * seconds for seconds in astuple(self)))


def expect(text: str, chip: Chip) -> Expected | None:
    """What a call of a program takes on a device of this kind; None of a text without estimates, as a CPU's.

    Args:
        text: of the program (`jax.stages.Compiled.as_text`).
        chip: for which it was compiled.
    """
    lines, entry = split_computations(text)
    if not entry or not _CYCLES.search(text):
        return None
    return _Schedule(lines, chip).run(entry)


class _Schedule:
    """Goes through computations in their order."""

    def __init__(self, lines: Mapping[str, list[str]], chip: Chip) -> None:
        self._lines, self._chip = lines, chip

    def run(self, name: str) -> Expected:
        """One run of a computation, with the loops in it."""
        done = Expected()
        copies: dict[str, float] = {}  # that were started: when each is there
        sent: list[float] = []  # likewise, of collectives, in their order
        wires_free_s = 0.0
        for line in self._lines[name]:
            instruction = _read(line)
            if instruction is None:
                continue
            kind, now_s = instruction.kind, done.total_s
            if kind == "while":
                body = _BODY.search(line)
                done += self.run(body[1] if body else "") * count_trips(line, self._lines)
            elif (collective := self._find_collective(instruction)) is not None:
                wires_free_s = max(now_s, wires_free_s) + self._send_s(collective)
                if collective.is_started:
                    sent.append(wires_free_s)
                else:
                    done += Expected(chips_s=wires_free_s - now_s)
            elif self._waits_for_chips(instruction):
                done += Expected(chips_s=max((sent.pop(0) if sent else 0.0) - now_s, 0.0))
            elif instruction.is_started and kind.removesuffix("-start") in _COPIES:
                size_bytes = bytes_of(instruction.type_) / 2  # of operand and result
                copies[instruction.name] = now_s + size_bytes / self._chip.hbm_bandwidth
            elif instruction.operand in copies:
                done += Expected(memory_s=max(copies.pop(instruction.operand) - now_s, 0.0))
            else:
                done += self._compute(instruction)
        return done

    def _find_collective(self, instruction: "_Instruction") -> "_Instruction | None":
        """What an instruction sends: itself, or what the computation of a fusion starts."""
        if instruction.kind.removesuffix("-start") in (*_COLLECTIVES, _PERMUTE):
            return instruction
        inside = self._inside(instruction)
        if not any(_STARTS in line for line in inside):
            return None
        found = [each for line in inside if (each := _read(line)) and each.kind in (*_COLLECTIVES, _PERMUTE)]
        return replace(found[-1], is_started=True) if found else None

    def _waits_for_chips(self, instruction: "_Instruction") -> bool:
        kind = instruction.kind
        if kind.removesuffix("-done") in (*_COLLECTIVES, _PERMUTE):
            return True
        return any(_ENDS in line for line in self._inside(instruction))

    def _inside(self, instruction: "_Instruction") -> list[str]:
        """The computation of a fusion."""
        called = _CALLED.search(instruction.line) if instruction.kind == "fusion" else None
        return self._lines[called[1]] if called else []

    def _compute(self, instruction: "_Instruction") -> Expected:
        if kernel := _KERNEL.search(instruction.line):
            return Expected(kernels_s=self._kernel_s(instruction.name, *map(int, kernel.groups())))
        cycles = int(found[1]) if (found := _CYCLES.search(instruction.line)) else 0
        return Expected(compute_s=cycles / self._chip.clock_hz if cycles < _UNKNOWN else 0.0)

    def _kernel_s(self, name: str, flops: int, transcendentals: int, size_bytes: int) -> float:
        """The longest of its products, its reading, and of attention its schedule."""
        times_s = [flops / self._chip.peak_flops, size_bytes / self._chip.hbm_bandwidth]
        if name.startswith(_BOUNDED):  # each of whose scores has an exponential
            bundles = BUNDLES_PER_MILLION[self._chip.device_kind] * transcendentals / 1e6
            times_s.append(bundles / self._chip.clock_hz / self._chip.cores_of_device)
        return max(times_s)

    def _send_s(self, collective: "_Instruction") -> float:
        """What others send to a chip, over two links; in a permutation over one."""
        kind = collective.kind.removesuffix("-start")
        size_bytes = result_bytes(kind, collective.type_, is_started=kind != collective.kind)
        if kind == _PERMUTE:
            return size_bytes / self._chip.link_bandwidth
        group = _GROUP.search(collective.line)
        size = 1 if group is None else group[1].count(",") + 1 if group[1] else int(group[2])
        return _COLLECTIVES[kind] * size_bytes * (size - 1) / size / (2 * self._chip.link_bandwidth)


@dataclass(frozen=True)
class _Instruction:
    """A line of a computation.

    Attributes:
        name: of its result.
        kind: such as "fusion" or "copy-start".
        type_: of its result, as HLO writes it.
        operand: name of the first one, "" where there is none.
        is_started: whether it goes on beside what comes after it.
        line: all of it.
    """

    name: str
    kind: str
    type_: str
    operand: str
    is_started: bool
    line: str


def _read(line: str) -> _Instruction | None:
    named = _NAMED.match(line)
    if named is None:
        return None
    end, depth = named.end(), 0
    while end < len(line) and (depth or line[end] != " "):
        depth += (line[end] in "([{") - (line[end] in ")]}")
        end += 1
    kind = _KIND.match(line, end + 1)
    if kind is None:
        return None
    type_ = line[named.end() : end]
    return _Instruction(named[1], kind[1], type_, kind[2] or "", kind[1].endswith("-start"), line)
