"""What a field of a table means for keys."""

from typing import Annotated

import pytest
from pydantic import ValidationError

from stages.pipeline.rules import Drafted, KeyName, Neutral, OnlyWith, Pixels, Table


class Example(Table):
    seed: int = 1
    has_tiles: bool = False
    tile: Annotated[int, OnlyWith("has_tiles")] = 16
    sharpness: Annotated[float, Neutral(0.0)] = 0.0
    strength: Annotated[int, KeyName("power")] = 3


def test_values_are_in_the_key_by_name():
    assert Example(seed=5).key_parameters() == {"seed": 5, "has_tiles": False, "power": 3}


def test_a_default_is_in_the_key_as_any_other_value():
    assert Example().key_parameters() == Example(seed=1).key_parameters()
    assert "seed" in Example().key_parameters()


@pytest.mark.parametrize(("sharpness", "is_there"), [(0.0, False), (0.5, True)])
def test_a_parameter_is_left_out_while_it_is_neutral(sharpness: float, is_there: bool):
    assert ("sharpness" in Example(sharpness=sharpness).key_parameters()) == is_there


def test_a_draft_has_what_a_mark_makes_of_the_value_and_the_key_is_that_of_the_value():
    class Costly(Table):
        steps: Annotated[int, Drafted(lambda steps: steps // 2)] = 9

    assert Costly(steps=20).draft() == {"steps": 10}
    assert Costly(steps=20).key_parameters() == {"steps": 20}
    assert Example().draft() == {}


def test_a_neutral_value_has_a_type():
    class Typed(Table):
        level: Annotated[int | bool, Neutral(0)] = 0

    assert Typed(level=False).key_parameters() == {"level": False}
    assert Typed(level=0).key_parameters() == {}


def test_a_parameter_counts_only_with_another_one():
    assert "tile" not in Example(tile=32).key_parameters()
    assert Example(tile=32, has_tiles=True).key_parameters()["tile"] == 32


def test_a_whole_number_may_be_the_neutral_value_of_a_float():
    class Whole(Table):
        level: Annotated[float, Neutral(0)] = 0

    assert Whole().key_parameters() == {}


def test_a_program_gets_the_neutral_values_that_the_key_leaves_out():
    assert Example.complete({"seed": 5}) == {"seed": 5, "sharpness": 0.0}
    assert Example.complete(Example(sharpness=0.5).key_parameters())["sharpness"] == 0.5


def test_marks_that_would_fail_later_are_refused_with_the_table():
    with pytest.raises(AssertionError, match=r"Lost\.tile: there is no has_tiles"):

        class Lost(Table):
            tile: Annotated[int, OnlyWith("has_tiles")] = 16

    with pytest.raises(AssertionError, match="Twice: two fields have one name in keys"):

        class Twice(Table):
            power: int = 1
            strength: Annotated[int, KeyName("power")] = 3


def test_a_renamed_parameter_keeps_its_first_name_in_keys():
    assert Example(strength=9).key_parameters()["power"] == 9


def test_a_table_has_no_other_names_and_no_other_types():
    with pytest.raises(ValidationError):
        Example(other=1)  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        Example(seed=True)


def test_a_wrong_default_is_never_taken():
    class Wrong(Table):
        height: Pixels = 100

    with pytest.raises(ValidationError, match="multiple of 16"):
        Wrong()


@pytest.mark.parametrize(
    "values", [{}, {"seed": 7, "sharpness": 0.5}, {"has_tiles": True, "tile": 32}, {"strength": 9, "sharpness": 1.0}]
)
def test_parameters_of_a_key_give_back_the_values(values: dict[str, float]):
    before = Example.model_validate(values).key_parameters()
    read = Example.read_key_parameters(before)
    assert Example.model_validate(read.values).key_parameters() == before
    assert (read.unknown, read.missing) == ((), ())


def test_what_a_key_leaves_out_is_neutral_or_without_effect():
    read = Example.read_key_parameters({"seed": 1, "has_tiles": False, "power": 3})
    assert read.values == {"seed": 1, "has_tiles": False, "strength": 3, "sharpness": 0.0}


def test_names_that_a_table_has_not_and_values_that_a_key_lacks_are_told():
    read = Example.read_key_parameters({"seed": 1, "has_tiles": True, "volume": 1})
    assert (read.unknown, read.missing) == (("volume",), ("tile", "strength"))
