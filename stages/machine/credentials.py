"""Secrets in addresses, which no message repeats."""

import re
from typing import Final

# A secret can have slashes in it, or a ? or a query an @: which of the two it is, nobody knows. A bucket has no port.
_CREDENTIALS: Final = re.compile(
    r"(?<=://)(?:[^?#\s]*[?#]\S*@\S*|\S*(?=@))|(?<=s3://|gs://|az://)[^/\s]*:\S*", re.IGNORECASE
)
_QUERY: Final = re.compile(r"(?<=://)([^?#\s]*)[?#]\S*")


def hide_credentials(text: str) -> str:
    """A text in which addresses have no user, password or query any more, for messages."""
    return _QUERY.sub(r"\1?…", _CREDENTIALS.sub("…", text))
