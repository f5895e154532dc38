"""The programs that make nodes: which one makes a node, what device it uses, and what has to be installed for it.

No stage's code depends on this, so that a new program makes nothing stale (but what diffusers_decode made, which
takes a message from here).
"""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from stages.keys import FROM_FILE, Node
from stages.pipeline.contract import PREFLIGHT, STAGES

# The program that takes decode over, for all values of the parameter `decoder` but the native one.
DIFFUSERS_DECODE = "diffusers_decode"
PROGRAMS = (*STAGES, FROM_FILE, DIFFUSERS_DECODE)  # that make the nodes of videos
# Programs that cannot be in memory at the same time, because they use the same device. One that only copies a file
# makes no other leave.
DEVICE_OF: Mapping[str, str] = MappingProxyType({
    "encode": "host", "denoise": "accelerator", "decode": "accelerator", "export": "host",
    FROM_FILE: "disk", DIFFUSERS_DECODE: "accelerator",
    PREFLIGHT: "accelerator",
})  # fmt: skip

# The commit with which docs/diffusers-tpu.md was measured; the fork has no releases.
INSTALL_FORK = (
    "pip install flax httpx && pip install --no-deps "
    "git+https://github.com/yangwhale/diffusers-tpu@65b12ffc8c2f0219347e97b4568352802b6353ad"
)
_FORK_DECODERS = "diffusers-tpu"  # how their names begin
_FLAX_VAE = "models/autoencoders/autoencoder_kl_hunyuanvideo15_flax.py"  # what only the fork has


def program_of(node: Node) -> str:
    """What makes a node, as `python -m stages.<program>`: its stage, or what takes the stage's place."""
    if FROM_FILE in node.parameters:
        return FROM_FILE
    return DIFFUSERS_DECODE if node.parameters.get("decoder", "native") != "native" else node.stage


def explain_missing(node: Node) -> str | None:
    """What is not installed that the node's program needs, and how to install it; None when all is there.

    Looks for files; nothing is imported.
    """
    decoder = str(node.parameters.get("decoder", ""))
    if not decoder.startswith(_FORK_DECODERS) or (_has_flax_vae() and find_spec("flax")):
        return None
    return (
        f'decode.decoder = "{decoder}": the fork diffusers-tpu is not installed. Install it in place of diffusers: '
        f"{INSTALL_FORK}\n  docs/diffusers-tpu.md says more. The other decoders need no such thing."
    )


def _has_flax_vae() -> bool:
    diffusers = find_spec("diffusers")
    folders = diffusers.submodule_search_locations if diffusers else None
    return any((Path(folder) / _FLAX_VAE).is_file() for folder in folders or ())
