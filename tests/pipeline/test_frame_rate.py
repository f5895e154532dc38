"""What a frame rate means."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from stages.pipeline.frame_rate import FrameRate

RATE = TypeAdapter[int | str](FrameRate)


def fault(value: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        RATE.validate_python(value, strict=True)
    return str(caught.value.errors()[0]["msg"]).removeprefix("Value error, ")


@pytest.mark.parametrize("value", [24, 24.0, "24", "24.0", "24/1", "48/2", " 24 "])
def test_a_whole_rate_is_a_whole_number_however_it_is_written(value: Any):
    rate = RATE.validate_python(value, strict=True)
    assert (rate, type(rate)) == (24, int)


@pytest.mark.parametrize(
    "value", [23.976, "23.976", "23.97602", 24000 / 1001, "24000/1001", "48000 / 2002", "24/1.001"]
)
def test_the_rate_of_films_on_television_is_the_same_exact_fraction_however_it_is_written(value: Any):
    assert RATE.validate_python(value, strict=True) == "24000/1001"


@pytest.mark.parametrize(
    ("number", "exact"),
    [
        (11.988, "12000/1001"),
        (14.985, "15000/1001"),
        (29.97, "30000/1001"),
        (47.952, "48000/1001"),
        (59.94, "60000/1001"),
        (119.88, "120000/1001"),
        (239.76, "240000/1001"),
    ],
)
def test_rounded_rates_of_television_are_exact_fractions(number: float, exact: str):
    assert RATE.validate_python(number) == exact


@pytest.mark.parametrize(
    ("number", "exact"), [(12.5, "25/2"), ("6.25", "25/4"), (23.5, "47/2"), ("2997/100", "2997/100")]
)
def test_other_numbers_are_what_they_are(number: Any, exact: str):
    assert RATE.validate_python(number) == exact


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (23.98, 'Use "24000/1001" (23.976), or "1199/50" for this number itself.'),
        ("23.97", 'Use "24000/1001" (23.976), or "2397/100" for this number itself.'),
        (59.95, 'Use "60000/1001" (59.940), or "1199/20" for this number itself.'),
        (29.9750001, 'Use "30000/1001" (29.970), or "1199/40" for this number itself.'),
    ],
)
def test_a_number_near_a_rate_of_television_has_to_say_which_it_is(value: Any, rule: str):
    assert fault(value) == f"must say which rate it is. {rule}"
    for offered in rule.split('"')[1::2]:
        assert RATE.validate_python(offered) == offered


WRONG = [0, -1, 0.999, 241, "240.5", 1e9, 10**30, "1" * 5000, "24000/0", "0/1", "1/0"]
WRONG += [True, None, [24], float("nan"), float("inf"), "", "24fps", "film", "-24", "24/", "24/1/1", "1e2", "٢٤"]


@pytest.mark.parametrize("value", WRONG, ids=lambda value: repr(value)[:12])
def test_what_is_no_rate_from_1_to_240_is_refused(value: Any):
    assert fault(value) == 'must be 1 to 240: a number such as 24 or 23.976, or a fraction such as "24000/1001".'


@pytest.mark.parametrize(("value", "near"), [(33.33333333, "100/3"), ("1000003/50000", "20"), ("7/1.0000001", "7")])
def test_a_fraction_that_a_file_cannot_hold_is_refused_with_one_that_it_can(value: Any, near: str):
    assert fault(value) == f'must be a fraction of whole numbers up to 1000000. Use "{near}".'


@given(st.integers(1, 4000), st.integers(1, 4000))
def test_a_fraction_is_kept_exactly_and_is_its_own_normal_form(numerator: int, denominator: int):
    wanted = Fraction(numerator, denominator)
    if 1 <= wanted <= 240:
        rate = RATE.validate_python(f"{numerator}/{denominator}")
        assert Fraction(rate) == wanted
        assert RATE.validate_python(rate) == rate
