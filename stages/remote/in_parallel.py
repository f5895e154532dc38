"""Several requests at a time, on threads that end with the process, however slow a network is."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

NUM_REQUESTS = 8  # at a time; of parts of 16 MiB, 128 MiB of memory
NUM_SMALL_REQUESTS = 32  # of small objects: at 30 ms each, 600 took 2.0 s on a busy machine, 7.9 s with 8 at a time


def map_in_parallel(
    do: Callable[[_Item], _Result], items: Iterable[_Item], num_threads: int = NUM_REQUESTS
) -> Iterator[tuple[_Item, _Result]]:
    """Each item with what `do` makes of it, as they are done. The first error ends it, and no further item is begun.

    Raises:
        Exception: what `do` raises.
    """
    waiting: queue.SimpleQueue[_Item] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[_Item, _Result] | BaseException] = queue.SimpleQueue()
    num_items = 0
    for item in items:
        waiting.put(item)
        num_items += 1
    is_over = threading.Event()

    def work() -> None:
        with suppress(queue.Empty):
            while not is_over.is_set():
                item = waiting.get_nowait()
                try:
                    done.put((item, do(item)))
                except BaseException as error:
                    is_over.set()
                    done.put(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(num_threads, num_items))]
    for thread in threads:
        thread.start()
    try:
        for _ in range(num_items):
            found = done.get()
            if isinstance(found, BaseException):
                raise found
            yield found
    finally:
        is_over.set()
