"""The fork diffusers-tpu, which may be installed in place of diffusers (docs/diffusers-tpu.md)."""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

FLAX_VAE = "diffusers.models.autoencoders.autoencoder_kl_hunyuanvideo15_flax"
NO_FORK = "the fork diffusers-tpu is not installed (docs/diffusers-tpu.md)"


def is_fork_installed() -> bool:
    """Whether diffusers is the fork, and Flax is there for its VAE."""
    return find_spec("flax") is not None and find_spec(FLAX_VAE) is not None  # in this order: that one loads diffusers


def in_dtype(dtype: "torch.dtype") -> dict[str, Any]:
    """The argument by which `from_pretrained` gets a dtype: the fork is older and has another name for it."""
    return {"dtype" if find_spec(FLAX_VAE) is None else "torch_dtype": dtype}
