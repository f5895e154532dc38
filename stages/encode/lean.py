"""What this stage's process does not import of its libraries (stages/run/lean_imports.py)."""

from typing import Final

from stages.run.lean_imports import LeanImports

LEAN: Final = LeanImports(
    absent=("scipy",),  # losses of object detection
    inert=("torch._dynamo",),  # torch's compiler; transformers names what vmap needs to build a mask of many models
    unavailable=("torch.distributed",),  # models on several devices; transformers does without, as on builds without it
    libraries=("transformers",),
)
