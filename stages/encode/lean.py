"""What this stage's process does not import of its libraries (stages/run/lean_imports.py)."""

from typing import Final

from stages.run.lean_imports import LeanImports

# torch's compiler is imported in any case, when transformers builds a model without memory (on the meta device)
LEAN: Final = LeanImports(absent=("scipy",), libraries=("transformers",))  # losses of object detection
