"""JSON files as people's editors write them: UTF-8, and with a byte order mark also UTF-16 and UTF-32."""

import json


def decode_json(content: bytes) -> str:
    """The text of a JSON file, without a byte order mark. Raises UnicodeDecodeError."""
    # unlike what `json.loads` does with bytes: it lets half of a surrogate pair pass, which no text can hold
    return content.decode(json.detect_encoding(content))
