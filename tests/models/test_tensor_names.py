"""Names that another tool has changed are recognised by what it has put in front of them."""

import time

from stages.models.tensor_names import explain_prefix, find_prefix

LONG_S = 20  # of computing; it took hours


def test_names_that_are_as_expected_have_no_prefix():
    assert find_prefix({"a.b", "c"}, ["a.b", "x.c", "x.a.b"]) == ""
    assert find_prefix({"a.b", "c"}, ["x.y", "z"]) == ""
    assert find_prefix({"a", "b", "c"}, ["x.a"]) == ""  # one of three by chance


def test_what_stands_in_front_of_most_names_is_their_prefix():
    assert find_prefix({"a.b", "c"}, ["model.diffusion.a.b", "model.diffusion.c"]) == "model.diffusion."


def test_a_prefix_is_shown_with_an_example():
    assert explain_prefix("model.", "a.b", "here") == (
        "here: the names of its tensors begin with `model.`, as another tool writes them: `model.a.b` in place of "
        "`a.b`. Use a checkpoint that diffusers has written, or take the prefix from the names."
    )


def test_names_of_millions_of_dots_are_looked_at_at_once():
    start = time.process_time()
    assert find_prefix({"x.weight"}, ["a." * 1_000_000 + "z"]) == ""
    assert find_prefix({"x.weight"}, ["a." * 1_000_000 + "x.weight"]) == "a." * 1_000_000
    assert time.process_time() - start < LONG_S
