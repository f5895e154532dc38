"""Makes a node again elsewhere, and compares what comes out with the artifact in the store.

Elsewhere is a store of its own in a draft of the real one, which ends with it: nothing is published. It sees the
artifacts that the node is made from, and nothing else of the real one.
"""

import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

from stages.errors import StageError
from stages.keys import Node
from stages.machine.json_files import parse_json
from stages.machine.lifeline import run_module
from stages.machine.regular_files import digest_file
from stages.run.build import Build
from stages.run.runner import Event
from stages.store.artifacts import Store
from stages.store.drafts import Drafts
from stages.store.lineage import read_lineage
from stages.store.manifest import Manifest
from stages.store.payloads import stamp_of
from stages.store.stat_cache import STAT_CACHE

_MODULE = "difference"  # of a program's package: measures what it makes; see stages/export/difference.py
_OF_TENSORS = f"stages.tensors.{_MODULE}"
# By name, num_values, num_unequal, max_abs and psnr_db (stages/tensors/difference.py), or why there are none.
Differences: TypeAlias = Mapping[str, Mapping[str, int | float] | str]


@dataclass(frozen=True)
class Rebuilt:
    """What came out.

    Attributes:
        is_equal: whether the files are equal to the bit.
        differences: of each tensor, or of the pictures; empty when the files are equal.
        fault: why the files could not be measured, in words; "" when they could.
    """

    is_equal: bool
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
    _require(store, node)
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
        build.runner.run(replace(build.job(node), store=space), observe)
        return _compare(build, node, store.payload(node.artifact), elsewhere.payload(node.artifact))


def _require(store: Store, node: Node) -> None:
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
    return "was deleted by `doit gc`" if store.is_collected(artifact) else f"has lost its file {manifest.payload}"


def _compare(build: Build, node: Node, stored: Path, made: Path) -> Rebuilt:
    if stored.stat().st_size == made.stat().st_size and digest_file(stored) == digest_file(made):
        return Rebuilt(is_equal=True)
    own = f"{build.program_of(node).package}.{_MODULE}"
    if find_spec(own):
        module = own
    elif build.pipeline[node.stage].makes.tensors:
        module = _OF_TENSORS
    else:
        return Rebuilt(is_equal=False, fault=f"no program measures the difference of {stored.suffix} files")
    ended = run_module(module, str(stored), str(made), cwd=build.root)
    if ended.returncode:
        lines = ended.stderr.strip().splitlines() or [f"{module} ended with exit code {ended.returncode}"]
        return Rebuilt(is_equal=False, fault=lines[-1])
    try:
        return Rebuilt(is_equal=False, differences=_read_differences(ended.stdout))
    except ValueError as error:
        return Rebuilt(is_equal=False, fault=f"{module} has to print one JSON object and nothing else: {error}")


def _read_differences(printed: str) -> Differences:
    """What a measuring program has printed. Raises ValueError for what is not by name, and then by name a number."""
    differences = parse_json(printed)
    if not isinstance(differences, dict) or not all(map(_is_difference, differences.values())):
        raise ValueError("it is not a table of tables of numbers, or of texts")
    return differences


def _is_difference(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(number, int | float) for number in value.values())
    return isinstance(value, str)
