"""Bytes and times as people write and read them: "50GB", "30d", "1 h 12 min"."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

_DECIMAL, _BINARY = 1000, 1024
_BYTES: Final[Mapping[str, int]] = MappingProxyType({
    "B": 1,
    **{f"{letter}B": _DECIMAL**power for power, letter in enumerate("KMGTP", 1)},
    **{f"{letter}IB": _BINARY**power for power, letter in enumerate("KMGTP", 1)},
})  # fmt: skip
_SECONDS: Final[Mapping[str, int]] = MappingProxyType({"H": 3600, "D": 86_400, "W": 7 * 86_400})
_QUANTITY = re.compile(r"(?P<number>[0-9]+(\.[0-9]+)?) ?(?P<unit>[A-Za-z]{0,3})")
_MAX_DIGITS = 12  # far beyond every disk and every age
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


@dataclass(frozen=True)
class Limit:
    """How much of something is kept: at most so many bytes, or what was used within so many seconds; one is None."""

    size_bytes: int | None = None
    age_s: float | None = None

    def __str__(self) -> str:
        """As people say it."""
        if self.size_bytes is not None:
            return show_bytes(self.size_bytes)
        return f"what was used within {show_seconds(self.age_s or 0.0)}"


def parse_limit(text: str) -> Limit:
    """The limit that a person has typed: a size (B, KB, MB, GB, TB, KiB, ...), an age (h, d, w), or 0 for nothing.

    Raises:
        ValueError: it is none; the text says what one looks like.
    """
    match = _QUANTITY.fullmatch(text.strip())
    if match is not None:
        number, unit = float(match["number"]), match["unit"].upper()
        if number >= 10**_MAX_DIGITS and (unit in _BYTES or unit in _SECONDS):
            raise ValueError(f"is too large: the number may have {_MAX_DIGITS} digits")
        if unit in _BYTES:
            return Limit(size_bytes=int(number * _BYTES[unit]))
        if unit in _SECONDS:
            return Limit(age_s=number * _SECONDS[unit])
        if not unit and not number:
            return Limit(size_bytes=0)
    raise ValueError("must be a size such as 50GB, 500MB or 20GiB, an age such as 12h, 30d or 8w, or 0 for nothing")


def show_bytes(size_bytes: int) -> str:
    """Three digits and a decimal unit, such as "1.33 GB"."""
    for unit, scale in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size_bytes >= scale:
            number = size_bytes / scale
            return f"{number:.{0 if number >= 100 else 1 if number >= 10 else 2}f} {unit}"
    return f"{size_bytes} B"


def show_seconds(seconds: float) -> str:
    """The two largest units, such as "1 h 12 min"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    for unit, scale, smaller, part in (
        ("d", _DAY, "h", _HOUR),
        ("h", _HOUR, "min", _MINUTE),
        ("min", _MINUTE, "s", 1),
    ):
        if seconds >= scale:
            rest = int(seconds % scale // part)
            return f"{int(seconds // scale)} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{seconds:.0f} s"
