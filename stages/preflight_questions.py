"""What `doit preflight` asks: the programs of a video as nodes of the store. Loads nothing heavy.

A node's parameters hold all that decides the answer, the checkpoint's settings included, so that nothing is compiled
twice and no weights are needed. The program that answers is in preflight/.
"""

import math
import os
import re
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from stages.contracts import PREFLIGHT, check_shapes
from stages.errors import ContractError
from stages.geometry import MAX_GLYPH_TOKENS, SPATIAL_COMPRESSION, LatentSize, VideoSize, latent_size, tile_step
from stages.keys import JsonValue, Node
from stages.offline_configs import read_config
from stages.params import MachineParams, VideoParams
from stages.tensor_header import read_header
from stages.versions import versions_of

# Places for a prompt's text tokens, which encode alone can count: more than most prompts have, and half a percent of
# the 46,800 video tokens of 49 frames of 720p.
NUM_PROMPT_TOKENS = 256
_QUOTED = re.compile('"[^"\n]*"|\u201c[^\u201d\n]*\u201d')  # what a video shall show as text, which ByT5 reads
_NATIVE = "native"  # the decoder that is compiled here
_VERSIONS_OF = ("jax", "jaxlib", "libtpu", "torch", "torchax", "diffusers")
_FLAGS = ("XLA_FLAGS", "LIBTPU_INIT_ARGS")
_DEVICE_FILES = ("accel*", "vfio/[0-9]*")  # of TPUs, in /dev

Target: TypeAlias = Mapping[str, JsonValue]  # parameters that say for what is compiled


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


def describe_target(topology: str, machine: MachineParams) -> Target:
    """All about where and by what is compiled that decides the answer.

    Args:
        topology: such as "v6e:2x4", or "" for this machine.
        machine: its settings.
    """
    target: dict[str, JsonValue] = {
        "topology": topology,
        "versions": dict(versions_of(_VERSIONS_OF)),
        "flags": {name: os.environ.get(name, "") for name in _FLAGS},
    }
    if not topology:
        files = sorted(str(path) for pattern in _DEVICE_FILES for path in Path("/dev").glob(pattern))
        target |= {"host": socket.gethostname(), "platform": machine.platform, "device_files": list(files)}
    return target


def ask(video: VideoParams, root: Path, target: Target, *, mesh: str) -> list[Question]:
    """The programs of a video: the denoise step, unless a file holds its latents, and the decode chunk.

    Args:
        video: its parameters.
        root: the project's folder.
        target: from `describe_target`.
        mesh: of the machine's settings; decode has none.
    Raises:
        CheckpointError: the checkpoint's settings are not to be had without asking the hub.
        ContractError: the file of latents does not hold latents.
    """
    size = _latents_of(video)
    questions = []
    if not video.file_of_stage("denoise"):
        parameters = {**_describe_step(video, size, root), "mesh": mesh}
        questions.append(_question("denoise", target, parameters, video.denoise.num_inference_steps, size.num_cells))
    if video.decode.decoder == _NATIVE:
        parameters = _describe_chunk(video, size, root)
        questions.append(_question("decode", target, parameters, size.num_frames, size.num_cells))
    return questions


def _question(
    stage: str, target: Target, parameters: Mapping[str, JsonValue], num_calls: int, num_tokens: int
) -> Question:
    node = Node(PREFLIGHT, {**target, "stage": stage, **parameters}, components={}, inputs={})
    return Question(stage, node, num_calls, num_tokens)


def _describe_step(video: VideoParams, size: LatentSize, root: Path) -> dict[str, JsonValue]:
    has_glyphs = any(_QUOTED.search(text) for text in (video.encode.prompt, video.encode.negative_prompt))
    return {
        "config": _config(video, root, "transformer"),
        "num_frames": size.num_frames,
        "height": size.height,
        "width": size.width,
        "num_prompt_tokens": NUM_PROMPT_TOKENS,
        "num_glyph_tokens": MAX_GLYPH_TOKENS if has_glyphs else 0,
        "is_guided": not math.isclose(video.denoise.guidance_scale, 1.0),
        "dtype": video.denoise.dtype,
        "window_size": video.denoise.window_size,
    }


def _describe_chunk(video: VideoParams, size: LatentSize, root: Path) -> dict[str, JsonValue]:
    """The chunk of the whole frame, or of the largest tile and the number of tiles."""
    height, width, num_tiles = size.height, size.width, 1
    tile = video.decode.tile_size // SPATIAL_COMPRESSION
    if video.decode.enable_tiling and max(height, width) > tile:
        step = tile_step(tile, video.decode.tile_overlap)
        num_tiles = -(-height // step) * -(-width // step)
        height, width = min(height, tile), min(width, tile)
    return {
        "config": _config(video, root, "vae"),
        "num_frames": size.num_frames,
        "height": height,
        "width": width,
        "num_tiles": num_tiles,
        "dtype": video.decode.dtype,
    }


def _config(video: VideoParams, root: Path, component: str) -> dict[str, Any]:
    return dict(read_config(video.model.checkpoint, video.model.revision, root, component).values)


def _latents_of(video: VideoParams) -> LatentSize:
    """Size of a video's latents: by its parameters, or as its file of latents says."""
    file = video.file_of_stage("denoise")
    if file is None:
        return latent_size(VideoSize(video.denoise.num_frames, video.denoise.height, video.denoise.width))
    where = f"denoise.from_file: {file}"
    try:
        shapes = {name: tuple(entry["shape"]) for name, entry in read_header(file).items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise ContractError(f"{where}: not a whole safetensors file ({error}). Name another one.") from error
    check_shapes("denoise", shapes, where=where)
    return LatentSize(*shapes["latents"][2:])
