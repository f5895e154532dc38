"""Artifacts as people know them: by video and prompt, with bytes and what it would cost to have them again."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from stages.keys import FROM_FILE, ArtifactId
from stages.machine.printable import cut, printable
from stages.store.collection import cost_to_have_again
from stages.store.inventory import Inventory
from stages.store.quantities import show_bytes, show_seconds

_PROMPT = "prompt"  # the parameter by which people know a video
_MAX_PROMPT = 60  # characters


@dataclass(frozen=True)
class Line:
    """One artifact of a listing.

    Attributes:
        artifact: which one.
        size_bytes: of its payload.
        cost_s: seconds to have it again, with all that it is made from and that is not there; None: not known.
        is_estimate: whether nobody measured that.
        last_use: seconds since 1970.
    """

    artifact: ArtifactId
    size_bytes: int
    cost_s: float | None
    is_estimate: bool
    last_use: float


@dataclass(frozen=True)
class Group:
    """The artifacts of one prompt, and the names of the videos that have it."""

    prompt: str
    names: tuple[str, ...]
    lines: tuple[Line, ...]

    @property
    def size_bytes(self) -> int:
        """Of all payloads."""
        return sum(line.size_bytes for line in self.lines)

    @property
    def title(self) -> str:
        """What stands above the artifacts."""
        prompt = cut(self.prompt, _MAX_PROMPT)
        return f"{printable(', '.join(self.names))}: {prompt}" if self.names else prompt


def list_by_video(
    inventory: Inventory,
    artifacts: Iterable[ArtifactId],
    names: Mapping[ArtifactId, Collection[str]],
    *,
    going: Collection[ArtifactId] = (),
) -> Sequence[Group]:
    """Artifacts by video and prompt, the largest group first.

    An artifact does not know of which video it was. It gets the names of the videos whose present artifacts, or links,
    were made from it; without any, those of all that share its prompt.

    Args:
        inventory: of the store.
        artifacts: what is listed.
        names: of videos, by artifacts that are known to be theirs.
        going: what is to be taken as gone.
    """
    by_prompt: dict[str, set[str]] = {}
    by_artifact: dict[ArtifactId, set[str]] = {}
    for artifact, own in names.items():
        by_prompt.setdefault(prompt_of(inventory, artifact), set()).update(own)
        for each in inventory.ancestors([artifact]):
            by_artifact.setdefault(each, set()).update(own)

    def heading(artifact: ArtifactId) -> tuple[str, tuple[str, ...]]:
        prompt = prompt_of(inventory, artifact)
        return prompt, tuple(sorted(by_artifact.get(artifact) or by_prompt.get(prompt) or ()))

    groups = [
        Group(prompt, own, tuple(_line(inventory, artifact, going) for artifact in members))
        for (prompt, own), members in groupby(sorted(artifacts, key=heading), key=heading)
    ]
    return sorted(groups, key=lambda group: (-group.size_bytes, group.prompt, group.names))


def prompt_of(inventory: Inventory, artifact: ArtifactId) -> str:
    """The prompt that an artifact was made from, in quotes, or what is known in its place."""
    manifests = [
        entry.manifest
        for each in inventory.ancestors([artifact])
        if (entry := inventory.entries.get(each)) is not None and entry.manifest is not None
    ]
    for manifest in manifests:
        prompt = manifest.parameters.get(_PROMPT)
        if isinstance(prompt, str):
            return f'"{printable(prompt)}"'
    for manifest in manifests:
        if FROM_FILE in manifest.parameters:
            return f"from a file with xxh3 {printable(str(manifest.parameters[FROM_FILE]))}"
    return "of an unknown prompt"


def _line(inventory: Inventory, artifact: ArtifactId, going: Collection[ArtifactId]) -> Line:
    entry = inventory.entries[artifact]
    cost_s = cost_to_have_again(inventory, [artifact], going)
    return Line(
        artifact=artifact,
        size_bytes=entry.payload_bytes or 0,
        cost_s=None if math.isinf(cost_s) else cost_s,
        is_estimate=inventory.is_estimate(artifact),
        last_use=inventory.last_uses[artifact],
    )


def describe(group: Group, *, now: float) -> list[str]:
    """A group as lines of text; `now` is seconds since 1970."""
    return [f"{group.title} ({show_bytes(group.size_bytes)})", *(f"  {_describe(line, now)}" for line in group.lines)]


def _describe(line: Line, now: float) -> str:
    if line.cost_s is None:
        cost = "nobody knows what it costs to have it again"
    else:
        cost = f"{'about ' if line.is_estimate else ''}{show_seconds(line.cost_s)} to have it again"
    age = show_seconds(max(now - line.last_use, 0.0))
    return f"{line.artifact.title:<22} {show_bytes(line.size_bytes):>8}  used {age} ago, {cost}"
