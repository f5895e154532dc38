"""What can keep this stage from its work, before anything runs: settings of the VAE that it cannot run.

Loads neither JAX nor torch. What depends on the devices, the stage's process alone can know.
"""

from collections.abc import Mapping
from typing import Any

from stages.decode.config import PREFIX, check_geometry, parse_config
from stages.pipeline.decode import VAE
from stages.pipeline.stage import ACCELERATOR
from stages.run.checks import Chain, collect
from stages.run.weight_checks import find_weight_faults

_BYTES_PER_PIXEL = 3 * 2  # colours, each in bfloat16


def find_faults(chain: Chain, parameters: Mapping[str, Any]) -> list[str]:
    """What keeps a node from being made, a message each."""
    faults = find_weight_faults(
        chain,
        VAE,
        ACCELERATOR,
        parameter="decode.dtype",
        dtype=parameters["dtype"],
        anchors=(f"{PREFIX}conv_in.conv.weight",),
        prefix=PREFIX,
    )
    return faults + collect(lambda: _check_settings(chain))


def size_bytes(chain: Chain, _parameters: Mapping[str, Any]) -> int | None:
    """Bytes of the frames, bfloat16."""
    size = chain.video_size
    return None if size is None else size.num_frames * size.height * size.width * _BYTES_PER_PIXEL


def _check_settings(chain: Chain) -> None:
    settings = chain.settings(VAE)
    check_geometry(parse_config(settings), where=settings.where)
