"""`python -m stages.run <package>`: the program of any package with a module `edge`, also of a project's own stage."""

import sys

from stages.run.program import main

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: python -m stages.run PACKAGE ...; `python -m stages.run stages.decode --help` says more")
    main(sys.argv[1], sys.argv[2:])
