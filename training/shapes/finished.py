"""What finished phases have made, as files from which the later phases start without training it again."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from training.shapes.loop import Phase

FOLDER = Path(__file__).parent / "phases"
SHA256 = {  # of the files <phase>.safetensors in the folder
    "vae": "3c0dc432b09c2f03f254d02be56f790a94cec6fb0bd798e17c487bbee3d43583",
    "dit": "9e13ebdd9198b4c09cc4d118162360ec32e423bc2a46ffdfbe1e248e57dd1de8",
}


def write_finished(weights: Mapping[str, torch.Tensor], phase: Phase, folder: Path = FOLDER) -> str:
    """Write weights as bfloat16, with the phase's recipe beside them; the SHA-256 of the file."""
    path = folder / f"{phase.name}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    rounded = {name: weight.detach().bfloat16().contiguous() for name, weight in weights.items()}
    save_file(rounded, path, {"recipe": json.dumps(phase.recipe, sort_keys=True)})
    path.chmod(0o644)  # safetensors writes files that only their owner can read
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_finished(
    phase: Phase, folder: Path = FOLDER, *, expected: Mapping[str, str] = SHA256
) -> dict[str, torch.Tensor]:
    """The weights that the phase has made, float32.

    Args:
        expected: the SHA-256 of each phase's file.

    Raises:
        ValueError: it is another file, or was made with other settings.
    """
    path = folder / f"{phase.name}.safetensors"
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != expected[phase.name]:
        raise ValueError(f"{path}: its SHA-256 is {found}, not {expected[phase.name]}.")
    with safe_open(path, framework="pt") as file:
        recipe = json.loads(file.metadata()["recipe"])
    if recipe != phase.recipe:
        raise ValueError(f"{path}: was made with {recipe}, not with {phase.recipe}.")
    return {name: weight.float() for name, weight in load_file(path).items()}
