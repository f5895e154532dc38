"""Ends a process whose encoder waits for itself for ever.

SVT-AV1 4.1 passes pictures on between threads of its own, and now and then none of them goes on
(docs/decisions/0009-equal-bytes-of-video.md). No exception reaches a thread that waits in a library, so the process
ends, and the next run makes the video.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_SLICE_S = 1.0
_NUM_SLICES = 300
_IDLE_CPU_S = 0.02  # of a slice, in all threads: to look at the clock is less, to read from a slow disk is more


@contextmanager
def ended_at_a_standstill(what: str, *, num_slices: int = _NUM_SLICES, slice_s: float = _SLICE_S) -> Iterator[None]:
    """End the process with exit code 1 if no thread of it computes for five minutes meanwhile, and say so on stderr.

    What is counted are slices of time in which this was looked at, so that a process that was stopped, or a machine
    that slept, is not taken for one that stands still.

    Args:
        what: stands still, for the message.
        num_slices: one after another in which nothing is computed.
        slice_s: seconds of each.
    """
    is_over = threading.Event()
    watch = threading.Thread(target=_watch, args=(what, is_over, num_slices, slice_s), daemon=True)
    watch.start()
    try:
        yield
    finally:
        is_over.set()
        watch.join()


def _watch(what: str, is_over: threading.Event, num_slices: int, slice_s: float) -> None:
    num_idle, before_s = 0, time.process_time()
    while not is_over.wait(slice_s):
        now_s = time.process_time()
        num_idle = num_idle + 1 if now_s - before_s < _IDLE_CPU_S else 0
        before_s = now_s
        if num_idle >= num_slices:
            print(f"{what} has stood still for {num_slices * slice_s:.0f} s; run `doit` again", file=sys.stderr)
            sys.stderr.flush()
            os._exit(1)
