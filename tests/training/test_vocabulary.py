"""Tests of what is held out."""

from training.shapes.vocabulary import (
    BACKGROUNDS,
    COLORS,
    MOTIONS,
    SHAPES,
    all_combinations,
    held_out_combinations,
    training_combinations,
)


def test_a_tenth_is_held_out_and_nothing_is_in_both_halves() -> None:
    held_out, trained = set(held_out_combinations()), set(training_combinations())
    assert (len(held_out), len(trained), len(held_out & trained)) == (27, 243, 0)
    assert held_out | trained == set(all_combinations())


def test_every_value_is_among_the_held_out() -> None:
    held_out = held_out_combinations()
    assert {combination.shape for combination in held_out} == set(SHAPES)
    assert {combination.color for combination in held_out} == set(COLORS)
    assert {combination.motion for combination in held_out} == set(MOTIONS)
    assert {combination.background for combination in held_out} == set(BACKGROUNDS)
