"""What the cost of a node depends on, from its parameters alone: what must be equal, and what it grows with."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from stages.geometry import VideoSize, latent_size
from stages.keys import FROM_FILE, JsonValue, Node, canonical_json
from stages.pipeline.stages import Pipeline

# Parameters that change nothing of the cost, or that stand in the size, the steps or `is_guided` of a work. Of a stage
# that is not here, every parameter may count.
_FREE: Mapping[str, frozenset[str]] = MappingProxyType({
    "encode": frozenset({"prompt", "negative_prompt"}),
    "denoise": frozenset({
        "num_frames", "height", "width", "num_inference_steps", "guidance_scale", "seed", "flow_shift",
    }),
    "export": frozenset({"fps", "crf"}),
})  # fmt: skip
_STEPS, _GUIDANCE = "num_inference_steps", "guidance_scale"
_NO_GUIDANCE = 1.0  # with this scale a step computes one branch, in place of two


@dataclass(frozen=True)
class Work:
    """What is to be computed for one node.

    Attributes:
        stage: of the node.
        kind: all that must be equal for two works to be compared, such as program, dtype and codec; by name.
        components: identity of each component of the checkpoint, by name.
        size: frames, height and width in pixels; None where nothing says it, or where it does not matter.
        has_size: whether it matters.
        num_steps: of denoising; 0 where there are none.
    """

    stage: str
    kind: Mapping[str, JsonValue]
    components: Mapping[str, str]
    size: VideoSize | None
    has_size: bool = True
    num_steps: int = 0

    @cached_property
    def model(self) -> bytes:
        """What a process has to load for it: works with an equal one share it."""
        return canonical_json([self.stage, dict(self.kind), dict(self.components)])

    @property
    def shape(self) -> tuple[bytes, VideoSize | None]:
        """What programs are compiled for."""
        return self.model, self.size

    @property
    def amount(self) -> float | None:
        """How much it is, in `unit`; None where that is not known. Of works of one `model`, the costs go with it."""
        if self.size is None:
            return None
        if self.num_steps:
            return float(latent_size(self.size).num_cells * self.num_steps)
        return float(self.size.num_frames * self.size.height * self.size.width)

    @property
    def unit(self) -> str:
        """What `amount` counts."""
        return "tokens x steps" if self.num_steps else "pixels x frames"


def describe_work(node: Node, pipeline: Pipeline, size: VideoSize | None) -> Work:
    """The work of a node, whose stage is one of the pipeline; `size` is that of its video."""
    stage = pipeline[node.stage]
    kind: dict[str, JsonValue] = {"program": pipeline.program_of(node).name}
    if FROM_FILE in node.parameters:
        return Work(node.stage, kind, {}, None, has_size=False)  # a copy, of no time that is worth a word
    parameters = stage.complete(node.parameters)
    free = _FREE.get(node.stage, frozenset())
    kind |= {name: value for name, value in parameters.items() if name not in free and name != FROM_FILE}
    scale, steps = parameters.get(_GUIDANCE), parameters.get(_STEPS)
    if isinstance(scale, int | float):
        kind["is_guided"] = scale > _NO_GUIDANCE
    has_size = bool(node.inputs)  # what is made from nothing, such as embeddings, has none
    num_steps = steps if isinstance(steps, int) else 0
    return Work(node.stage, kind, node.components, size if has_size else None, has_size, num_steps)


def size_in(parameters: Mapping[str, JsonValue]) -> VideoSize | None:
    """The size that parameters of a node say, if they do."""
    match parameters:
        case {"num_frames": int(num_frames), "height": int(height), "width": int(width)}:
            return VideoSize(num_frames, height, width)
    return None
