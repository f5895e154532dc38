"""doit in a process of its own that is forked from one which has loaded its modules, and has done nothing else.

Most of the time of a run that has little to do is spent on imports, and tests start hundreds. In all else a run by fork
is what `python -m doit` is: its working folder, arguments, exit code and output, the real dodo.py and real stages. What
a test says about modules that are loaded, or in another environment, needs a new interpreter (project.py).

Run as a script it is the process that forks: a line of JSON per run on stdin, a line with its exit code on stdout.
"""

import atexit
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_NAME = "-m"  # the program's, while doit is imported by `python -m doit`
# What doit loads in any project, besides dodo.py. The first folder that modules are looked for in is the child's.
_FORK = f"""
import sys
sys.argv = [{_NAME!r}]
from doit.doit_cmd import DoitMain
from stages.commands import clean, completion, forget, info, list, others, preflight, reporter, run, store_command
from stages.commands import tasks
from stages.run import loading
import runpy
runpy.run_path({__file__!r}, run_name="__main__")
"""


class WarmDoit:
    """The process that forks. It ends with the one that has started it."""

    def __init__(self, prefix: Sequence[str] = ()) -> None:
        """`prefix` is the command by which it is started with other rights, such as setpriv."""
        self._environment = _without_pytests(os.environ)
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-c", _FORK],
            cwd=tempfile.gettempdir(),
            env=self._environment,  # as Python knows it: see project.environment
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        atexit.register(self._close)

    def can_run(self, root: Path, environment: Mapping[str, str]) -> bool:
        """Whether a new interpreter in this folder would have the same environment, and load the same modules."""
        return _without_pytests(environment) == self._environment and not (root / "stages").exists()

    def run(self, root: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """How doit ended in a project's folder."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with tempfile.TemporaryDirectory() as folder:
            files = [f"{folder}/stdout", f"{folder}/stderr"]
            self._process.stdin.write(json.dumps([str(root), [*arguments], *files]) + "\n")
            self._process.stdin.flush()
            code = int(self._process.stdout.readline())
            output, error = (Path(file).read_bytes().decode() for file in files)
        return subprocess.CompletedProcess(["doit", *arguments], code, output, error)

    def _close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def _without_pytests(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables, but for those that name the test that runs."""
    return {name: text for name, text in environment.items() if not name.startswith("PYTEST_")}


@cache
def warm_doit() -> WarmDoit:
    """That of this process."""
    return WarmDoit()


def _fork_for_each_line() -> list[str]:
    """Give back the arguments in each child, with its folder and streams in place; never in the process itself."""
    for line in sys.stdin:
        root, arguments, *files = json.loads(line)
        child = os.fork()
        if child:
            _, status = os.waitpid(child, 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        for number, file in enumerate([os.devnull, *files]):
            opened = os.open(file, os.O_RDWR | os.O_CREAT)
            os.dup2(opened, number)
            os.close(opened)
        os.chdir(root)
        sys.path[0] = root
        return list(arguments)
    sys.exit(0)


if __name__ == "__main__":
    from doit.doit_cmd import DoitMain

    main = find_spec("doit.__main__")
    assert main is not None
    sys.argv = [str(main.origin), *_fork_for_each_line()]
    sys.exit(DoitMain().run(sys.argv[1:]))
