"""A draft that is finished: what lies beside its payload, and how it becomes an artifact. A record has no payload."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stages.keys import JsonValue
from stages.store.drafts import give_permissions, make_durable
from stages.store.manifest import COLLECTED, MANIFEST, RUN, Manifest
from stages.store.payloads import note_published
from stages.store.sharing import make_folder


@dataclass(frozen=True)
class Published:
    """A new artifact.

    Attributes:
        manifest: its own.
        is_same_as_before: whether its bytes are those of the artifact that it replaced, by the manifest and by the
            file; None when it replaced none, or one whose file cannot be read.
        was_damaged: whether that file had other bytes than its manifest said, which are the new ones.
    """

    manifest: Manifest
    is_same_as_before: bool | None
    was_damaged: bool = False


def complete_draft(draft: Path, manifest: Manifest, run: Mapping[str, JsonValue]) -> None:
    """Write what belongs to a payload beside it, and all of it to the disk."""
    _write(draft, manifest, run, name=RUN)
    make_durable(draft)
    note_published(draft, manifest)


def complete_record(draft: Path, manifest: Manifest, run: Mapping[str, JsonValue]) -> None:
    """Write what `doit gc` leaves of an artifact. It is not synced: it can be had again at any time."""
    _write(draft, manifest, run, name=COLLECTED)
    give_permissions(draft)


def _write(draft: Path, manifest: Manifest, run: Mapping[str, JsonValue], *, name: str) -> None:
    (draft / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    (draft / name).write_text(json.dumps(run, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def put_in_place(draft: Path, final: Path, *, old: Path, root: Path) -> None:
    """Give a draft the name of an artifact; if that fails, the one that was there is back.

    Args:
        draft: a whole folder.
        final: the artifact's.
        old: where the one that was there is put, which goes with the draft.
        root: the store's folder.
    """
    make_folder(final.parent, root)
    with suppress(FileNotFoundError):
        final.rename(old)
    try:
        draft.rename(final)
    except BaseException:
        with suppress(FileNotFoundError):
            old.rename(final)
        raise
