"""What this process prints can be any text, whatever encoding its terminal, pipe or file has."""

import io
import sys


def accept_any_text(encoding: str | None = None) -> None:
    r"""Print characters that stdout or stderr cannot encode as `\u4e2d` from now on, where Python would raise.

    Otherwise a warning that quotes a prompt would end the job that it is about.

    Args:
        encoding: of both streams from now on; None: what they have.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not what a notebook or a test has put there
            stream.reconfigure(encoding=encoding, errors="backslashreplace")


def from_command_line(text: str) -> str:
    """An argument as it was typed: the text of its bytes in UTF-8, where the locale has no character for some.

    A locale such as C makes lone surrogates of all bytes beyond ASCII; bytes that are no UTF-8 either stay so.
    """
    if text.isascii() or not any("\udc80" <= character <= "\udcff" for character in text):
        return text
    typed = text.encode(sys.getfilesystemencoding(), "surrogateescape")
    try:
        return typed.decode()
    except UnicodeDecodeError:
        return text
