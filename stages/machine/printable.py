"""Text that others may have written, as it can be shown to people: on one line, and without orders to a terminal."""

import unicodedata
from contextlib import suppress
from datetime import datetime


def cut(text: str, max_chars: int) -> str:
    """As much of a text as there is room for; where some is left out, the last character says so."""
    return text if len(text) <= max_chars else f"{text[: max_chars - 1]}…"


def local_time(text: str) -> str:
    """A time in ISO 8601 as people here read it, by this machine's time zone; another text as it is."""
    with suppress(ValueError, OverflowError):  # no time, or none of this time zone
        return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S}"
    return text


def printable(text: str) -> str:
    r"""A text with single spaces in place of white space, and `\x1b` and the like in place of what has no picture.

    That takes escape sequences, which can clear a screen or set its title; marks that turn the direction of writing;
    and halves of surrogate pairs, which no encoding can print.
    """
    return escaped(" ".join(text.split()))


def escaped(text: str) -> str:
    r"""The same, but each space as it is, and `\n` and the like in place of line breaks and tabs."""
    if text.isprintable():
        return text
    return "".join(each if _is_shown(each) else each.encode("unicode_escape").decode() for each in text)


def _is_shown(character: str) -> bool:
    """Whether it has a picture or is a space, of which there are many."""
    return character.isprintable() or unicodedata.category(character) == "Zs"
