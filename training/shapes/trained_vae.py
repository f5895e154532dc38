"""The trained autoencoder as a file, from which the later phases start without training it again."""

import hashlib
import json
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl_hunyuanvideo15 import AutoencoderKLHunyuanVideo15
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from training.shapes.loop import Phase, save_checkpoint

FILE = Path(__file__).parent / "phases" / "vae.safetensors"
SHA256 = "3c0dc432b09c2f03f254d02be56f790a94cec6fb0bd798e17c487bbee3d43583"  # of this file


def write_vae(vae: AutoencoderKLHunyuanVideo15, phase: Phase, path: Path) -> str:
    """Write the weights as bfloat16, with the phase's recipe beside them; the SHA-256 of the file."""
    weights = {name: weight.bfloat16().contiguous() for name, weight in vae.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, path, {"recipe": json.dumps(phase.recipe, sort_keys=True)})
    path.chmod(0o644)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def adopt_vae(
    vae: AutoencoderKLHunyuanVideo15, phase: Phase, path: Path = FILE, *, expected_sha256: str = SHA256
) -> None:
    """Make the file the finished checkpoint of `phase`, the autoencoder's; `vae` takes its weights.

    Raises:
        ValueError: it is another file, or was trained with other settings.
    """
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != expected_sha256:
        raise ValueError(f"{path}: its SHA-256 is {found}, not {expected_sha256}.")
    with safe_open(path, framework="pt") as file:
        recipe = json.loads(file.metadata()["recipe"])
    if recipe != phase.recipe:
        raise ValueError(f"{path}: was made with {recipe}, not with {phase.recipe}.")
    vae.load_state_dict({name: weight.to(torch.float32) for name, weight in load_file(path).items()})
    save_checkpoint(phase, {"vae": vae}, phase.num_steps)
