"""A checksum in the first line of a JSON object: XXH3-128 of all of its text but that line.

Every change of a bit, and every other way of writing the same, is found out.
"""

from stages.keys import digest_bytes

_OPENING = '{\n  "checksum": "'
_CLOSING = '",'


def add_checksum(text: str) -> str:
    """The text of a JSON object that begins with a line of its own, with the checksum in front."""
    return f"{_OPENING}{digest_bytes(text.encode())}{_CLOSING}{text[1:]}"


def has_checksum(text: str) -> bool:
    """Whether a text begins as one with a checksum."""
    return text.startswith(_OPENING)


def check_checksum(text: str) -> str:
    """A text without its checksum; one that has none as it is: if it stands anywhere else, it is an unknown field.

    Raises:
        ValueError: the checksum is another one.
    """
    if not has_checksum(text):
        return text
    checksum, closing, rest = text.removeprefix(_OPENING).partition(_CLOSING)
    without = f"{{{rest}"
    actual = digest_bytes(without.encode(errors="surrogatepass"))
    if not closing or checksum != actual:
        raise ValueError("it is not what was written: its checksum is another one")
    return without
