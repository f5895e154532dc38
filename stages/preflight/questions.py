"""What `doit preflight` asks: the programs of a video as nodes of the store. Loads nothing heavy.

A node's parameters hold all that decides the answer, the checkpoint's settings included, so that nothing is compiled
twice and no weights are needed. The program that answers is in preflight/.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from stages.denoise.config import is_guided
from stages.encode.prompt import find_quotations
from stages.errors import ContractError
from stages.geometry import MAX_GLYPH_TOKENS, LatentSize, VideoSize, latent_size
from stages.keys import JsonValue, Node
from stages.machine.chips import host_of_topology
from stages.machine.device_files import find_device_files
from stages.machine.host_memory import host_memory_bytes
from stages.machine.regular_files import reason_of
from stages.machine.versions import versions_of
from stages.models.offline_configs import read_config
from stages.pipeline.contract import Contract, check_shapes
from stages.pipeline.contracts import EMBEDDINGS, LATENTS
from stages.pipeline.decode import NATIVE, DecodeParams
from stages.pipeline.denoise import DenoiseParams
from stages.pipeline.encode import EncodeParams
from stages.pipeline.stage import ACCELERATOR, Program
from stages.request.tables import MachineParams
from stages.request.video_params import VideoParams
from stages.store.layout import ANSWERS
from stages.tensors.header import count_nonzero, read_header

# Text tokens of a prompt, which encode alone can count: more than most prompts have, and half a percent of the 46,800
# video tokens of 49 frames of 720p.
NUM_PROMPT_TOKENS = 256
PREFLIGHT = ANSWERS  # the stage of its nodes, which are of no video: what a program needs on given chips
PROGRAM = Program("stages.preflight", ACCELERATOR)
FIGURES = Contract("figures", "figures.json")
_VERSIONS_OF = ("jax", "jaxlib", "libtpu", "torch", "torchax", "diffusers")
_READ_BY_COMPILERS = ("JAX_", "XLA_", "LIBTPU_", "TPU_")  # how names of environment variables begin

TargetParameters: TypeAlias = Mapping[str, JsonValue]  # those that say for what is compiled


@dataclass(frozen=True)
class Question:
    """A program of a stage.

    Attributes:
        stage: "denoise" or "decode".
        node: what is to be found out.
        num_calls: how often a run calls it: steps, or latent frames.
        num_tokens: of the video: cells of its latents.
    """

    stage: str
    node: Node
    num_calls: int
    num_tokens: int

    @property
    def topology(self) -> str:
        """The slice that is compiled for, "" for this machine."""
        return str(self.node.parameters["topology"])


def describe_target(topology: str, machine: MachineParams) -> TargetParameters:
    """All about where and by what is compiled that decides the answer.

    Args:
        topology: such as "v6e:2x4", or "" for this machine.
        machine: its settings.
    """
    target: dict[str, JsonValue] = {
        "topology": topology,
        "versions": dict(versions_of(_VERSIONS_OF)),
        "environment": {name: value for name, value in os.environ.items() if name.startswith(_READ_BY_COMPILERS)},
    }
    if not topology:
        target |= {
            "host": socket.gethostname(),
            "platform": machine.platform,
            "device_files": list[JsonValue](find_device_files()),
            "memory_bytes": host_memory_bytes(),
        }
    return target


def ask(video: VideoParams, root: Path, target: TargetParameters, *, mesh: str) -> list[Question]:
    """The programs of a video: the denoise step, unless a file holds its latents, and the decode chunk.

    Args:
        video: its parameters.
        root: the project's folder.
        target: from `describe_target`. Denoise is asked for on all its chips, decode on those of one host.
        mesh: of the machine's settings; decode has none.
    Raises:
        CheckpointError: the checkpoint's settings are not to be had without asking the hub.
        ContractError: the file of latents or of embeddings does not hold them.
    """
    size = _latents_of(video)
    questions = []
    if not video.file_of_stage("denoise"):
        parameters = {**target, **_describe_step(video, size, root), "mesh": mesh}
        num_steps = video.table(DenoiseParams).num_inference_steps
        questions.append(_question("denoise", parameters, num_steps, size))
    if video.table(DecodeParams).decoder == NATIVE:
        topology = str(target["topology"])
        host = {**target, "topology": host_of_topology(topology) if topology else ""}
        questions.append(_question("decode", {**host, **_describe_chunk(video, size, root)}, size.num_frames, size))
    return questions


def _question(stage: str, parameters: Mapping[str, JsonValue], num_calls: int, size: LatentSize) -> Question:
    node = Node(PREFLIGHT, {"stage": stage, **parameters}, components={}, inputs={})
    return Question(stage, node, num_calls, size.num_cells)


def _describe_step(video: VideoParams, size: LatentSize, root: Path) -> dict[str, JsonValue]:
    denoise = video.table(DenoiseParams)
    has_branches = is_guided(denoise.guidance_scale)
    num_prompt_tokens, num_glyph_tokens = _count_text(video, has_branches)
    return {
        "config": _config(video, root, "transformer"),
        "num_frames": size.num_frames,
        "height": size.height,
        "width": size.width,
        "num_prompt_tokens": num_prompt_tokens,
        "num_glyph_tokens": num_glyph_tokens,
        "is_guided": has_branches,
        "dtype": denoise.dtype,
        "window_size": denoise.window_size,
    }


def _count_text(video: VideoParams, has_branches: bool) -> tuple[int, int]:
    """Tokens of the longest prompt that is read, and of the longest quoted text: assumed, or as a file marks them."""
    file = video.file_of_stage("encode")
    if file is None:
        encode = video.table(EncodeParams)
        prompts = (encode.prompt, encode.negative_prompt) if has_branches else (encode.prompt,)
        return NUM_PROMPT_TOKENS, MAX_GLYPH_TOKENS if any(map(find_quotations, prompts)) else 0
    _check_file("encode", EMBEDDINGS, file)
    prefixes = ("", "negative_") if has_branches else ("",)
    num_prompt, num_glyph = (
        max(count_nonzero(file, f"{prefix}{mask}") for prefix in prefixes)
        for mask in ("prompt_embeds_mask", "prompt_embeds_mask_2")
    )
    return num_prompt, num_glyph


def _describe_chunk(video: VideoParams, size: LatentSize, root: Path) -> dict[str, JsonValue]:
    return {
        "config": _config(video, root, "vae"),
        "num_frames": size.num_frames,
        "height": size.height,
        "width": size.width,
        **video.of_stage("decode"),
    }


def _config(video: VideoParams, root: Path, component: str) -> dict[str, Any]:
    model = video.model
    return dict(read_config(model.checkpoint, model.revision, root, component, model.elsewhere).values)


def _latents_of(video: VideoParams) -> LatentSize:
    """Size of a video's latents: by its parameters, or as its file of latents says."""
    file = video.file_of_stage("denoise")
    if file is None:
        denoise = video.table(DenoiseParams)
        return latent_size(VideoSize(denoise.num_frames, denoise.height, denoise.width))
    return LatentSize(*_check_file("denoise", LATENTS, file)["latents"][2:])


def _check_file(stage: str, contract: Contract, file: Path) -> Mapping[str, tuple[int, ...]]:
    """Shapes of the tensors in a file that takes the place of what a stage makes. Raises ContractError."""
    where = f"{stage}.from_file: {file}"
    try:
        shapes = {name: tuple(entry["shape"]) for name, entry in read_header(file).items()}
    except (OSError, ValueError) as error:
        raise ContractError(f"{where}: not a whole safetensors file ({reason_of(error)}). Name another one.") from error
    check_shapes(contract, shapes, where=where)
    return shapes
