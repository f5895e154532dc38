"""The decoder of a checkpoint's VAE as an object: weights on all devices and compiled programs, called with latents.

Owns what stays from call to call. What is computed is in stream.py and forward.py.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array
from numpy.typing import NDArray

from stages.decode.config import DecoderConfig, check_geometry, parse_config
from stages.decode.forward import FramePrograms
from stages.decode.plan import ChunkPlan, compile_programs, compile_tiles
from stages.decode.stream import decode_video, finish
from stages.decode.structure import DecoderWeights
from stages.decode.tiling import TileGrid, Tiling, choose_grid
from stages.decode.weights import load_weights
from stages.geometry import LatentSize
from stages.machine.devices import pick_devices
from stages.machine.executables import CompileProgram, compile_in_memory
from stages.models.checkpoint import Checkpoint, component_folder, open_component
from stages.models.settings import read_settings
from stages.models.weights import open_weights
from stages.pipeline.contract import check_shapes
from stages.pipeline.contracts import LATENTS
from stages.pipeline.decode import STAGE, VAE
from stages.request.arguments import check_arguments
from stages.tensors.dtypes import name_dtypes


class Decoder:
    """The decoder of a checkpoint's VAE, ready to decode.

    It holds the weights, all of them on each device, and the two programs of every size of a video or tile that it has
    compiled.

    Attributes:
        checkpoint: that it was loaded from.
        config: sizes of the decoder.
        dtype: of weights and arithmetic, "bfloat16" or "float32".
        devices: each decodes a strip of the frame's columns.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        config: DecoderConfig,
        weights: DecoderWeights[Array],
        *,
        dtype: str,
        devices: Sequence[jax.Device],
    ) -> None:
        """`weights` are those of the checkpoint, in `dtype`, on all `devices`; `load` reads them."""
        self.checkpoint = checkpoint
        self.config = config
        self.dtype = dtype
        self.devices = tuple(devices)
        self._weights = weights
        self._programs: dict[ChunkPlan, FramePrograms] = {}

    @classmethod
    def load(cls, checkpoint: Checkpoint, *, dtype: str, devices: Sequence[jax.Device] | None = None) -> "Decoder":
        """Load the decoder of a VAE; its encoder is not read.

        Args:
            checkpoint: from `resolve`; what is missing of a hub id is downloaded.
            dtype: "bfloat16" or "float32", whatever the files hold.
            devices: of one platform; None: all that JAX prefers.
        Raises:
            ParamsError: there is no such dtype.
            CheckpointError: the VAE is missing, damaged, incomplete or of another architecture.
        """
        check_arguments(STAGE, dtype=dtype)
        files = open_component(checkpoint, VAE)
        chosen = tuple(devices or pick_devices("auto"))
        config = read_decoder_config(files.settings)
        weights = load_weights(open_weights(files), config, dtype=dtype, devices=chosen)
        return cls(checkpoint, config, weights, dtype=dtype, devices=chosen)

    def is_of(self, checkpoint: Checkpoint, *, dtype: str, devices: Sequence[jax.Device]) -> bool:
        """Whether `load` would give the same for these arguments."""
        return (self.checkpoint, self.dtype, self.devices) == (checkpoint, dtype, tuple(devices))

    def decode(
        self,
        latents: NDArray[Any],
        *,
        tiling: Tiling | None = None,
        compile_program: CompileProgram = compile_in_memory,
    ) -> NDArray[Any]:
        """Decode a video; all of it is in memory then, 6 bytes for each pixel of each frame.

        Args, errors: as in `stream`.
        Returns:
            [1, T, H, W, 3], bfloat16, in [-1, 1]: what `frames.safetensors` holds.
        """
        pieces = self.stream(latents, tiling=tiling, compile_program=compile_program)
        return np.concatenate(list(pieces))[np.newaxis]

    def stream(
        self,
        latents: NDArray[Any],
        *,
        tiling: Tiling | None = None,
        compile_program: CompileProgram = compile_in_memory,
    ) -> Iterator[NDArray[Any]]:
        """Decode a video latent frame by latent frame, each when it is asked for. Programs are compiled before that.

        Args:
            latents: [1, 32, f, h, w], float32 or bfloat16, in DiT space, as `Denoiser.denoise` gives them.
            tiling: None decodes frames whole, which is exact; tiles change the picture slightly.
            compile_program: compiles the programs that this object does not have yet.
        Returns:
            An iterator over [n, H, W, 3], bfloat16, in [-1, 1], of one latent frame each: n is 1, then 4.
        Raises:
            ParamsError: the tiling breaks the rules of its parameters; lists all faults.
            ContractError: the latents have another shape or dtype.
            StageError: frames are not finite; while they are asked for.
        """
        grid = plan_grid(latents, tiling, self.config)
        plan = ChunkPlan(self.config, LatentSize(*latents.shape[2:]), self.dtype)
        programs = compile_tiles(plan, grid, lambda plan: self._compile(plan, compile_program))
        pieces = decode_video(
            self._weights,
            np.moveaxis(latents, 1, -1),
            config=self.config,
            grid=grid,
            devices=self.devices,
            programs=programs,
        )
        return finish(pieces, dtype=self.dtype, checkpoint=component_folder(self.checkpoint, VAE.name))

    def _compile(self, plan: ChunkPlan, compile_program: CompileProgram) -> FramePrograms:
        """The programs for a video or tile of this size, compiled once."""
        if plan not in self._programs:
            self._programs[plan] = compile_programs(
                plan, devices=self.devices, compile_program=lambda program: compile_program(program).compiled
            )
        return self._programs[plan]


def read_decoder_config(file: Path) -> DecoderConfig:
    """The sizes of the decoder in a VAE's `config.json`, if they are those of HunyuanVideo-1.5.

    Raises:
        CheckpointError: another architecture or geometry, or sizes that no such decoder can have; lists all faults.
    """
    config = parse_config(read_settings(file))
    check_geometry(config, where=file)
    return config


def plan_grid(latents: NDArray[Any], tiling: Tiling | None, config: DecoderConfig) -> TileGrid:
    """The tiles of a video, once it is clear that latents and tiling are valid.

    Args:
        latents: [1, 32, f, h, w].
        tiling: None for one tile.
        config: sizes of the decoder.
    Raises:
        ParamsError, ContractError: as in `Decoder.stream`.
    """
    if tiling is not None:
        check_arguments(STAGE, **asdict(tiling))
    dtypes = name_dtypes({"latents": latents})
    check_shapes(LATENTS, {"latents": latents.shape}, where="latents", dtypes=dtypes)
    size = LatentSize(*latents.shape[2:])
    return choose_grid(size.height, size.width, tiling, spatial_compression=config.spatial_compression)
