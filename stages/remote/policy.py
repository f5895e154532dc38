"""What of a store goes to the remote one, and what comes from it: settings of the machine."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from stages.errors import ParamsError
from stages.pipeline.contracts import FRAMES
from stages.pipeline.stages import Pipeline
from stages.store.manifest import Manifest
from stages.store.quantities import parse_limit

AUTO: Final = "auto"
ALL: Final = "all"
NEVER: Final = "never"
NEEDED: Final = "needed"


@dataclass(frozen=True)
class Policy:
    """What passes between a store and the remote one.

    Attributes:
        takes_all: whether everything of the present parameters is fetched, or only what is needed.
        pushed: names of the stages whose payloads are pushed; None: nothing is pushed at all.
        max_bytes: of a payload that is pushed; None: any.
    """

    takes_all: bool = False
    pushed: Collection[str] | None = ()
    max_bytes: int | None = None

    @property
    def is_read_only(self) -> bool:
        """Whether nothing is pushed."""
        return self.pushed is None

    def is_pushed_whole(self, manifest: Manifest) -> bool:
        """Whether an artifact is pushed with its payload; else only what it is."""
        is_small = self.max_bytes is None or manifest.size_bytes <= self.max_bytes
        return self.pushed is not None and manifest.stage in self.pushed and is_small


def read_policy(fetch: str, push: str, limit: str, pipeline: Pipeline) -> Policy:
    """The policy that settings of the machine ask for.

    Args:
        fetch: "needed" or "all".
        push: "auto" (frames are large, and are made again from small latents), "all", "never", or names of stages.
        limit: bytes of a payload, such as "2GB"; "" for none.
        pipeline: whose stages there are.
    Raises:
        ParamsError: there is no such stage.
    """
    pushed: Collection[str] | None
    if push == NEVER:
        pushed = None
    elif push in (AUTO, ALL):
        pushed = tuple(stage.name for stage in pipeline if push == ALL or stage.makes.name != FRAMES.name)
    else:
        pushed = tuple(push.replace(",", " ").split())
        if unknown := [name for name in pushed if name not in pipeline.names]:
            raise ParamsError(
                f'machine.remote_push = "{push}": {unknown[0]} is no stage. There is: '
                f'{", ".join(pipeline.names)}; or "{AUTO}", "{ALL}", "{NEVER}".'
            )
    return Policy(fetch == ALL, pushed, parse_limit(limit).size_bytes if limit else None)
