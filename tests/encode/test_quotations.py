"""Quotations in prompts."""

import pytest

from stages.encode.quotations import find_quotations


@pytest.mark.parametrize(
    ("prompt", "quotations"),
    [
        ('a sign "STOP" and a sign “GO”', ["STOP", "GO"]),
        ('"a" and "b" and "a"', ["a", "b"]),
        ('a board, 6" wide', []),
        ('"a\nb"', []),
        ('an empty sign, ""', [""]),
        ("“a", []),
    ],
)
def test_what_stands_in_double_quotes_is_found_once(prompt: str, quotations: list[str]):
    assert find_quotations(prompt) == quotations
