"""The text of a TOML file, as editors of all systems write it."""

import codecs
from pathlib import Path

_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_toml_text(path: Path) -> str:
    """A file's text, without the byte order mark that some editors put before it.

    Raises:
        OSError: the file cannot be read.
        ValueError: its bytes are not UTF-8, which TOML is written in; the text of the error says what to do.
    """
    content = path.read_bytes()
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
