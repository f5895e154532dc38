"""The artifact store: folders `<root>/<stage>/<key>/` of payload, manifest.json and run.json.

The store is the truth about what has been made. A folder under its final name is whole: it was written elsewhere,
synced to disk, then renamed. Owns publishing, verdicts, forgetting and removing; knows nothing of doit.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from stages.contracts import CONTRACTS
from stages.errors import StoreError
from stages.keys import FORMAT, Digest, JsonValue, Key, Node, digest_file
from stages.manifest import Input, Manifest

MANIFEST = "manifest.json"
RUN = "run.json"
_FORGOTTEN = "manifest.forgotten.json"  # the manifest of an artifact that is to be made again
_DRAFTS = ".drafts"  # unfinished artifacts, as <writer's process id>-<random>; never read

State: TypeAlias = Literal["fresh", "absent", "stale", "forgotten", "corrupt"]


@dataclass(frozen=True)
class Verdict:
    """What the store says of a node, and why."""

    state: State
    reason: str = ""

    @property
    def is_fresh(self) -> bool:
        """Whether the node needs no run."""
        return self.state == "fresh"


@dataclass(frozen=True)
class Published:
    """A new artifact, and whether its bytes equal those of the one it replaced (None: it replaced none)."""

    manifest: Manifest
    is_same_as_before: bool | None


class Store:
    """The artifacts below one folder. Reading creates nothing."""

    def __init__(self, root: Path) -> None:
        """`root` is created when the first artifact is published."""
        self.root = root

    def folder(self, stage: str, key: Key) -> Path:
        """Where the artifact is or will be."""
        return self.root / stage / key

    def payload(self, stage: str, key: Key) -> Path:
        """The file that the next stage reads."""
        return self.folder(stage, key) / CONTRACTS[stage].payload

    def manifest(self, stage: str, key: Key) -> Manifest | None:
        """The artifact's manifest, or None when there is no such artifact.

        Raises:
            StoreError: the manifest is damaged.
        """
        return self._read_manifest(self.folder(stage, key) / MANIFEST)

    def lineage(self, stage: str, key: Key) -> list[Manifest]:
        """Manifests of an artifact and of all that it was made from, the last first.

        Raises:
            StoreError: one of them is damaged or has been removed.
        """
        manifest = self.manifest(stage, key)
        if manifest is None:
            raise StoreError(f"{self.folder(stage, key)}: was removed while it was in use. Run `doit` again.")
        return [manifest] + [
            ancestor for name, entry in manifest.inputs.items() for ancestor in self.lineage(name, entry.key)
        ]

    def verdict(self, node: Node, code: Digest) -> Verdict:
        """Whether the node's artifact can stay, from the store alone; payload bytes are not read."""
        folder = self.folder(node.stage, node.key)
        try:
            manifest = self._read_manifest(folder / MANIFEST)
            if manifest is None:
                return Verdict("forgotten" if (folder / _FORGOTTEN).is_file() else "absent")
            fault = self._payload_fault(node, manifest)
            if fault:
                return Verdict("corrupt", fault)
            reasons = self._changes(node, manifest, code)
        except StoreError as error:
            return Verdict("corrupt", str(error))
        return Verdict("stale", "; ".join(reasons)) if reasons else Verdict("fresh")

    def _payload_fault(self, node: Node, manifest: Manifest) -> str:
        path = self.folder(node.stage, node.key) / manifest.payload
        try:
            size = path.stat().st_size
        except OSError:
            return f"{path}: is not there."
        return (
            "" if size == manifest.size_bytes else f"{path}: has {size} bytes, the manifest says {manifest.size_bytes}."
        )

    def _changes(self, node: Node, manifest: Manifest, code: Digest) -> list[str]:
        reasons = []
        if manifest.format != FORMAT:
            reasons.append(f"format {manifest.format} -> {FORMAT}")
        if manifest.code != code:
            reasons.append(f"the code of {node.stage} has changed")
        for stage, key in node.inputs.items():
            parent = self.manifest(stage, key)
            if parent is None:
                reasons.append(f"{stage} is to be made")
            elif parent.digest != manifest.inputs[stage].digest:
                reasons.append(f"{stage} has other bytes now")
        return reasons

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """A folder to write the payload into. It is removed afterwards, unless `publish` has moved it."""
        drafts = self.root / _DRAFTS
        try:
            drafts.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(dir=drafts, prefix=f"{os.getpid()}-"))
        except OSError as error:
            raise StoreError(
                f"{drafts}: cannot be written ({error.strerror}). Set `artifacts` in "
                "params/machine.toml to a folder that can."
            ) from error
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, node: Node, draft: Path, *, code: Digest, run: Mapping[str, JsonValue]) -> Published:
        """Make a finished draft the node's artifact, in one step that a crash cannot split.

        Args:
            draft: holds the payload; given by `draft`.
            code: fingerprint of the code that made it.
            run: what run.json shall say of this run.
        """
        before = self._before(node)
        payload = CONTRACTS[node.stage].payload
        manifest = Manifest(
            format=FORMAT,
            stage=node.stage,
            key=node.key,
            parameters=node.parameters,
            components=node.components,
            inputs={stage: Input(key, self.lineage(stage, key)[0].digest) for stage, key in node.inputs.items()},
            code=code,
            payload=payload,
            size_bytes=(draft / payload).stat().st_size,
            digest=digest_file(draft / payload),
        )
        (draft / MANIFEST).write_text(manifest.to_json())
        (draft / RUN).write_text(json.dumps(run, indent=2, sort_keys=True) + "\n")
        for path in (*draft.iterdir(), draft):
            _sync(path)
        self._replace(draft, self.folder(node.stage, node.key))
        return Published(manifest, None if before is None else before.digest == manifest.digest)

    def forget(self, stage: str, key: Key) -> bool:
        """Un-seal an artifact: the next run makes it again and compares the bytes. False when there is none."""
        return forget_artifact(self.folder(stage, key))

    def remove(self, stage: str, key: Key) -> bool:
        """Delete an artifact. False when there is none."""
        folder = self.folder(stage, key)
        if not folder.is_dir():
            return False
        self._discard(folder)
        return True

    def sweep_drafts(self) -> None:
        """Delete what processes that are gone have left unfinished."""
        for draft in (self.root / _DRAFTS).glob("*-*"):
            if not _is_alive(int(draft.name.split("-")[0])):
                shutil.rmtree(draft, ignore_errors=True)

    def link(self, name: str, stage: str, key: Key) -> None:
        """Let `videos/<name>.<suffix>` lead to an artifact's payload."""
        link = self.link_path(name, stage)
        link.parent.mkdir(parents=True, exist_ok=True)
        new = link.with_name(f".{link.name}-{os.getpid()}")
        new.unlink(missing_ok=True)
        new.symlink_to(os.path.relpath(self.payload(stage, key), link.parent))
        new.replace(link)

    def link_path(self, name: str, stage: str) -> Path:
        """Where a person finds a video."""
        return (self.root / "videos" / name).with_suffix(Path(CONTRACTS[stage].payload).suffix)

    def is_linked(self, name: str, stage: str, key: Key) -> bool:
        """Whether the video's link leads to this artifact."""
        link = self.link_path(name, stage)
        return link.is_symlink() and link.resolve() == self.payload(stage, key).resolve()

    def _read_manifest(self, path: Path) -> Manifest | None:
        try:
            return Manifest.from_json(path.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"{path}: not a manifest ({error}). Run `doit`: it is made again.") from error

    def _before(self, node: Node) -> Manifest | None:
        folder = self.folder(node.stage, node.key)
        try:
            return self._read_manifest(folder / MANIFEST) or self._read_manifest(folder / _FORGOTTEN)
        except StoreError:
            return None  # damaged, which is why it was made again

    def _replace(self, draft: Path, final: Path) -> None:
        final.parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                draft.rename(final)
            except OSError:
                if not final.exists():
                    raise
                self._discard(final)  # an earlier artifact of the same node, or one that another run just made
            else:
                _sync(final.parent)
                return

    def _discard(self, folder: Path) -> None:
        """Delete a folder so that it is never seen half-deleted under its final name."""
        drafts = self.root / _DRAFTS
        drafts.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=drafts, prefix=f"{os.getpid()}-"))
        folder.rename(aside / "old")
        shutil.rmtree(aside)


def forget_artifact(folder: Path) -> bool:
    """`Store.forget` of the artifact in `folder`."""
    try:
        (folder / MANIFEST).replace(folder / _FORGOTTEN)
    except FileNotFoundError:
        return False
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
