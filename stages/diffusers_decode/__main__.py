"""`python -m stages.diffusers_decode`. What it does is in edge.py, loaded when the command line has been read."""

from stages.run.program import main

if __name__ == "__main__":
    main(__package__)
