"""Where a remote store is: `machine.remote`, read and checked without a look at the network.

An address holds no secret: credentials come from where the cloud's own tools find them, or not at all.
"""

import re
from dataclasses import dataclass
from typing import Final

FOLDER: Final = "file"  # the scheme of a folder that machines share
SCHEMES: Final = ("s3", "gs", "az", FOLDER)
_ADDRESS: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<place>[^/]*)(?P<path>/.*)?", re.DOTALL)
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PATH: Final = re.compile(r"[A-Za-z0-9._~/+=,@ -]*")


@dataclass(frozen=True)
class Address:
    """Where a remote store is.

    Attributes:
        scheme: one of SCHEMES.
        bucket: or container; "" of a folder.
        path: below it, without slashes at the ends; of a folder all of it, from the root.
    """

    scheme: str
    bucket: str
    path: str

    def __str__(self) -> str:
        if self.scheme == FOLDER:
            return f"{FOLDER}://{self.path}"
        return f"{self.scheme}://{self.bucket}{'/' if self.path else ''}{self.path}"


def read_address(text: str) -> Address:
    """The address in a text.

    Raises:
        ValueError: it is none, or has something in it that may be a secret; the message does not repeat it.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or found["scheme"] not in SCHEMES:
        raise ValueError(f"must be a bucket or a folder: {', '.join(f'{each}://' for each in SCHEMES)}.")
    has_user = bool(found["place"]) and ("@" in text or ":" in found["place"])  # of a folder, a name can have an @
    if has_user or "?" in text or "#" in text:
        raise ValueError(
            "has a user, a password or a query in it, and this file is for everybody. Leave them out: credentials come "
            "from the environment or the machine's role, as for the cloud's own tools."
        )
    path = found["path"] or ""
    parts = path.strip("/").split("/")
    if not _PATH.fullmatch(path) or (path.strip("/") and {"", ".", ".."} & {*parts}):
        raise ValueError(f"has a path that cannot be one of objects: {path}.")
    if found["scheme"] == FOLDER:
        if found["place"] or not path.strip("/"):
            raise ValueError("must name a folder from the root on: file:///mnt/shared.")
        return Address(FOLDER, "", f"/{path.strip('/')}")
    if not _BUCKET.fullmatch(found["place"]):
        raise ValueError(f"must name a bucket: {found['scheme']}://bucket/prefix.")
    return Address(found["scheme"], found["place"], path.strip("/"))
