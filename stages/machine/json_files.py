"""JSON files that anybody may have written: as editors write them, and however wrong they are.

UTF-8, and with a byte order mark also UTF-16 and UTF-32. What is wrong with a text is a ValueError and nothing else.
"""

import json
from pathlib import Path
from typing import Any

from stages.machine.regular_files import MAX_TEXT_BYTES, read_regular

_TOO_MANY_DIGITS = "Exceeds the limit"  # how Python begins; it goes on with advice for programmers


def read_json(path: Path, max_bytes: int = MAX_TEXT_BYTES) -> Any:
    """What a JSON file says.

    Raises:
        OSError: it cannot be read, is no regular file, or has more bytes than that.
        ValueError: it is no JSON.
    """
    return parse_json(decode_json(read_regular(path, max_bytes)))


def decode_json(content: bytes) -> str:
    """The text of a JSON file, without a byte order mark. Raises UnicodeDecodeError."""
    # unlike what `json.loads` does with bytes: it lets half of a surrogate pair pass, which no text can hold
    return content.decode(json.detect_encoding(content))


def parse_json(text: str, **options: Any) -> Any:
    """As `json.loads`, with its options; what is wrong with any text at all is a ValueError that says what.

    Raises:
        ValueError: it is empty or no JSON, is nested too deeply, or has a number of thousands of digits.
    """
    if not text.strip():
        raise ValueError("it is empty")
    try:
        return json.loads(text, **options)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except ValueError as error:
        if str(error).startswith(_TOO_MANY_DIGITS):
            raise ValueError("it has a number of thousands of digits") from error
        raise
