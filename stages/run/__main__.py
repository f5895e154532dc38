"""`python -m stages.run <package>`: the program of any package with a module `edge`, also of a project's own stage."""

import sys

from stages.machine.lifeline import find_lifeline, keep_from_children

if __name__ == "__main__":
    keep_from_children(sys.argv)
    lifeline = find_lifeline(sys.argv)
    from stages.run.program import main  # takes time, in which doit may end

    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: python -m stages.run PACKAGE ...; `python -m stages.run stages.decode --help` says more")
    main(sys.argv[1], sys.argv[2:], lifeline=lifeline)
