"""A lease that this process has: renewed by a thread, and given back. leases.py says how one gets it."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from stages.store.lease_file import Lease, give_back, is_of, write_lease


class Held:
    """A lease that this process has. A thread renews it until the block ends; then it is given back."""

    def __init__(
        self, beat_s: float, path: Path, descriptor: int, lease: Lease, is_at_work: Callable[[], bool]
    ) -> None:
        self._beat_s = beat_s
        self._path = path
        self._descriptor = descriptor
        self._lease = lease
        self._is_at_work = is_at_work
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()
        with suppress(OSError):
            if is_of(self._path, self._lease):
                give_back(self._path, self._descriptor)
        os.close(self._descriptor)

    def _renew(self) -> None:
        count = 0
        while not self._is_over.wait(self._beat_s):
            with suppress(OSError):  # perhaps the next time; if there is none, others take the lease over
                if not is_of(self._path, self._lease):
                    return  # this process was stopped for so long that another has taken it over
                if self._is_at_work():
                    count += 1
                    write_lease(self._descriptor, self._lease.to_json(count))
