"""What is left of a store when its writer ends, or cannot write, at its n-th operation on the file system, for every n.

    python -m tests.store.moments kill_writer FOLDER

A process of its own, without threads, imports everything once and forks for each moment, because an audit hook cannot
be taken back. It prints what the store says after each moment, as JSON; the last time, nothing was in the way.
"""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path

from stages.keys import digest_bytes
from stages.store.artifacts import Store
from stages.store.inputs import check_inputs
from tests.builders import CODE, build_node, publish
from tests.project import PROJECT

MAX_MOMENTS = 100
NODE = build_node()
DENOISE = build_node("denoise", inputs={"encode": NODE.key})
_CHANGES = ("open", "os.rename", "os.mkdir")
_CALM, _DISTURBED, _WRONG = 0, 9, 1  # exit codes of a fork


def states_after(what: str, folder: Path) -> list[str]:
    """What the store in `folder` says after each moment, as one of the functions below looks at it."""
    command = [sys.executable, "-m", "tests.store.moments", what, str(folder)]
    ended = subprocess.run(command, cwd=PROJECT, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    found: list[str] = json.loads(ended.stdout)
    assert len(found) < MAX_MOMENTS
    return found


def kill_writer(store: Store) -> str:
    """A state of the verdict, where nothing was before."""
    return store.verdict(NODE, CODE).state


def kill_remover(store: Store) -> str:
    """The same of what is being removed; afterwards that can be done again."""
    state = store.verdict(NODE, CODE).state
    store.remove(NODE.artifact)
    assert not store.folder(NODE.artifact).exists()
    return state


def fill_disk(store: Store) -> str:
    """The digest of what is there, which is whole."""
    assert store.verdict(NODE, CODE).is_fresh
    digest = digest_bytes(store.payload(NODE.artifact).read_bytes())
    assert check_inputs(store, DENOISE) == {NODE.artifact: digest}
    return digest


def main() -> None:
    """As the module says."""
    what, store = sys.argv[1], Store(Path(sys.argv[2]))
    found, is_disturbed = [], True
    while is_disturbed and len(found) < MAX_MOMENTS:
        if what == "kill_writer":
            shutil.rmtree(store.root, ignore_errors=True)
            events = (*_CHANGES, "os.remove", "shutil.rmtree", "fcntl.flock")
            is_disturbed = _disturb(len(found), events, _end, lambda: publish(store, NODE))
            found.append(kill_writer(store))
        elif what == "kill_remover":
            publish(store, NODE)
            events = ("open", "os.remove", "os.rmdir", "os.listdir", "fcntl.flock")
            is_disturbed = _disturb(len(found), events, _end, lambda: store.remove(NODE.artifact))
            found.append(kill_remover(store))
        else:
            publish(store, NODE, b"payload")
            is_disturbed = _disturb(len(found), _CHANGES, _refuse, lambda: publish(store, NODE, b"other"))
            found.append(fill_disk(store))
        store.sweep_drafts()
        assert list(store.root.glob(".drafts/*")) == []
    print(json.dumps(found))


def _disturb(moment: int, events: Collection[str], disturb: Callable[[], None], act: Callable[[], object]) -> bool:
    """Act in a fork, in which the n-th event is disturbed; whether there were so many."""
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (_CALM, _DISTURBED)
        return code == _DISTURBED
    left = moment

    def hook(event: str, _arguments: object) -> None:
        nonlocal left
        if event in events:
            left -= 1
            if left == -1:
                disturb()

    sys.addaudithook(hook)
    code = _WRONG
    try:
        act()
        code = _CALM if left >= 0 else _DISTURBED
    except Exception:
        code = _WRONG if left >= 0 else _DISTURBED
    finally:
        os._exit(code)


def _end() -> None:
    os._exit(_DISTURBED)  # without warning, as a kill


def _refuse() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


if __name__ == "__main__":
    main()
