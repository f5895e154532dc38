"""`python -m stages.preflight`. What it does is in edge.py, loaded when the command line has been read."""

from stages.run.program import main

if __name__ == "__main__":
    main(__package__, instead="`doit preflight` starts it: see `doit help preflight`. It makes no node of a video.")
