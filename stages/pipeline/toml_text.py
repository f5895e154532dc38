"""TOML as editors of all systems write it, and however wrong it is. What is wrong with a text is a ValueError."""

import codecs
import re
import tomllib
from pathlib import Path
from typing import Any, Final

from stages.machine.regular_files import read_regular

_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_MAX_BYTES = 4 << 20  # parsing takes a second per MiB
_MAX_PARTS = 64  # of a name with dots: the time to parse one grows with their square
_PART: Final = r"""(?:[A-Za-z0-9_-]++|"[^"\n]*+"|'[^'\n]*+')"""
# Words with dots between them, which may also stand in a text; as a name, "=" or "]" follows.
_MANY_PARTS: Final = re.compile(rf"(?<![A-Za-z0-9_-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{_MAX_PARTS},}}+[ \t]*+")
_TOO_MANY_DIGITS = "Exceeds the limit"  # how Python begins; it goes on with advice for programmers


def read_toml_text(path: Path) -> str:
    """A file's text, without the byte order mark that some editors put before it.

    Raises:
        OSError: the file cannot be read, is no regular file, or is far too large.
        ValueError: its bytes are not UTF-8, which TOML is written in; the text of the error says what to do.
    """
    content = read_regular(path, _MAX_BYTES)
    # UTF-16 without a mark: a zero byte in each pair of a file that is ASCII for the most part
    if content.startswith(_UTF_16_MARKS) or 0 in content[:2]:
        raise ValueError("the file is UTF-16, and TOML is UTF-8. Save it as UTF-8 in the editor")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = f"0x{content[error.start]:02x}"
        raise ValueError(
            f"line {line} has a byte that is not UTF-8, {byte}. Save the file as UTF-8 in the editor"
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse_toml(text: str) -> dict[str, Any]:
    """As `tomllib.loads`; what is wrong with any text at all is a ValueError that says what.

    Raises:
        ValueError: it is no TOML, is nested too deep, or has a number or a name of more parts than anybody writes.
    """
    if any(text[found.end() : found.end() + 1] in ("=", "]") for found in _MANY_PARTS.finditer(text)):
        raise ValueError(f"a name has more than {_MAX_PARTS} parts")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    except ValueError as error:
        if str(error).startswith(_TOO_MANY_DIGITS):
            raise ValueError("it has a number of thousands of digits") from error
        raise
