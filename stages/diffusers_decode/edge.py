"""Edge of the program that decodes by diffusers: the VAE that the parameter `decode.decoder` names."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from stages.decode.config import DecoderConfig
from stages.decode.edge import Decode, decode_node
from stages.decode.plan import Devices
from stages.diffusers_decode.whole import DecodeTile, decode_whole
from stages.errors import StageError
from stages.keys import JsonValue
from stages.pipeline.decode import INSTALL_FORK
from stages.run.job import Job, Report


def run(job: Job, draft: Path, report: Report) -> Mapping[str, JsonValue]:
    """Decode a node's latents."""
    name = str(job.node.parameters["decoder"])
    made = decode_node(job, draft, report, load=partial(load_decoder, name))
    return {"device": "cpu" if name == "diffusers" else made["device"]}  # one, however many there are


def load_decoder(name: str, folder: Path, config: DecoderConfig, dtype: str, devices: Devices) -> Decode:
    """Load a decoder.

    Args:
        name: "diffusers", "diffusers-tpu" or "diffusers-tpu-framewise".
        folder: the VAE's folder, with one safetensors file or shards and their index.
        config: sizes, from its `config.json`.
        dtype: "float32" or "bfloat16".
        devices: on the first of them the fork decodes and tiles are joined; diffusers' own stays on the CPU.
    Raises:
        CheckpointError: no weights, or names and shapes other than the config's; all faults at once.
        StageError: the fork is not installed.
    """
    decode_tile: DecodeTile
    device = devices[0]
    if name == "diffusers":
        from stages.diffusers_decode.torch_decoder import load_torch_decoder  # noqa: PLC0415 (the fork needs no torch)

        decode_tile = load_torch_decoder(folder, config, dtype=dtype)
    else:
        try:
            from stages.diffusers_decode.flax_decoder import load_flax_decoder  # noqa: PLC0415 (may not be there)
        except ImportError as error:
            raise StageError(
                f'decode.decoder = "{name}": the installed diffusers has no such VAE ({error}). Install the fork in '
                f"its place: {INSTALL_FORK}\n  docs/diffusers-tpu.md says more. The other decoders need no such thing."
            ) from error
        is_framewise = name == "diffusers-tpu-framewise"
        decode_tile = load_flax_decoder(folder, config, dtype=dtype, device=device, is_framewise=is_framewise)
    return lambda latents, grid, report: decode_whole(
        decode_tile, latents, grid, report.progress, config=config, dtype=dtype, device=device
    )
