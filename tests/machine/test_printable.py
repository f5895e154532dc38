"""What is shown of a text that somebody else may have written."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.machine.printable import cut, escaped, local_time, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("A red circle.", "A red circle."),
        ("  two\nlines\tof   it ", "two lines of it"),
        ("für 中文 🎬", "für 中文 🎬"),
        ("\x1b[2Jcleared", "\\x1b[2Jcleared"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b2J", "\\x9b2J"),
        ("\u202etxt.exe", "\\u202etxt.exe"),
        ("\udcff", "\\udcff"),
        ("back\b\b\b\bover", "back\\x08\\x08\\x08\\x08over"),
        ("", ""),
    ],
)
def test_it_is_one_line_without_orders_to_a_terminal(text: str, shown: str):
    assert printable(text) == shown


@given(st.text(st.characters(codec=None)))
def test_of_any_text_all_has_a_picture_and_can_be_encoded(text: str):
    assert printable(text).isprintable()
    printable(text).encode()


@pytest.mark.parametrize(("text", "shown"), [("", ""), ("abcd", "abcd"), ("abcde", "abc…")])
def test_what_is_cut_says_so_in_its_last_character(text: str, shown: str):
    assert cut(text, 4) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-11-29T18:48:29+00:00", "2026-11-29 21:48:29"),
        ("2026-11-29T18:48:29-02:00", "2026-11-29 23:48:29"),
        ("yesterday", "yesterday"),
        ("9999-12-31T23:59:59+00:00", "9999-12-31T23:59:59+00:00"),  # in this time zone there is no such year
    ],
)
def test_a_time_is_that_of_this_time_zone(monkeypatch: pytest.MonkeyPatch, text: str, shown: str):
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "XXX-3")
        time.tzset()
        assert local_time(text) == shown
    time.tzset()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a  b", "a  b"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("a\0b", "a\\x00b"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\u3000\u00a0", "\u3000\u00a0"),
        ("\u2028", "\\u2028"),
        ("\udcff", "\\udcff"),
        ("a\\b", "a\\b"),
    ],
)
def test_what_is_quoted_has_its_spaces(text: str, shown: str):
    assert escaped(text) == shown
