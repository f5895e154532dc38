"""What is known of weights before they are downloaded: sizes from the hub's list, and headers, by a range each."""

import tempfile
from dataclasses import replace
from pathlib import Path

from stages.errors import CheckpointError
from stages.models import hub
from stages.models.checkpoint import Checkpoint, find_component
from stages.models.component_files import ComponentFiles
from stages.models.component_source import HubSource
from stages.models.weight_headers import WeightHeaders, read_headers
from stages.pipeline.component import Component


def count_listed_bytes(checkpoint: Checkpoint, component: Component) -> int:
    """Bytes of a component's weight files, as the hub lists them; 0 for a folder, whose headers can be read.

    Raises:
        CheckpointError: files that would be read are missing, or the hub does not answer.
    """
    source, picked = find_component(checkpoint, component, None)
    if not isinstance(source, HubSource):
        return 0
    return sum(source.sizes(picked.weights).values())


def read_remote_headers(checkpoint: Checkpoint, component: Component) -> WeightHeaders | None:
    """As `read_headers`, of weights on the hub, of which nothing else is fetched; None for a folder.

    Raises:
        CheckpointError: files that would be read are missing, or the hub does not answer.
    """
    source, picked = find_component(checkpoint, component, None)
    if not isinstance(source, HubSource):
        return None
    with tempfile.TemporaryDirectory() as name:
        for weights, size_bytes in source.sizes(picked.weights).items():
            path = f"{source.prefix}{weights}"
            header = hub.read_header(source.repo, source.commit, path) if size_bytes else b""
            _write_start(Path(name) / weights, header, size_bytes)
        headers = read_headers(ComponentFiles(component, Path(name), picked))
    faults = tuple(fault.replace(name, str(source.folder)) for fault in headers.faults)
    return replace(headers, files=ComponentFiles(component, source.folder, picked), faults=faults)


def _write_start(path: Path, start: bytes, size_bytes: int) -> None:
    """Write a file of this size that begins so; the rest is a hole, which takes no room."""
    try:
        with path.open("wb") as file:
            file.write(start)
            file.truncate(size_bytes)
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be written ({error.strerror}). Make room, or set TMPDIR to a folder on another disk."
        ) from error
