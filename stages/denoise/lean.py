"""What this stage's process does not import of its libraries (stages/run/lean_imports.py)."""

from typing import Final

from stages.run.lean_imports import LeanImports

LEAN: Final = LeanImports(
    absent=("scipy", "transformers"),  # of diffusers: other schedulers, LoRA and text encoders
    inert=("torch._dynamo",),  # torch's compiler; diffusers marks functions for it
    libraries=("diffusers", "torchax"),
)
