"""Lists and quotations in messages stay short."""

from stages.models.wording import MAX_QUOTED, name_some, quote


def test_few_names_are_all_listed():
    assert name_some(["c", "b", "a"]) == "c, b, a"


def test_of_many_names_the_first_are_listed_and_the_others_counted():
    assert name_some(["a", "b", "c", "d"]) == "a, b, c and 1 more"


def test_no_name_is_nothing():
    assert name_some([]) == "nothing"


def test_a_quotation_is_one_line():
    assert quote(" a\n  b\tc ") == "a b c"


def test_a_long_quotation_is_cut_and_says_so():
    assert quote("x" * MAX_QUOTED) == "x" * MAX_QUOTED
    assert quote("x" * (MAX_QUOTED + 1)) == "x" * MAX_QUOTED + "..."


def test_names_that_others_have_chosen_are_short_and_give_no_orders_to_a_terminal():
    said = name_some(["\x1b[2J" + "x" * 1000, "b"])
    assert said.startswith(r"\x1b[2Jxxx")
    assert len(said) < 200
