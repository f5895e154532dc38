"""What the training of the autoencoder starts from: that of the first built-in checkpoint.

It knew 9 frames of 96 x 96 pixels. Its training from nothing is in the history of this folder, with its card.
"""

import hashlib
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl_hunyuanvideo15 import AutoencoderKLHunyuanVideo15
from safetensors.torch import load

FILE = Path(__file__).parent / "start_vae.safetensors"
SHA256 = "7375cb167cf5237ed2f3c21e8298623cfd69ca3abbfc13b85e041d9850250aa9"


def load_start(vae: AutoencoderKLHunyuanVideo15, file: Path = FILE) -> None:
    """Give `vae` the weights of the file, which are bfloat16.

    Raises:
        ValueError: it is another file.
    """
    content = file.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != SHA256:
        raise ValueError(f"{file}: its SHA-256 is {found}, not {SHA256}.")
    vae.load_state_dict({name: weight.to(torch.float32) for name, weight in load(content).items()})
