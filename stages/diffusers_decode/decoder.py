"""A decoder of diffusers as an object: the VAE that the parameter `decode.decoder` names, called with latents.

Owns the choice between them. They are in torch_decoder.py and flax_decoder.py; tiles and frames are left to whole.py.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from stages.decode.config import DecoderConfig
from stages.decode.decoder import plan_grid, read_decoder_config
from stages.decode.stream import finish
from stages.decode.tiling import Tiling
from stages.diffusers_decode.whole import DecodeTile, Progress, decode_whole
from stages.errors import ParamsError, StageError
from stages.machine.devices import pick_devices
from stages.models.checkpoint import Checkpoint, component_folder, open_component
from stages.models.component_files import ComponentFiles
from stages.models.weights import open_weights
from stages.pipeline.decode import DECODERS, INSTALL_FORK, STAGE, VAE
from stages.request.arguments import check_arguments

NAMES = tuple(name for name, program in DECODERS.items() if program.package == __package__)


class DiffusersDecoder:
    """A decoder of diffusers, ready to decode: `stages.decode.decoder.Decoder` for whoever wants diffusers' own code.

    It holds the weights: those of "diffusers" in the host's memory, those of the others on one device.

    Attributes:
        name: one of NAMES, those of `decode.decoder` that this package decodes by.
        checkpoint: that it was loaded from.
        config: sizes of the decoder.
        dtype: of weights and arithmetic, "bfloat16" or "float32".
        device: where the fork decodes and tiles are joined; "diffusers" decodes on the CPU.
    """

    def __init__(
        self,
        name: str,
        checkpoint: Checkpoint,
        config: DecoderConfig,
        decode_tile: DecodeTile,
        *,
        dtype: str,
        device: jax.Device,
    ) -> None:
        """`decode_tile` decodes by the weights of the checkpoint, in `dtype`; `load` makes it."""
        self.name = name
        self.checkpoint = checkpoint
        self.config = config
        self.dtype = dtype
        self.device = device
        self._decode_tile = decode_tile

    @classmethod
    def load(
        cls, name: str, checkpoint: Checkpoint, *, dtype: str, devices: Sequence[jax.Device] | None = None
    ) -> "DiffusersDecoder":
        """Load a decoder; the VAE's encoder is not read.

        Args:
            name: one of NAMES: torch's VAE of diffusers, the Flax VAE of its fork, or that frame by frame.
            checkpoint: from `resolve`; what is missing of a hub id is downloaded.
            dtype: "bfloat16" or "float32", whatever the files hold.
            devices: of one platform, of which the first is used; None: all that JAX prefers.
        Raises:
            ParamsError: there is no such decoder or dtype.
            CheckpointError: the VAE is missing, damaged, incomplete or of another architecture.
            StageError: the fork is not installed.
        """
        if name not in NAMES:
            raise ParamsError(f'arguments, decode.decoder = "{name}": must be one of {", ".join(NAMES)}.')
        check_arguments(STAGE, dtype=dtype)
        files = open_component(checkpoint, VAE)
        device = (devices or pick_devices("auto"))[0]
        config = read_decoder_config(files.settings)
        decode_tile = _load_tile_decoder(name, files, config, dtype=dtype, device=device)
        return cls(name, checkpoint, config, decode_tile, dtype=dtype, device=device)

    def is_of(self, name: str, checkpoint: Checkpoint, *, dtype: str, devices: Sequence[jax.Device]) -> bool:
        """Whether `load` would give the same for these arguments."""
        return (self.name, self.checkpoint, self.dtype, self.device) == (name, checkpoint, dtype, devices[0])

    def stream(
        self, latents: NDArray[Any], *, tiling: Tiling | None = None, progress: Progress = lambda *_: None
    ) -> Iterator[NDArray[Any]]:
        """Decode a video; all latent frames are decoded when the first is asked for.

        Args:
            latents: [1, 32, f, h, w], float32 or bfloat16, in DiT space.
            tiling: None decodes frames whole; memory grows with the square of the number of cells of all frames.
            progress: in tiles.
        Returns:
            An iterator over [n, H, W, 3], bfloat16, in [-1, 1], of one latent frame each: n is 1, then 4.
        Raises:
            ParamsError: the tiling breaks the rules of its parameters; lists all faults.
            ContractError: the latents have another shape or dtype.
            StageError: frames are not finite; while they are asked for.
        """
        grid = plan_grid(latents, tiling, self.config)
        pieces = decode_whole(
            self._decode_tile,
            np.moveaxis(latents, 1, -1),
            grid,
            progress,
            config=self.config,
            dtype=self.dtype,
            device=self.device,
        )
        return finish(pieces, dtype=self.dtype, checkpoint=component_folder(self.checkpoint, VAE.name))


def _load_tile_decoder(
    name: str, files: ComponentFiles, config: DecoderConfig, *, dtype: str, device: jax.Device
) -> DecodeTile:
    if name == "diffusers":
        from stages.diffusers_decode.torch_decoder import load_torch_decoder  # noqa: PLC0415 (the fork needs no torch)

        return load_torch_decoder(open_weights(files), config, dtype=dtype)
    try:
        from stages.diffusers_decode.flax_decoder import load_flax_decoder  # noqa: PLC0415 (may not be there)
    except ImportError as error:
        raise StageError(
            f'decode.decoder = "{name}": the installed diffusers has no such VAE ({error}). Install the fork in '
            f"its place: {INSTALL_FORK}\n  docs/diffusers-tpu.md says more. The other decoders need no such thing."
        ) from error
    is_framewise = name == "diffusers-tpu-framewise"
    return load_flax_decoder(open_weights(files), config, dtype=dtype, device=device, is_framewise=is_framewise)
