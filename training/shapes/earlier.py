"""Weights that the training starts from; how they were trained from nothing is in the history of this folder.

The autoencoder is that of the first built-in checkpoint, which knew 9 frames of 96 x 96 pixels. The transformer has
learned the other sizes from there, in 2,400 steps.
"""

import hashlib
from pathlib import Path

import torch
from safetensors.torch import load

FOLDER = Path(__file__).parent / "start"
SHA256 = {
    "vae": "7375cb167cf5237ed2f3c21e8298623cfd69ca3abbfc13b85e041d9850250aa9",
    "dit": "161858b12dc1b1124c1a3dd41824a767840f2c528da6f841a6320172377a3e63",
}


def load_earlier(module: torch.nn.Module, name: str, folder: Path = FOLDER) -> None:
    """Give `module` the weights of a file, "vae" or "dit", which are bfloat16; frozen parameters keep their own.

    Raises:
        ValueError: it is another file, or does not have every parameter that is trained.
    """
    file = folder / f"{name}.safetensors"
    content = file.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != SHA256[name]:
        raise ValueError(f"{file}: its SHA-256 is {found}, not {SHA256[name]}.")
    weights = {name: weight.to(torch.float32) for name, weight in load(content).items()}
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    if set(weights) != trained:
        raise ValueError(f"{file}: its weights are not those that are trained: {sorted(trained ^ set(weights))}.")
    module.load_state_dict(weights, strict=False)
