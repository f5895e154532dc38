"""The list of a hub commit's files: what the hub says, checked, and the form in which it is kept.

Whatever comes from the hub or lies in its cache is checked before a path of it is used: paths become names of files.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stages.keys import JsonValue
from stages.machine.json_files import parse_json

MAX_ENTRIES = 100_000  # far above any checkpoint's, far below what fills the memory
_MAX_BYTES = 2**50
_MAX_PATH = 1024  # characters
_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")
_FORMAT = 1
_TREE_FORMAT = 1  # of the hub's library


@dataclass(frozen=True)
class HubFile:
    """A file of a commit.

    Attributes:
        blob_id: git's SHA-1 of a small file, SHA-256 of a large one, in hex digits.
        size_bytes: of its content.
    """

    blob_id: str
    size_bytes: int


def read_entries(entries: Iterable[Any]) -> Mapping[str, HubFile]:
    """The files among the entries of a tree, as the hub's interface names them.

    Raises:
        ValueError: an entry is not what the interface promises, or its path leads elsewhere; says which one.
    """
    files: dict[str, HubFile] = {}
    for number, entry in enumerate(entries):
        if number >= MAX_ENTRIES:
            raise ValueError(f"it has more than {MAX_ENTRIES} files and folders")
        match entry:
            case {"type": "file", "path": path, "lfs": {"oid": blob_id, "size": size_bytes}}:
                files |= _checked(path, blob_id, size_bytes)
            case {"type": "file", "path": path, "oid": blob_id, "size": size_bytes}:
                files |= _checked(path, blob_id, size_bytes)
            case {"type": "directory"}:
                pass
            case _:
                raise ValueError(f"an entry is neither a file nor a folder: {str(entry)[:200]!r}")
    if not files:
        raise ValueError("it names no file")
    return files


def to_json(files: Mapping[str, HubFile]) -> str:
    """The form in which a list is kept."""
    kept: Mapping[str, JsonValue] = {path: [file.blob_id, file.size_bytes] for path, file in sorted(files.items())}
    return json.dumps({"format": _FORMAT, "files": kept}, indent=1)


def from_json(text: str) -> Mapping[str, HubFile]:
    """The inverse of `to_json`. Raises ValueError for what `to_json` has not written."""
    match parse_json(text):
        case {"format": int(number), "files": dict(kept)} if number == _FORMAT:
            files: dict[str, HubFile] = {}
            for path, value in kept.items():
                files |= _checked(path, *_pair(value))
            return files
    raise ValueError("it has another form")


def from_tree(text: str) -> Mapping[str, HubFile]:
    """The list that the hub's library (1.31 and later) keeps of a commit. Raises ValueError for any other form."""
    match parse_json(text):
        case {"format_version": int(number), "files": dict(kept)} if number == _TREE_FORMAT:
            files: dict[str, HubFile] = {}
            for path, value in kept.items():
                match value:
                    case {"lfs_sha256": blob_id, "lfs_size": size_bytes}:
                        files |= _checked(path, blob_id, size_bytes)
                    case {"blob_id": blob_id, "size": size_bytes}:
                        files |= _checked(path, blob_id, size_bytes)
                    case _:
                        raise ValueError("it has another form")
            return files
    raise ValueError("it has another form")


def is_blob_id(name: str) -> bool:
    """Whether a name is that of a blob: 40 or 64 hex digits."""
    return _ID.fullmatch(name) is not None


def _pair(value: Any) -> tuple[Any, Any]:
    match value:
        case [blob_id, size_bytes]:
            return blob_id, size_bytes
    raise ValueError("it has another form")


def _checked(path: Any, blob_id: Any, size_bytes: Any) -> dict[str, HubFile]:
    """One file by its path. Raises ValueError."""
    if (
        not isinstance(path, str)
        or len(path) > _MAX_PATH
        or _UNSAFE.search(path)
        or any(part in ("", ".", "..") for part in path.split("/"))
    ):
        raise ValueError(f"{str(path)[:200]!r} is not the path of a file inside the repository")
    if not isinstance(blob_id, str) or not is_blob_id(blob_id):
        raise ValueError(f"{path}: {str(blob_id)[:80]!r} is not the id of a blob (40 or 64 hex digits)")
    if type(size_bytes) is not int or not 0 <= size_bytes <= _MAX_BYTES:
        raise ValueError(f"{path}: {str(size_bytes)[:40]} is not a number of bytes from 0 to 2^50")
    return {path: HubFile(blob_id, size_bytes)}
