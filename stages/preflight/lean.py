"""What preflight's process does not import of its libraries (stages/run/lean_imports.py)."""

from typing import Final

from stages.denoise.lean import LEAN as DENOISE
from stages.run.lean_imports import LeanImports

LEAN: Final[LeanImports] = DENOISE  # of the stages that it compiles, the one whose libraries import so much
