"""Makes a node again elsewhere, and compares what comes out with the artifact in the store.

Elsewhere is a store of its own in a draft of the real one, which ends with it: nothing is published. It sees the
artifacts that the node is made from, and nothing else of the real one.
"""

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from stages.errors import StageError, UnreadableError
from stages.keys import Node
from stages.machine.regular_files import digest_file
from stages.run.build import Build
from stages.run.measuring import Differences, measure_payloads
from stages.run.runner import Event
from stages.store.artifacts import Store
from stages.store.drafts import Drafts
from stages.store.lineage import read_lineage
from stages.store.manifest import Manifest
from stages.store.payloads import stamp_of
from stages.store.records import recorded_from
from stages.store.stat_cache import STAT_CACHE


@dataclass(frozen=True)
class Rebuilt:
    """What came out.

    Attributes:
        is_equal: whether the files are equal to the bit.
        is_as_published: whether what came out has the digest that the manifest says.
        damage: what is wrong with the file in the store, in words; "" when it is what was published. Nothing is
            measured against a damaged one.
        differences: of each tensor, or of the pictures; empty when the files are equal.
        fault: why the files could not be measured, in words; "" when they could.
    """

    is_equal: bool
    is_as_published: bool
    damage: str = ""
    differences: Differences = field(default_factory=dict)
    fault: str = ""


def rebuild(build: Build, node: Node, observe: Callable[[Event], None]) -> Rebuilt:
    """Make a node again and compare the files, byte for byte and then by their values.

    Args:
        build: of the present parameters and code.
        node: its artifact, and those that it is made from, are in the store.
        observe: called with the events of the node's process.
    Raises:
        StageError: there is nothing to compare with, or it was made from what is no longer there; or it cannot be made.
        StoreError: an artifact is damaged, or the store cannot be written.
    """
    store = Store(build.store.root)
    require_comparable(build, node)
    with Drafts(store.root).new() as space:
        elsewhere = Store(space)
        for artifact in node.input_artifacts:
            for manifest in read_lineage(store, artifact):
                link = elsewhere.folder(manifest.node.artifact)
                link.parent.mkdir(exist_ok=True)
                with suppress(FileExistsError):  # several are made from one
                    link.symlink_to(store.folder(manifest.node.artifact).resolve())
        with suppress(OSError):  # without it, the checkpoint is read once more
            shutil.copy(store.root / STAT_CACHE, space / STAT_CACHE)
        build.runner.run(replace(build.job(node), store=space, videos=()), observe)
        return _compare(build, store.present_manifest(node.artifact), elsewhere.payload(node.artifact))


def require_comparable(build: Build, node: Node) -> None:
    """Find out, before anything is made, whether a node can be made again and compared. Raises as `rebuild`."""
    store = Store(build.store.root)
    manifest = store.manifest(node.artifact)
    if manifest is None:
        raise StageError(f"{node.title}: is not in the store: there is nothing to compare with. `doit` makes it.")
    if (absence := _explain_absence(store, manifest)) is not None:
        raise StageError(
            f"{node.title}: {absence}: there is nothing to compare with. `doit {node.title}` makes it again."
        )
    for artifact in node.input_artifacts:
        parent = store.manifest(artifact)
        if parent is None or parent.digest != manifest.inputs[artifact.stage].digest:
            state = "is not in the store" if parent is None else "has other bytes now"
            raise StageError(f"{node.title}: was made from {artifact.title}, which {state}. Run `doit` first.")
        if (absence := _explain_absence(store, parent)) is not None:
            raise StageError(
                f"{node.title}: was made from {artifact.title}, which {absence}. Run `doit {artifact.title}` first."
            )


def _explain_absence(store: Store, manifest: Manifest) -> str | None:
    """Why the payload of a manifest is not there; None when it is. Raises UnreadableError."""
    artifact = manifest.node.artifact
    if stamp_of(store.folder(artifact) / manifest.payload) is not None:
        return None
    if not store.is_collected(artifact):
        return f"has lost its file {manifest.payload}"
    address = recorded_from(store.folder(artifact))
    return f"is known from {address}, and was never here" if address else "was deleted by `doit gc`"


def _compare(build: Build, manifest: Manifest, made: Path) -> Rebuilt:
    """What was made again, beside what is stored and what the manifest says of it, which need not be the same."""
    node = manifest.node
    stored = build.store.folder(node.artifact) / manifest.payload
    try:
        digest = digest_file(stored)
    except OSError as error:
        raise UnreadableError(stored, error) from error
    made_digest = digest_file(made)
    is_equal, is_as_published = made_digest == digest, made_digest == manifest.digest
    if digest != manifest.digest:
        damage = f"{stored}: is damaged: xxh3 is {digest}, the manifest says {manifest.digest}"
        return Rebuilt(is_equal, is_as_published, damage)
    return Rebuilt(is_equal, is_as_published) if is_equal else _measure(build, node, stored, made)


def _measure(build: Build, node: Node, stored: Path, made: Path) -> Rebuilt:
    """How far apart two files with other bytes are."""
    stage = build.pipeline[node.stage]
    differences, fault = measure_payloads(stage, build.program_of(node), (stored, made), build.root)
    return Rebuilt(is_equal=False, is_as_published=False, differences=differences, fault=fault)
