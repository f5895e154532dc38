"""What lies beside a payload when its draft is finished, and in the draft of a record, which has none."""

import json
from collections.abc import Mapping
from pathlib import Path

from stages.keys import JsonValue
from stages.store.drafts import give_permissions, make_durable
from stages.store.manifest import COLLECTED, MANIFEST, RUN, Manifest
from stages.store.payloads import note_published


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
