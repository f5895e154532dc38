"""One of two things that are compared: what is known of how it was made, and the files that are there of it."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from stages.errors import StoreError
from stages.keys import ArtifactId, Digest
from stages.machine.printable import escaped
from stages.machine.regular_files import digest_file
from stages.provenance.project import Project
from stages.provenance.record import Made, Record
from stages.provenance.sources import find_record, stores_of
from stages.store.artifacts import Store
from stages.store.manifest import MANIFEST
from stages.store.payloads import stamp_of
from stages.store.video_links import VideoLinks

BEFORE: Final = "@before"  # after the name of a video: what its link led to before


@dataclass(frozen=True)
class Payload:
    """What one stage has made.

    Attributes:
        path: the file; None where it is not there.
        digest: of its bytes; None where that is not known.
        absence: why it is not there, in words.
    """

    path: Path | None = None
    digest: Digest | None = None
    absence: str = ""


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes:
        name: as a person has typed it.
        record: what is known of how it was made.
        payloads: by the names of its stages.
    """

    name: str
    record: Record
    payloads: Mapping[str, Payload] = field(default_factory=dict)


def find_side(name: str, project: Project) -> Side:
    """What a person has named.

    Args:
        name: as `find_record` takes it, or a video's with "@before" behind it.
        project: in whose folder and store it is looked for.
    Raises:
        StoreError: there is no such thing, or it says nothing of how it was made; says which.
    """
    if name.endswith(BEFORE) and not os.path.lexists(name):
        artifact = _find_before(name.removesuffix(BEFORE), project)
        record = find_record(str(project.store.folder(artifact)), project)
        return _with_payloads(name, record, [project.store])
    record, path = find_record(name, project), Path(name).expanduser()
    if path.is_dir():
        return _with_payloads(name, record, stores_of(path / MANIFEST, project))
    if not path.is_file():
        return _with_payloads(name, record, [project.store])
    side = _with_payloads(name, record, stores_of(path, project))
    if record.what != "a video":
        return side
    last, digest = record.made[-1].stage, digest_file(path)
    payloads, its_namesake = side.payloads, side.payloads[last].digest
    if its_namesake not in (None, digest):  # made by other hosts, or edited: so what it was made from may be other, too
        payloads = dict.fromkeys(payloads, Payload(absence="not known to be what this file was made from"))
    return Side(name, record, payloads if its_namesake == digest else {**payloads, last: Payload(path, digest)})


def payload_of(made: Made, stores: list[Store]) -> Payload:
    """The file that one stage has made, if one of these stores has it."""
    for store in stores:
        with suppress(StoreError):
            manifest = store.present_manifest(made.artifact)
            if made.code is not None and manifest.code != made.code:
                return Payload(absence="what is in the store was made by other code")
            path = store.folder(made.artifact) / manifest.payload
            if stamp_of(path) is not None:
                return Payload(path, manifest.digest)
            return Payload(None, manifest.digest, "deleted by `doit gc`")
    return Payload(absence="not in the store")


def _with_payloads(name: str, record: Record, stores: list[Store]) -> Side:
    return Side(name, record, {made.stage: payload_of(made, stores) for made in record.made})


def _find_before(video: str, project: Project) -> ArtifactId:
    suffix = Path(project.pipeline.last.makes.payload).suffix
    links = VideoLinks(project.store, suffix=suffix)
    artifact = links.find_before(video)
    shown = escaped(f"{video}{BEFORE}")
    if artifact is None:
        find_record(video, project)  # names what is wrong with a name that is nobody's
        if not os.path.lexists(links.path(video)):
            raise StoreError(
                f"{escaped(video)}: is no video of this project, and only these have a before. Name what it is to be "
                "compared with."
            )
        raise StoreError(
            f"{shown}: nothing is known of before: the link of {escaped(video)} has led to nothing else since "
            "links are noted. `doit list --all` names what the store has."
        )
    if not project.store.folder(artifact).is_dir():
        raise StoreError(f"{shown}: was {artifact.title}, which has been removed.")
    return artifact
