"""A bucket in memory, with a clock of its own, in which requests of several actors happen in an order that tests set.

Each actor runs in a thread that waits before each request until it is its turn. So the same order has the same result.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from stages.remote.bucket import Bucket, StoredObject

_WAIT_S = 30.0


class KilledError(BaseException):
    """An actor ends here, as a process that is killed does: no cleaning up reaches the bucket."""


@dataclass
class MemoryBucket:
    """A bucket below no prefix; every request takes a second of its clock, of which objects have the time."""

    objects: dict[str, tuple[bytes, float]] = field(default_factory=dict)
    now: float = 1e9

    def list(self, prefix: str) -> Iterator[StoredObject]:
        self.now += 1
        found = [(name, *each) for name, each in self.objects.items() if name.startswith(f"{prefix}/")]
        return iter([StoredObject(name, len(content), modified) for name, content, modified in found])

    def get(self, name: str) -> bytes | None:
        self.now += 1
        return self.objects.get(name, (None, 0.0))[0]

    def read(self, name: str, take: Callable[[memoryview], None]) -> bool:
        content = self.get(name)
        if content is not None:
            take(memoryview(content))
        return content is not None

    def put(self, name: str, content: bytes) -> None:
        self.now += 1
        self.objects[name] = (content, self.now)

    def put_new(self, name: str, content: bytes) -> bool:
        self.now += 1
        if name in self.objects:
            return False
        self.objects[name] = (content, self.now)
        return True

    def delete(self, names: Collection[str]) -> None:
        self.now += 1
        for name in names:
            self.objects.pop(name, None)


class Actor:
    """Somebody who uses a bucket, request by request."""

    def __init__(self, bucket: Bucket, act: Callable[[Bucket], None], *, lists_twice: bool = False) -> None:
        """Begins `act`, which stops before its first request.

        With `lists_twice`, a listing is no picture of one moment: marks are those that are there later.
        """
        self.lists_twice = lists_twice
        self._bucket = bucket
        self._turn, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        self._is_killed = False
        self.is_over = False
        self.error: BaseException | None = None
        self.num_requests = 0
        self._thread = threading.Thread(target=self._run, args=[act], daemon=True)
        self._thread.start()
        assert self._stopped.acquire(timeout=_WAIT_S)

    def step(self) -> None:
        """Let it make one request, and go on to before the next, or to its end."""
        assert not self.is_over
        self.num_requests += 1
        self._turn.release()
        assert self._stopped.acquire(timeout=_WAIT_S)

    def finish(self) -> None:
        """Let it make all requests that are left. Raises what it raised."""
        while not self.is_over:
            self.step()
        if self.error is not None and not self._is_killed:
            raise self.error

    def kill(self) -> None:
        """End it before its next request."""
        self._is_killed = True
        while not self.is_over:
            self._turn.release()
            assert self._stopped.acquire(timeout=_WAIT_S)

    def _run(self, act: Callable[[Bucket], None]) -> None:
        try:
            act(_Waiting(self))
        except BaseException as error:
            self.error = error
        self.is_over = True
        self._stopped.release()

    def _wait(self) -> Bucket:
        self._stopped.release()
        assert self._turn.acquire(timeout=_WAIT_S)
        if self._is_killed:
            raise KilledError
        return self._bucket


@dataclass(frozen=True)
class _Waiting:
    """The bucket as an actor sees it."""

    actor: Actor

    def list(self, prefix: str) -> Iterator[StoredObject]:
        found = [*self.actor._wait().list(prefix)]
        if self.actor.lists_twice:
            found = [each for each in found if not _is_mark(each.name)]
            found += [each for each in self.actor._wait().list(prefix) if _is_mark(each.name)]
        return iter(found)

    def get(self, name: str) -> bytes | None:
        return self.actor._wait().get(name)

    def read(self, name: str, take: Callable[[memoryview], None]) -> bool:
        return self.actor._wait().read(name, take)

    def put(self, name: str, content: bytes) -> None:
        self.actor._wait().put(name, content)

    def put_new(self, name: str, content: bytes) -> bool:
        return self.actor._wait().put_new(name, content)

    def delete(self, names: Collection[str]) -> None:
        self.actor._wait().delete(names)


def _is_mark(name: str) -> bool:
    return ".collected-" in name


def names_of(bucket: MemoryBucket, prefix: str) -> Mapping[str, bytes]:
    """The objects below a folder."""
    return {name: content for name, (content, _) in bucket.objects.items() if name.startswith(f"{prefix}/")}
