"""Requests to stop what another process makes: `<root>/.leases/<stage>-<key>.stop`, beside the lease.

A file and no signal: it reaches a holder on another host, in another container and of another user, and only the one
whose token it names.
"""

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from stages.keys import ArtifactId
from stages.machine.holder import Holder, read_holder
from stages.machine.json_files import decode_json, parse_json
from stages.machine.regular_files import read_regular
from stages.store.layout import LEASES
from stages.store.replace_file import write_file
from stages.store.sharing import make_folder

_MAX_BYTES = 1 << 14
_TARGET = "holder_token"


class StopRequests:
    """The requests of a store, for any number of processes, users and hosts."""

    def __init__(self, root: Path) -> None:
        """`root` is the store's folder."""
        self._root = root

    def ask(self, artifact: ArtifactId, holder: Holder) -> None:
        """Ask who has the lease of an artifact to stop making it. Raises OSError: the request cannot be written."""
        path = self._path(artifact)
        make_folder(path.parent, self._root)
        text = json.dumps(asdict(Holder.here()) | {_TARGET: holder.token}, sort_keys=True) + "\n"
        write_file(path, text, is_synced=False)

    def find(self, artifact: ArtifactId, holder: Holder) -> Holder | None:
        """Who asks this holder to stop; None where nobody does."""
        with suppress(OSError, ValueError):
            content = read_regular(self._path(artifact), _MAX_BYTES)
            fields = parse_json(decode_json(content))
            if isinstance(fields, dict) and fields.get(_TARGET) == holder.token:
                return read_holder(content)
        return None

    def withdraw(self, artifact: ArtifactId) -> None:
        """Delete a request, if there is one and it may be deleted."""
        with suppress(OSError):
            self._path(artifact).unlink()

    def _path(self, artifact: ArtifactId) -> Path:
        return self._root / LEASES / f"{artifact.stage}-{artifact.key}.stop"
