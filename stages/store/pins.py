"""What people have pinned: artifacts that `doit gc` keeps, with all that they were made from, until it is unpinned.

A pin is a file of its own, `<root>/pins/<stage>-<key>.json`, written whole and renamed under the store's lock: a gc
that runs meanwhile sees it before it deletes anything more. A pin that cannot be read stops every gc.
"""

import getpass
import json
import os
import socket
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stages.errors import StoreError
from stages.keys import ArtifactId, artifact_from
from stages.machine.json_files import decode_json, parse_json
from stages.machine.regular_files import read_regular, reason_of
from stages.store.drafts import Drafts
from stages.store.layout import PINS
from stages.store.replace_file import write_file
from stages.store.sharing import make_folder


@dataclass(frozen=True)
class Pin:
    """One pin.

    Attributes:
        artifact: what is pinned.
        made_from: of what it is made, also where that has not been made yet.
        name: of the video, as it was called when it was pinned; "" of a single artifact.
        note: the person's words.
        by: user and host.
        since: when it was first pinned, ISO 8601, UTC.
    """

    artifact: ArtifactId
    made_from: tuple[ArtifactId, ...]
    name: str = ""
    note: str = ""
    by: str = ""
    since: str = ""

    @property
    def title(self) -> str:
        """What people see, and what `doit unpin` takes."""
        return self.name or self.artifact.title

    @property
    def artifacts(self) -> tuple[ArtifactId, ...]:
        """All that it keeps."""
        return (self.artifact, *self.made_from)

    def to_json(self) -> str:
        """The file's text."""
        text = json.dumps(asdict(self), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        return text.encode(errors="backslashreplace").decode()  # JSON's own form of what was typed and is no text

    @staticmethod
    def from_json(text: str) -> "Pin":
        """The inverse of `to_json`, for a text of which nothing is known. Raises ValueError: it is no pin."""
        try:
            fields: Any = parse_json(text)
            texts = {name: fields[name] for name in ("name", "note", "by", "since")}
            artifact, *made_from = map(artifact_from, (fields["artifact"], *fields["made_from"]))
        except (TypeError, KeyError) as error:
            raise ValueError("it is no pin of this version") from error
        if not all(isinstance(value, str) for value in texts.values()):
            raise ValueError("it is no pin of this version")
        return Pin(artifact, tuple(made_from), **texts)


class Pins:
    """The pins of a store."""

    def __init__(self, root: Path) -> None:
        """`root` is the store's folder. Nothing is created before the first pin."""
        self._root = root
        self._folder = root / PINS

    def read(self) -> Sequence[Pin]:
        """All pins, the oldest first.

        Raises:
            StoreError: one cannot be read; nothing may be deleted then, because nobody knows what it keeps.
        """
        pins = []
        for file in self.files():
            try:
                pins.append(self._read(file))
            except StoreError:
                if os.path.lexists(file):  # or it was taken away just now
                    raise
        return sorted(pins, key=lambda pin: (pin.since, pin.title))

    def files(self) -> Collection[Path]:
        """The files of all pins. Raises StoreError: nobody can say what is pinned."""
        return frozenset(path for path, *_ in self.versions())

    def versions(self) -> Collection[tuple[Path, int, int]]:
        """The files of all pins, each with what is another number once it was written again. Raises StoreError."""
        try:
            with os.scandir(self._folder) as found:
                return frozenset(_versions(entry for entry in found if entry.name.endswith(".json")))
        except FileNotFoundError:
            return frozenset()
        except OSError as error:
            raise StoreError(
                f"{self._folder}: cannot be read ({error.strerror}). Fix that and run it again."
            ) from error

    def add(self, pin: Pin) -> Pin | None:
        """Pin something; what is pinned already gets the new pin's note and name, if it has some.

        Returns:
            The pin that was there before, or None.
        Raises:
            StoreError: it cannot be written, or the one that is there cannot be read.
        """
        file = self._file(pin.artifact)
        try:
            with Drafts(self._root).exclusive():
                before = self._read(file) if file.exists() else None
                after = pin if before is None else _merge(before, pin)
                if after != before:
                    self._write(file, after)
        except OSError as error:
            raise StoreError(
                f"{file}: cannot be written ({error.strerror}). Make room or fix its permissions."
            ) from error
        return before

    def remove(self, pin: Pin) -> bool:
        """Take a pin away; False when it is gone already. Raises StoreError: it cannot be."""
        file = self._file(pin.artifact)
        try:
            file.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StoreError(f"{file}: cannot be deleted ({error.strerror}). Fix its permissions.") from error
        return True

    def _file(self, artifact: ArtifactId) -> Path:
        return self._folder / f"{artifact.stage}-{artifact.key}.json"

    def _read(self, file: Path) -> Pin:
        try:
            pin = Pin.from_json(decode_json(read_regular(file)))
            if file != self._file(pin.artifact):  # nobody would find it to take it away
                raise ValueError(f"it is the pin of {self._file(pin.artifact).stem}, and is not called so")
        except (OSError, ValueError) as error:
            raise StoreError(
                f"{file}: cannot be read ({reason_of(error)}). It says what is pinned: correct it, or delete it and "
                "pin that again. Until then nothing is deleted."
            ) from error
        return pin

    def _write(self, file: Path, pin: Pin) -> None:
        make_folder(self._folder, self._root)
        write_file(file, pin.to_json(), is_synced=True)


def _versions(files: Iterable[os.DirEntry[str]]) -> Iterator[tuple[Path, int, int]]:
    for file in files:
        with suppress(FileNotFoundError):  # it was taken away just now
            status = file.stat(follow_symlinks=False)
            yield Path(file.path), status.st_ino, status.st_mtime_ns


def _merge(before: Pin, pin: Pin) -> Pin:
    """What was pinned first, by whom and when, with what the second pin says besides."""
    made_from = tuple(dict.fromkeys((*before.made_from, *pin.made_from)))
    return replace(before, name=before.name or pin.name, note=pin.note or before.note, made_from=made_from)


def who_and_when() -> dict[str, str]:
    """The fields of a pin that say who pins now."""
    user = str(os.getuid())
    with suppress(KeyError, OSError, ImportError):
        user = getpass.getuser()
    return {"by": f"{user}@{socket.gethostname()}", "since": datetime.now(UTC).isoformat(timespec="seconds")}
