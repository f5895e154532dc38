"""Frame rates as people write them, made exact: 24, 23.976, "24000/1001".

Owns what a number or a text means. A file holds the rate as a fraction, so that every frame has its exact time.
"""

import math
import re
from fractions import Fraction
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BeforeValidator

_LOWEST, _HIGHEST = 1, 240  # frames per second
_TERM: Final = r"([0-9]{1,12}(?:\.[0-9]{1,12})?)"
_TEXT: Final = re.compile(rf"\s*{_TERM}\s*(?:/\s*{_TERM}\s*)?")
# Whole rates that, divided by 1.001, are rates of American television and what is made for it.
_NTSC: Final = (12, 15, 24, 30, 48, 60, 72, 90, 96, 120, 144, 240)
_IS_NTSC = Fraction(5, 10_000)  # 1/s; closer to one of them than that is this one, written with three digits or more
_MAY_BE_NTSC = Fraction(1, 100)  # 1/s; up to here nobody knows: 23.98 is how some programs show 23.976
_MAX_TERM = 1_000_000  # far within the 32 bits that a track has for its times


def _exact_rate(value: Any) -> int | str:
    """A whole number, or a reduced fraction as text; equal rates are equal values."""
    rate = _read(value)
    if rate is None or not _LOWEST <= rate <= _HIGHEST:
        raise ValueError(
            f'must be {_LOWEST} to {_HIGHEST}: a number such as 24 or 23.976, or a fraction such as "24000/1001".'
        )
    if max(rate.numerator, rate.denominator) > _MAX_TERM:
        raise ValueError(f'must be a fraction of whole numbers up to {_MAX_TERM}. Use "{_write(_shorten(rate))}".')
    return _write(rate)


def _read(value: Any) -> Fraction | None:
    """The rate that is meant, or None where none is; TOML's `true` is not 1."""
    if isinstance(value, float):
        return _of_decimal(Fraction(repr(value))) if math.isfinite(value) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return Fraction(value)
    match = _TEXT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    if match[2] is None:
        return _of_decimal(Fraction(match[1]))
    divisor = Fraction(match[2])
    return Fraction(match[1]) / divisor if divisor else None


def _of_decimal(number: Fraction) -> Fraction:
    """A decimal number is itself, unless it is a rounded rate of television."""
    for whole in _NTSC:
        rate = Fraction(1000 * whole, 1001)
        if abs(number - rate) < _IS_NTSC:
            return rate
        if abs(number - rate) < _MAY_BE_NTSC:
            raise ValueError(
                f'must say which rate it is. Use "{_write(rate)}" ({float(rate):.3f}), or '
                f'"{_write(_shorten(number))}" for this number itself.'
            )
    return number


def _shorten(rate: Fraction) -> Fraction:
    """The nearest rate whose terms are not too large."""
    return rate.limit_denominator(_MAX_TERM // _HIGHEST)


def _write(rate: Fraction) -> int | str:
    return rate.numerator if rate.denominator == 1 else f"{rate.numerator}/{rate.denominator}"


# As a parameter: what `fractions.Fraction` reads. It is in keys as it is here.
FrameRate: TypeAlias = Annotated[int | str, BeforeValidator(_exact_rate, json_schema_input_type=float | str)]
