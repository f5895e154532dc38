"""A store that is written to while its disk fails: run as a process of its own, with the shim preloaded.

    python -m tests.faults.publishing LIBRARY CONTROL FOLDER ERRNO SIGNAL STICKY

Publishes two nodes again and again; the n-th time, the n-th call that changes the store fails, until one passes. It
prints a line of JSON per try. With a signal the try is in a process of its own, which is killed there.
"""

import json
import os
import sys
from pathlib import Path

from stages.errors import StagesError
from stages.machine.regular_files import digest_file
from stages.pipeline.stages import Pipeline
from stages.store.artifacts import Store
from stages.store.stat_cache import STAT_CACHE, StatCache
from stages.store.video_links import VideoLinks
from tests.builders import CODE, build_chain, publish
from tests.faults.shim import Shim

PAYLOADS = {"encode": b"embeddings " * 5000, "denoise": b"latents " * 5000}
CHAIN = build_chain(prompt="x")


def main() -> None:
    library, control, folder, errno, signal, is_sticky = sys.argv[1:]
    shim = Shim(Path(library), Path(control), Path(folder))
    number, is_over = 0, False
    while not is_over:
        number += 1
        store = Store(shim.folder / f"{number}")
        shim.arm(number, errno=int(errno), signal=int(signal), is_sticky=bool(int(is_sticky)))
        raised = _try(store) if signal == "0" else _try_elsewhere(store)
        is_over = shim.disarm() < number
        failed = "" if is_over or signal != "0" else str(shim.failed)
        found = {"number": number, "raised": raised, "wrong": find_wrong(store), "is_over": is_over, "failed": failed}
        store.sweep_drafts()
        found["left"] = sorted(path.name for path in (store.root / ".drafts").glob("*"))
        found["then"] = _try(Store(store.root))
        found["missing"] = [node.stage for node in CHAIN if not Store(store.root).verdict(node, CODE).is_fresh]
        found["wrong"] += find_wrong(store)
        print(json.dumps(found), flush=True)


def write(store: Store) -> None:
    """All that writes to a store: artifacts, one of them again, a link to a video, the cache of stamps."""
    for node in CHAIN:
        publish(store, node, PAYLOADS[node.stage])
    store.forget(CHAIN[1].artifact)
    publish(store, CHAIN[1], PAYLOADS["denoise"])
    VideoLinks(store, suffix=Path(Pipeline().last.makes.payload).suffix).point_to("video", CHAIN[1].artifact)
    cache = StatCache(store.root / STAT_CACHE, clock=lambda: 2**62)
    cache.get("xxh3", store.payload(CHAIN[0].artifact), digest_file)
    cache.save()


def find_wrong(store: Store) -> list[str]:
    """Nodes that the store calls fresh, and whose payload is not what was published."""
    fresh = [node for node in CHAIN if Store(store.root).verdict(node, CODE).is_fresh]
    return [node.stage for node in fresh if store.payload(node.artifact).read_bytes() != PAYLOADS[node.stage]]


def _try(store: Store) -> str:
    """The error that ended it, "" for none; others than a user may meet are let through."""
    try:
        write(store)
    except (StagesError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _try_elsewhere(store: Store) -> str:
    child = os.fork()
    if child == 0:
        try:
            _try(store)
        finally:
            os._exit(0)
    return str(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    main()
