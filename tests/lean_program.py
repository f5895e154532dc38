"""A program of the tests in a process that has imported a stage as the stage's own process does: in half the time.

python -m tests.lean_program stages.<stage> MODULE [ARGUMENT ...]
"""

import runpy
import sys

from stages.run.lean_imports import import_program

if __name__ == "__main__":
    _, package, module, *arguments = sys.argv
    import_program(package)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
