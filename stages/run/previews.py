"""Previews while a node is made: when there is one, and the process that makes it.

The other half is stages/previews/service.py; what goes between is in preview_messages.py. Whoever computes hands over
the latents after each step, and never waits: a thread passes them on, and while a preview is being made there is no
next one.
"""

import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from stages.machine.mesh_layout import AUTO
from stages.request.tables import NEVER
from stages.run.job import Job
from stages.run.preview_messages import Answer, Moment, Subject
from stages.run.report import Report
from stages.store.previews import preview_link

_COMMAND = (sys.executable, "-m", "stages.previews")
_SHARE = 0.01  # with "auto": of the machine's processors, for all previews of a denoise; a step may lose 2 %
_PAUSE_S = 5.0  # with "auto": between two previews; nobody looks more often
_FIRST_S = 1.5  # of one processor, that the first is expected to cost: imports, and the map of a VAE
# In bfloat16, latents are rounded after each step; between two with less change of noise, that is most of what differs.
_MIN_CHANGE: Final[Mapping[str, float]] = {"bfloat16": 0.01}
_PATIENCE_S = 5.0  # at the end, for the last preview


def open_previews(job: Job, sigmas: Sequence[float], report: Report, *, num_processors: int) -> "Previews | None":
    """Previews of a job, by the machine's settings; None where there are to be none, or it is for no video.

    Args:
        job: that is being done, by the one process that has all of its latents.
        sigmas: as in Previews.
        num_processors: as in Previews.
        report: is shown where the first preview is, and is warned once if none can be made.
    """
    every = job.machine["preview_every"]
    if every == NEVER or not job.videos:
        return None
    return Previews(
        Subject(job.store, job.node.artifact, job.videos, job.checkpoint),
        sigmas,
        every=every,
        num_processors=num_processors,
        show=report.show_preview,
        warn=report.warn,
    )


class Previews:
    """Hands latents to the process that makes previews of them. To be closed.

    Attributes:
        num_made: previews, so far.
        cpu_s: seconds of a processor that they have taken.
    """

    def __init__(
        self,
        subject: Subject,
        sigmas: Sequence[float],
        *,
        every: str,
        num_processors: int,
        show: Callable[[Path], None],
        warn: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        command: Sequence[str] = _COMMAND,
    ) -> None:
        """The denoise begins now. Nothing is started before the first preview.

        Args:
            subject: what is denoised.
            sigmas: share of noise before the first step, and after each.
            every: steps between two previews; or "auto": as many as cost 1 % of the machine's processors.
            num_processors: that this process may use.
            show: is called once, with the link by which a person finds the preview.
            warn: is called once when none can be made, which stops nothing.
            clock: seconds.
            command: starts the process.
        """
        self._subject = subject
        self._sigmas = [*map(float, sigmas)]
        self._every = every
        self._num_processors = num_processors
        self._show = show
        self._warn = warn
        self._clock = clock
        self._command = command
        self._began_s = clock()
        self.cpu_s = 0.0
        self._next_s = _FIRST_S  # that the next preview is expected to cost
        self.num_made = 0
        self._recent: deque[tuple[int, NDArray[Any]]] = deque()
        self._num_last, self._last_s = 0, self._began_s  # steps that were done at the last preview, and when it was
        self._changed = threading.Condition()  # of these four
        self._waiting: tuple[int, Sequence[tuple[float, NDArray[Any]]]] | None = None
        self._is_busy = self._is_closed = self._is_broken = False
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __call__(self, num_done: int, latents: NDArray[Any]) -> None:
        """Take the latents after a step, which nobody changes any more."""
        sigmas, is_last = self._sigmas, num_done == self._num_steps
        min_change = _MIN_CHANGE.get(latents.dtype.name, 0.0)
        self._recent.append((num_done, latents))
        while len(self._recent) > 2 and sigmas[self._recent[1][0]] - sigmas[num_done] >= min_change:
            self._recent.popleft()
        pair = [self._recent[0], self._recent[-1]]
        with self._changed:
            if is_last:
                is_due = self._every != AUTO or self._thread.is_alive()
                pair = pair[-1:]
            else:
                is_due = len(self._recent) > 1 and not self._is_busy and self._is_time(num_done)
            if is_due and not self._is_broken:
                self._num_last, self._last_s = num_done, self._clock()
                self._waiting = num_done, [(sigmas[number], array) for number, array in pair]
                self._is_busy = True
                self._changed.notify_all()
                if not self._thread.is_alive():
                    self._thread.start()

    def close(self) -> None:
        """End the process after the preview that it makes, or before if that takes long."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._thread.ident is None:
            return
        self._thread.join(_PATIENCE_S)
        process = self._process
        if process is not None:
            with self._changed:
                self._is_broken = True  # from now on, which is no fault
            process.kill()
            process.wait()
            self._thread.join()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                with suppress(OSError):  # what was not yet written
                    pipe.close()

    @property
    def _num_steps(self) -> int:
        return len(self._sigmas) - 1

    def _is_time(self, num_done: int) -> bool:
        if self._every != AUTO:
            return num_done - self._num_last >= int(self._every)
        now_s = self._clock()
        room_s = _SHARE * (now_s - self._began_s) * self._num_processors
        return self.cpu_s + self._next_s <= room_s and now_s - self._last_s >= _PAUSE_S

    def _work(self) -> None:
        """What the thread does: pass on what waits, one after the other, until all is closed."""
        try:
            while (request := self._next()) is not None:
                self._pass_on(*request)
        except (OSError, ValueError) as error:
            self._break("their process ended" if isinstance(error, BrokenPipeError) else str(error))

    def _next(self) -> tuple[int, Sequence[tuple[float, NDArray[Any]]]] | None:
        with self._changed:
            self._is_busy = self._waiting is not None
            while self._waiting is None and not self._is_closed:
                self._changed.wait()
            request, self._waiting = self._waiting, None
            return request

    def _pass_on(self, num_done: int, latents: Sequence[tuple[float, NDArray[Any]]]) -> None:
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        first = latents[0][1]
        sigmas = [sigma for sigma, _ in latents]
        moment = Moment(num_done, self._num_steps, sigmas, first.shape, first.dtype.name)
        process.stdin.write(moment.to_json().encode() + b"\n")
        for _, array in latents:
            process.stdin.write(array.tobytes())
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise OSError("their process ended")
        answer = Answer.from_json(line)
        self.cpu_s, self._next_s = answer.cpu_s, answer.last_cpu_s
        if answer.fault:
            self._break(answer.fault)
        else:
            self.num_made += 1
            show, self._show = self._show, lambda _path: None
            show(preview_link(self._subject.store, self._subject.videos[0]))

    def _start(self) -> subprocess.Popen[bytes]:
        process = self._process = subprocess.Popen(  # noqa: S603 (our own module, no shell)
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is not meant for it
        )
        assert process.stdin is not None
        process.stdin.write(self._subject.to_json().encode() + b"\n")
        return process

    def _break(self, reason: str) -> None:
        """Make no more previews of this denoise."""
        with self._changed:
            if not self._is_broken:
                self._warn(f"there are no more previews of it ({reason.rstrip('.')}). They change nothing else.")
            self._is_broken = True
