"""Makes videos with the project's code at another git revision, and compares them with the present ones.

Keys do not contain the code, so that artifacts of the other revision have the names of the present ones: they are made
in a store of their own, a draft of the real one that ends with it (docs/decisions/0038-differences.md).
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from stages.diff.comparison import OTHER_KEY, StageDifference, compare_payloads
from stages.diff.revision import Revision, write_revision
from stages.diff.side import payload_of
from stages.errors import StageError
from stages.explain.reasons import CODE, KEY, list_differences
from stages.keys import ArtifactId, Node
from stages.machine.lifeline import start_elsewhere
from stages.models.checkpoint import Checkpoint
from stages.models.wording import name_some
from stages.provenance.record import Made
from stages.request.selection import select_nodes
from stages.run.build import Build
from stages.run.one_maker import find_ancestors
from stages.store.artifacts import Store
from stages.store.drafts import Drafts
from stages.store.inventory import list_artifacts
from stages.store.leftovers import links_to_artifacts
from stages.store.lineage import read_lineage
from stages.store.manifest import NOTE, Manifest
from stages.store.stat_cache import STAT_CACHE
from stages.store.sweep_numbers import SWEEPS
from stages.store.verdict import Reason

_ARTIFACTS: Final = "machine.artifacts"
_REMOTE: Final = "machine.remote"
_END_S: Final = 10.0  # that a run has to end its processes, which may save for 5 s, before it is killed
# What 1 on the scale of frames, -1 to 1, is on that of what a program's `difference` measures.
_SCALES: Final[Mapping[str, float]] = MappingProxyType({"stages.export": 255 / 2})


@dataclass(frozen=True)
class Verdict:
    """What was found of one node.

    Attributes:
        node: the present one.
        videos: that need it.
        difference: between that of the revision, the first, and the present one.
        is_within: whether no value differs by more than is tolerated.
    """

    node: Node
    videos: Sequence[str]
    difference: StageDifference
    is_within: bool

    def to_json(self) -> dict[str, Any]:
        """A node of `doit gate --json`. Its fields are an interface."""
        return {
            "key": self.node.key,
            "videos": [*self.videos],
            **self.difference.to_json(),
            "is_within_tolerance": self.is_within,
        }


def find_nodes(build: Build, names: Sequence[str]) -> list[Node]:
    """The nodes that are compared: those that are named, and all that they are made from.

    Raises:
        ParamsError: a name is nobody's.
        StageError: one of them has not been made by the present code, or is to be made again.
    """
    selected = select_nodes(build.graph, names)
    wanted = {artifact for node in selected for artifact in (node.artifact, *find_ancestors(node, build.graph))}
    nodes = [node for node in build.graph.all_nodes() if node.artifact in wanted]
    due = [node.title for node in nodes if build.verdict_here(node).state not in ("fresh", "collected")]
    if due:
        raise StageError(
            f"{name_some(due)}: not made yet by the code that is here, or to be made again. Run `doit` for what is to "
            "be compared first."
        )
    return nodes


def run_gate(
    build: Build, nodes: Sequence[Node], names: Sequence[str], revision: Revision, tolerance: float
) -> Generator[Verdict, None, None]:
    """Make the nodes by the code of a revision, and compare one after the other. What the run prints goes to stderr.

    Args:
        build: of the present parameters and code.
        nodes: as `find_nodes` gives them.
        names: what was typed; none means all.
        revision: of the project.
        tolerance: how far a value may be from the present one, in its own unit; in that of frames, which go from -1 to
            1, for the pictures of videos.
    Raises:
        StageError: they cannot be made by that code.
    """
    with Drafts(build.store.root).new() as draft:
        space = Path(os.path.abspath(draft))  # noqa: PTH100 (links in the way to the store stay)
        project = write_revision(revision, space / "revision")
        _take_parameters(build, project)
        store = Store(space / "store")
        for node in nodes:
            _share(node, Store(build.store.root), store)
        for name in (STAT_CACHE, SWEEPS):
            with suppress(OSError):  # without the first, checkpoints are read again; the second is not always there
                shutil.copy(build.store.root / name, store.root / name)
        _run_doit(build, names, project, store.root, revision)
        there = find_counterparts(build, nodes, store)
        for node in nodes:
            difference = _compare(build, node, there[node.artifact], store)
            is_within = judge(difference, tolerance, _SCALES.get(build.program_of(node).package, 1.0))
            yield Verdict(node, build.graph.videos_of(node), difference, is_within)


def _take_parameters(build: Build, project: Path) -> None:
    """Put the present parameters in the place of those of the revision, with the files that they name."""
    shutil.rmtree(project / "params", ignore_errors=True)
    shutil.copytree(build.root / "params", project / "params")
    here = Path(os.path.abspath(build.root))  # noqa: PTH100 (as paths in parameters are)
    named = [*build.graph.files.values()]
    for checkpoint in build.graph.checkpoints.values():
        named += _folders(checkpoint)
    for path in dict.fromkeys(Path(os.path.abspath(here / each)) for each in named):  # noqa: PTH100
        if path.is_relative_to(here) and not os.path.lexists(link := project / path.relative_to(here)):
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)


def _folders(checkpoint: Checkpoint) -> Iterator[Path]:
    """The folders of a checkpoint's components."""
    yield checkpoint.folder
    for other in checkpoint.elsewhere.values():
        yield from _folders(other)


def _share(node: Node, store: Store, elsewhere: Store) -> None:
    """Let another store have an artifact: a folder of its own with links to the files.

    What is made again there replaces the folder, and never what the links lead to.
    """
    source, folder = store.folder(node.artifact), elsewhere.folder(node.artifact)
    folder.mkdir(parents=True)
    for file in source.iterdir():
        if file.name == NOTE:
            shutil.copy(file, folder / NOTE)  # it is written anew in its place
        else:
            (folder / file.name).symlink_to(file.resolve())


def _run_doit(build: Build, names: Sequence[str], project: Path, store: Path, revision: Revision) -> None:
    overrides = {name: value for name, value in build.overrides.items() if name not in (_ARTIFACTS, _REMOTE)}
    if build.remote is not None:
        overrides[_REMOTE] = ""  # what other code makes for a comparison is nobody else's
    wanted = names or (build.graph.videos if build.graph.faults else ())
    arguments = [*wanted, *(f"{name}={value}" for name, value in overrides.items()), f"{_ARTIFACTS}={store}"]
    paths = [str(project), *filter(None, [os.environ.get("PYTHONPATH")])]
    with start_elsewhere(
        "doit",
        *arguments,
        cwd=project,
        environment={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdout=sys.stderr.fileno(),
    ) as doit:
        try:
            code = doit.wait()
        except BaseException:
            _end(doit)
            raise
    if code:
        raise StageError(
            f"{revision}: `doit` with the code of that revision and the present parameters ended with exit code "
            f"{code}; what it has printed says why. Nothing was compared."
        )


def _end(doit: "subprocess.Popen[bytes]") -> None:
    """End a run, so that it can end its processes; or at once, if that takes long."""
    doit.terminate()
    with suppress(subprocess.TimeoutExpired):
        doit.wait(_END_S)
        return
    doit.kill()


def find_counterparts(build: Build, nodes: Sequence[Node], store: Store) -> dict[ArtifactId, Manifest | None]:
    """What the revision has made of each node; None where it gave it another key, and nothing says which.

    Args:
        build: of the present code.
        nodes: of it.
        store: with the present artifacts, in which the revision has made its own.

    The present artifacts are all in that store, so that one with the present key may be there unused: the links to the
    videos say what was made. A stage whose keys are the present ones has made no others.
    """
    made = {
        (link.stem, manifest.stage): manifest
        for link, (artifact, _) in links_to_artifacts(store.root).items()
        for manifest in read_lineage(store, artifact)
    }
    present = {node.artifact for node in nodes}
    with_others = {artifact.stage for _, artifact in list_artifacts(store.root) if artifact not in present}
    found: dict[ArtifactId, Manifest | None] = {}
    for node in nodes:
        own = [made[video, node.stage] for video in build.graph.videos_of(node) if (video, node.stage) in made]
        by_key = None if node.stage in with_others else store.manifest(node.artifact)
        found[node.artifact] = next(iter(own), by_key)
    return found


def _compare(build: Build, node: Node, there: Manifest | None, store: Store) -> StageDifference:
    """A node as the revision has made it, the first, and the present one."""
    present = Store(build.store.root)
    here = present.present_manifest(node.artifact)
    if there is None:
        return StageDifference(node.stage, (Reason(OTHER_KEY, None, node.key),), "unknown")
    stage, reasons = build.pipeline[node.stage], list[Reason]()
    if there.key != node.key:
        reasons.append(Reason(OTHER_KEY, there.key, node.key))
        reasons += [each for each in list_differences(there.node, node, stage) if not each.field.startswith(KEY)]
    if there.code != here.code:
        reasons.append(Reason(CODE, there.code, here.code))
    payloads = payload_of(Made.of(there), [store]), payload_of(Made.of(here), [present])
    return compare_payloads(
        node.stage,
        tuple(reasons),
        payloads,
        parameters=node.parameters,
        pipeline=build.pipeline,
        root=build.root,
    )


def judge(difference: StageDifference, tolerance: float, scale: float = 1.0) -> bool:
    """Whether no value differs by more than what is tolerated; `scale` is what 1 of it is in what was measured."""
    if difference.outcome == "equal":
        return True
    if difference.frames is not None:
        return difference.frames.is_measured and difference.frames.max_abs <= tolerance
    values = difference.values.values()
    return bool(values) and all(not isinstance(each, str) and each["max_abs"] <= tolerance * scale for each in values)
