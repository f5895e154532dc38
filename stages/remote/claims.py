"""Who makes an artifact at present, on a remote store: of several machines with stores of their own, one makes it.

What leases are in a store (stages/store/leases.py), without locks: an object that is put only if there is none, whose
holder puts it anew every few seconds. One that has stayed the same for long is taken over. Nothing that is published
depends on it: where a claim fails, two make the same artifact, and the first of them stays.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Final

from stages.errors import RemoteError
from stages.machine.holder import Holder, read_holder
from stages.remote.bucket import Bucket

_BEAT_S: Final = 5.0  # between two puts of a holder
_LOOK_S: Final = 2.0  # between two looks of one who waits
_PATIENCE_S: Final = 40.0  # of looks at the same content until its holder counts as dead


@dataclass(frozen=True)
class Claims:
    """The claims on a remote store.

    Attributes:
        bucket: where they are.
        beat_s, look_s, patience_s: seconds between two puts of a holder, between two looks of one who waits, and of
            looks at the same content until its holder counts as dead.
    """

    bucket: Bucket
    beat_s: float = _BEAT_S
    look_s: float = _LOOK_S
    patience_s: float = _PATIENCE_S

    @contextmanager
    def hold(self, name: str, wait: Callable[[Holder | None, float], None]) -> Iterator[Holder | None]:
        """Have a claim for the time of the block.

        Args:
            name: of its object.
            wait: called at each look while another has it: with who it is, if that is known, and the seconds of waiting
                so far. What it raises ends the waiting.
        Yields:
            Who had it before, if it had to be waited for.
        Raises:
            RemoteError: the remote store does not answer.
        """
        holder = Holder.here()
        before = self._take(name, holder, wait)
        is_over = threading.Event()
        beating = threading.Thread(target=self._beat, args=[name, holder, is_over], daemon=True)
        beating.start()
        try:
            yield before
        finally:
            is_over.set()
            beating.join()
            with suppress(RemoteError):  # others wait until it counts as dead
                if self._has(name, holder):
                    self.bucket.delete([name])

    def _take(self, name: str, holder: Holder, wait: Callable[[Holder | None, float], None]) -> Holder | None:
        """Wait until the claim is this holder's; who had it before, if that is known."""
        seen: bytes | None = None
        before, num_same, start = None, 0, time.monotonic()
        while not self.bucket.put_new(name, _text(holder, 0)):
            content = self.bucket.get(name)
            num_same = num_same + 1 if content == seen else 0
            seen = content
            if content is not None:
                before = read_holder(content) or before
                if num_same * self.look_s >= self.patience_s:
                    self.bucket.put(name, _text(holder, 0))
                    time.sleep(self.look_s)  # of two that take it over, the last has it
                    if self._has(name, holder):
                        return before
                wait(before, time.monotonic() - start)
                time.sleep(self.look_s)
        return before

    def _beat(self, name: str, holder: Holder, is_over: threading.Event) -> None:
        count = 0
        while not is_over.wait(self.beat_s):
            with suppress(RemoteError):  # perhaps the next time
                content = self.bucket.get(name)
                if content is None:  # `doit gc --remote` has deleted it, while this machine was asleep
                    self.bucket.put_new(name, _text(holder, count))
                elif not _is_of(content, holder):
                    return  # another has taken it over
                else:
                    count += 1
                    self.bucket.put(name, _text(holder, count))

    def _has(self, name: str, holder: Holder) -> bool:
        content = self.bucket.get(name)
        return content is not None and _is_of(content, holder)


def _is_of(content: bytes, holder: Holder) -> bool:
    found = read_holder(content)
    return found is not None and found.token == holder.token


def _text(holder: Holder, count: int) -> bytes:
    return json.dumps({**asdict(holder), "count": count}).encode()
