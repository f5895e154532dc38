"""A repository of the small hub of hub_server.py: its files, and how the hub behaves about it.

Not a test itself.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

COMMIT = "89abcdef0123456789abcdef0123456789abcdef"


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@dataclass
class Repo:
    """A repository of one commit, and how its hub behaves.

    Attributes:
        files: content by path.
        large: the paths that are stored as large files.
        commit: the only one; `revisions` name it.
        answer: what the hub says that commit is.
        is_gated: gives content only to those who send TOKEN, and tells others to accept the terms; anyone may list.
        entries: what the tree says in place of the truth, if it is not None.
        served: what comes in place of a file's content, by its path.
        cut_after: bytes after which the connection is closed, by path, once per value.
        stall_after: bytes of a file after which nothing more comes, by path.
        busy: statuses that the next answers have.
        busy_cdn: the status of all answers to requests for the content of large files, if it is not None.
        busy_message, retry_after: of such an answer.
        pause_s: before each piece of 64 KiB.
        page: entries of a page of the tree.
        following: where the next page is said to be, if it is not None.
        whole_page: what a page is in place of a list, unless it is ...
        cut_json: bytes after which each page of the tree is cut, if it is not None.
        ignores_ranges: a range is answered with the whole.
        hides_length: answers have no length, and end with the connection.
    """

    files: Mapping[str, bytes]
    large: frozenset[str]
    commit: str = COMMIT
    revisions: frozenset[str] = frozenset({"main", "v1"})
    answer: object = COMMIT
    is_gated: bool = False
    entries: list[object] | None = None
    served: dict[str, bytes] = field(default_factory=dict)
    cut_after: dict[str, list[int]] = field(default_factory=dict)
    stall_after: dict[str, int] = field(default_factory=dict)
    busy: list[int] = field(default_factory=list)
    busy_cdn: int | None = None
    busy_message: str = "not now"
    retry_after: str | None = "0"
    pause_s: float = 0.0
    page: int = 4
    following: str | None = None
    whole_page: object = ...
    cut_json: int | None = None
    ignores_ranges: bool = False
    hides_length: bool = False

    @staticmethod
    def of_folder(folder: Path, **behaviour: object) -> "Repo":
        """A repository that holds a checkpoint's folder; its weights are large files."""
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        large = frozenset(name for name in files if name.endswith(".safetensors"))
        return Repo(files, large, **behaviour)  # type: ignore[arg-type]

    def blob_id(self, path: str) -> str:
        content = self.files[path]
        return hashlib.sha256(content).hexdigest() if path in self.large else git_sha1(content)

    def tree(self) -> list[object]:
        """The entries of the commit's tree, as the hub names them."""
        if self.entries is not None:
            return self.entries
        folders = {str(parent) for path in self.files for parent in Path(path).parents} - {"."}
        entries: list[object] = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": name} for name in folders]
        for path, content in self.files.items():
            entry: dict[str, object] = {"type": "file", "oid": git_sha1(content), "size": len(content), "path": path}
            if path in self.large:
                entry["lfs"] = {"oid": self.blob_id(path), "size": len(content), "pointerSize": 134}
            entries.append(entry)
        return entries
