"""What a person names, a file, an artifact or a video, becomes what is known of how it was made.

What a file is follows from its content: its name may have become any other, and its content may be anything at all.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from stages.errors import StoreError
from stages.keys import ArtifactId
from stages.machine.json_files import decode_json, parse_json
from stages.machine.printable import cut, escaped
from stages.machine.regular_files import digest_file, open_regular, reason_of
from stages.provenance.lineage import find_by_content, find_manifest, store_around, trace
from stages.provenance.mp4_comment import is_mp4, read_comment
from stages.provenance.project import Project
from stages.provenance.record import Made, Record, find_misfits, parse_line
from stages.request.draft import DRAFT_SUFFIX
from stages.request.layers import VIDEO_FILES
from stages.request.names import near
from stages.request.sweep_names import find_sweep
from stages.store.artifacts import Store
from stages.store.inventory import list_artifacts
from stages.store.layout import VIDEOS
from stages.store.manifest import FORGOTTEN, MANIFEST, Manifest
from stages.tensors.header import LENGTH, parse_header

_HEAD_BYTES: Final = 16  # enough to tell what a file is
_MAX_JSON_BYTES: Final = 64 << 20
_MIN_KEY: Final = 6  # hex digits by which a key may be typed
_MAX_NAMES, _MAX_NAME = 3, 80  # of tensors, and characters of one, in a message
_MAX_REASON: Final = 200  # characters of why a file cannot be read
_JSON_BEGINS: Final = (b"{", b"\xef\xbb\xbf{", b"\xff\xfe{", b"\xfe\xff\x00{")  # the last three: byte order marks
_BLANK: Final = b" \t\r\n"


def find_record(name: str, project: Project) -> Record:
    """What is known of how something was made.

    Args:
        name: a file, an artifact's folder, the name of its task or its key, or a video that has been made.
        project: in whose folder it is looked for; its store is asked for what a file does not say itself.
    Raises:
        StoreError: there is no such thing, or it says nothing of how it was made; says which.
    """
    try:
        path = Path(name).expanduser()
        if path.is_dir():
            if found := _find_manifest_file(path):
                return _of_manifest(found, name, project)
        elif os.path.lexists(path):
            return _read_file(path, name, project)
        return _find_in_store(name, path, project)
    except OSError as error:
        raise StoreError(f"{escaped(name)}: cannot be read: {reason_of(error)}.") from error
    except (ValueError, RuntimeError) as error:  # a NUL character, or the home folder of nobody
        raise StoreError(f"{escaped(name)}: is no name of a file: {str(error).rstrip('.')}.") from error


def _find_manifest_file(folder: Path) -> Path | None:
    return next((folder / each for each in (MANIFEST, FORGOTTEN) if os.path.lexists(folder / each)), None)


def _find_in_store(name: str, path: Path, project: Project) -> Record:
    stage, colon, key = name.rpartition(":")
    known = [artifact for _, artifact in list_artifacts(project.store.root)]
    found = [each for each in known if each.key.startswith(key) and (not colon or each.stage == stage)]
    if len(key) >= _MIN_KEY and len(found) > 1:
        raise StoreError(
            f"{escaped(name)}: means {len(found)} artifacts: {', '.join(sorted(each.title for each in found))}."
        )
    if len(key) >= _MIN_KEY and found:
        return _of_artifact(found[0], name, project)
    folder = project.store.root / VIDEOS
    links = {link.stem: link for link in (folder.iterdir() if folder.is_dir() else ()) if not link.name.startswith(".")}
    if name in links:
        return _read_file(links[name], os.path.relpath(links[name], project.root), project)
    if path.is_dir():
        raise StoreError(f"{escaped(name)}: is a folder without a {MANIFEST}. Name a file, or an artifact's folder.")
    video = name.removesuffix(DRAFT_SUFFIX)
    if os.path.lexists(project.root / VIDEO_FILES / f"{video}.toml"):
        raise StoreError(f"{escaped(name)}: has not been made yet. `doit {escaped(name)}` makes it.")
    if sweep := find_sweep(video, project.root):
        raise StoreError(f"{escaped(name)}: has not been made yet. `doit list {sweep}` names the videos of that sweep.")
    names = [*links, *(each.title for each in known)]
    raise StoreError(
        f"{escaped(name)}: no such file, artifact or video that has been made.{near(name, names)} `doit list --all` "
        "names the present ones."
    )


def _of_artifact(artifact: ArtifactId, name: str, project: Project) -> Record:
    manifest = find_manifest(artifact, [project.store])
    if manifest is None:
        raise StoreError(f"{escaped(name)}: {project.store.folder(artifact)} has no {MANIFEST} that can be read.")
    return _of_lineage(manifest, name, [project.store], project)


def _of_lineage(manifest: Manifest, name: str, stores: Sequence[Store], project: Project) -> Record:
    made, missing = trace(manifest, stores)
    origin = "the manifests in the store"
    return Record(name, manifest.payload, origin, made, missing).in_order(project.pipeline)


def _of_manifest(path: Path, name: str, project: Project) -> Record:
    with open_regular(path) as file:
        return _read_json(file, path, name, project)


def _read_file(path: Path, name: str, project: Project) -> Record:
    with open_regular(path) as file:
        head = file.read(_HEAD_BYTES)
        file.seek(0)
        return _reader_of(head, name)(file, path, name, project)


def _reader_of(head: bytes, name: str) -> Callable[[BinaryIO, Path, str, Project], Record]:
    """What reads a file that begins with these bytes."""
    if not head:
        raise StoreError(f"{escaped(name)}: is empty.")
    if is_mp4(head):
        return _read_video
    if head[LENGTH.size // 2 : LENGTH.size + 1] == b"\0\0\0\0{":  # a header of less than 4 GiB
        return _read_tensors
    if head.lstrip(_BLANK).startswith(_JSON_BEGINS):
        return _read_json
    raise StoreError(
        f"{escaped(name)}: is neither a video (mp4), nor a safetensors file, nor a manifest. Name one that `doit` has "
        "made."
    )


def _read_video(file: BinaryIO, path: Path, name: str, project: Project) -> Record:
    shown = escaped(name)
    try:
        comment = read_comment(file)
    except ValueError as error:
        raise StoreError(f"{shown}: cannot be read as a video: {_explain(error)}.") from error
    if comment is None:
        raise StoreError(
            f"{shown}: is a video that does not say how it was made: another tool has made it, or has taken its "
            "metadata away. Name the file as `doit` has written it."
        )
    try:
        made = parse_line(comment)
    except ValueError as error:
        raise StoreError(
            f"{shown}: is a video whose metadata this project has not written, or not so: {_explain(error)}."
        ) from error
    record = Record(name, "a video", "its own metadata", made, notes=_note_misfits(made, project))
    stores, size_bytes = stores_of(path, project), os.fstat(file.fileno()).st_size
    manifests = (find_manifest(each.artifact, stores) for each in made)
    alike = [manifest for manifest in manifests if manifest is not None and manifest.size_bytes == size_bytes]
    digest = digest_file(path) if alike else None
    for manifest in alike:
        if manifest.digest == digest:
            record = record.with_known(trace(manifest, stores)[0])
    return record.in_order(project.pipeline)


def _note_misfits(made: Sequence[Made], project: Project) -> list[str]:
    return [
        f"the key of {stage} does not follow from what is said of it: the metadata was edited, or is of a project with "
        "other stages"
        for stage in find_misfits(made, project.pipeline)
    ]


def stores_of(path: Path, project: Project) -> list[Store]:
    """The store that a file lies in, if it is an artifact's, and that of the project."""
    around = store_around(path.resolve().parent)
    if around is None or around.root.resolve() == project.store.root.resolve():
        return [project.store]
    return [around, project.store]


def _read_tensors(file: BinaryIO, path: Path, name: str, project: Project) -> Record:
    try:
        entries = parse_header(file)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{escaped(name)}: is not a whole safetensors file: {_explain(error)}.") from error
    size_bytes = os.fstat(file.fileno()).st_size
    stores = stores_of(path, project)
    for store in stores:
        manifest = find_by_content(path, size_bytes, store)
        if manifest is not None:
            return _of_lineage(manifest, name, stores, project)
    names = ", ".join(cut(each, _MAX_NAME) for each in sorted(entries)[:_MAX_NAMES])
    names += f" and {len(entries) - _MAX_NAMES} others" if len(entries) > _MAX_NAMES else ""
    raise StoreError(
        f"{escaped(name)}: holds the tensors {escaped(names)}, and nothing that says how they were made. That stands "
        f"in the store, in the {MANIFEST} of the artifact, and no artifact of {project.store.root} has these bytes. "
        "Name the file in the store that made it, or a video that was made from it."
    )


def _read_json(file: BinaryIO, path: Path, name: str, project: Project) -> Record:
    content = file.read(_MAX_JSON_BYTES + 1)
    if len(content) > _MAX_JSON_BYTES:
        raise StoreError(f"{escaped(name)}: has more than {_MAX_JSON_BYTES >> 20} MiB, which no manifest has.")
    try:
        text = decode_json(content)
        fields = parse_json(text)
        if isinstance(fields, dict) and "stages" in fields:  # the metadata of a video, written into a file
            made = parse_line(text)
            return Record(name, "the metadata of a video", "itself", made, notes=_note_misfits(made, project)).in_order(
                project.pipeline
            )
        manifest = Manifest.from_json(text) if isinstance(fields, dict) and "payload" in fields else None
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{escaped(name)}: is not a manifest: {_explain(error)}.") from error
    if manifest is None:
        raise StoreError(f"{escaped(name)}: is JSON, but neither a manifest nor the metadata of a video.")
    stores = stores_of(path, project)
    return _of_lineage(manifest, name, stores, project)


def _explain(error: Exception) -> str:
    """What is wrong with a file, of whose content the error may quote any part."""
    return escaped(cut(str(error), _MAX_REASON))
