"""Kills the real `doit` and its processes at random moments, which follow from a seed, and looks at what is left."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.faults.scene import NUM_ARTIFACTS, STAGES, Found, Scene

VICTIMS = ("parent", "parent by SIGTERM", "parent by SIGHUP", "child", "all at once")
_SIGNALS = {"parent by SIGTERM": signal.SIGTERM, "parent by SIGHUP": signal.SIGHUP}
JOBS = (("-n", "1"), ("-n", "4"))
NEXT_COMMANDS = (("list",), ("list", "--all"), ("info", "export"), ("help", "export"))
# How often a run begins at each stage; those before it are there. The first ones take long.
_BEGIN_WEIGHTS = {"encode": 2, "denoise": 3, "decode": 4, "export": 6}
_GRACE_S = 1.0  # in which `doit` and its children end
_PATIENCE_S = 120.0  # for whatever should end by itself


@dataclass(frozen=True)
class Attempt:
    """One run that is killed.

    Attributes:
        number: of the attempt, from 0.
        jobs: arguments of `doit`.
        victim: one of VICTIMS.
        begin: the first stage whose artifacts are not there.
        moment: when, as a share of the time that such a run takes, 0 to 1.
        next_command: what is run afterwards.
    """

    number: int
    jobs: tuple[str, ...]
    victim: str
    begin: str
    moment: float
    next_command: tuple[str, ...]


@dataclass
class Outcome:
    """What was found after one run that was killed.

    Attributes:
        attempt: which one.
        was_killed: whether it was still running; otherwise nothing else is of interest.
        orphans: how many processes, `doit` among them, were alive a second after the signal; where a child was killed,
            after the end of `doit`, which only then begins to end the others.
        alone_s: seconds from then until none was; None when some never ended by themselves.
        wrong: artifacts whose payload is not that of an undisturbed run, or whose files do not belong together.
        made_again: artifacts that were finished before and are others now, or gone.
        drafts, temporary, locks: what was left after the next command.
        next_code: its exit code.
        printed: by the run that was killed.
    """

    attempt: Attempt
    was_killed: bool = False
    orphans: int = 0
    alone_s: float | None = 0.0
    wrong: list[str] = field(default_factory=list)
    made_again: list[str] = field(default_factory=list)
    drafts: tuple[str, ...] = ()
    temporary: tuple[str, ...] = ()
    locks: list[str] = field(default_factory=list)
    next_code: int = 0
    printed: str = ""


def plan(seed: int, number: int, victims: Sequence[str] = VICTIMS, begins: Sequence[str] = STAGES) -> list[Attempt]:
    """Attempts that follow from a seed alone; victims and numbers of jobs take turns."""
    draw = random.Random(seed)  # noqa: S311 (to try out many moments)
    weights = [_BEGIN_WEIGHTS[begin] for begin in begins]
    return [
        Attempt(
            number=index,
            jobs=JOBS[index % len(JOBS)],
            victim=victims[index // len(JOBS) % len(victims)],
            begin=draw.choices(begins, weights)[0],
            moment=draw.random(),
            next_command=draw.choice(NEXT_COMMANDS),
        )
        for index in range(number)
    ]


class Killer:
    """Kills one run after another in one scene, whose store goes on from what the run before has left."""

    def __init__(self, scene: Scene, reference: Found, durations_s: dict[str, float]) -> None:
        """Begin with a store that is as an undisturbed run leaves it.

        Args:
            scene: to work in.
            reference: what an undisturbed run makes.
            durations_s: of an undisturbed run, by the stage that it begins with; they follow what is seen.
        """
        self._scene = scene
        self._reference = reference
        self._durations_s = durations_s
        self._finished = dict(scene.look().identities)

    def run(self, attempt: Attempt) -> Outcome:
        """Kill a run and look."""
        self._prepare(attempt.begin)
        outcome = Outcome(attempt)
        process = self._scene.start(*attempt.jobs)
        try:
            self._kill(process, outcome)
        finally:
            self._scene.end_all()
            assert process.stdout is not None
            outcome.printed = process.stdout.read().decode(errors="replace")
            process.stdout.close()
        self._check(outcome)
        outcome.next_code, _ = self._scene.run(*attempt.next_command)
        found = self._check(outcome)
        outcome.drafts, outcome.temporary, outcome.locks = found.drafts, found.temporary, self._scene.held_locks()
        return outcome

    def finish(self) -> tuple[int, list[str]]:
        """Let a run end undisturbed; its exit code, and what differs from the reference."""
        code, printed = self._scene.run()
        found = self._scene.look()
        differing = [name for name, digest in self._reference.digests.items() if found.digests.get(name) != digest]
        return code, [*differing, *found.wrong, *([printed] if code else [])]

    def _prepare(self, begin: str) -> None:
        """Where the run before was finished, take away what the stages from `begin` on have made."""
        if len(self._scene.look().digests) < len(self._reference.digests):
            return
        for stage in STAGES[STAGES.index(begin) :]:
            shutil.rmtree(self._scene.store / stage, ignore_errors=True)
        self._finished = dict(self._scene.look().identities)

    def _kill(self, process: "subprocess.Popen[bytes]", outcome: Outcome) -> None:
        attempt = outcome.attempt
        start = time.monotonic()
        try:
            process.wait(attempt.moment * self._durations_s[attempt.begin])
        except subprocess.TimeoutExpired:
            outcome.was_killed = self._strike(process, attempt)
        began = time.monotonic()
        if not outcome.was_killed or attempt.victim == "child":
            process.wait(_PATIENCE_S)
            began = time.monotonic()
        if not outcome.was_killed:
            self._durations_s[attempt.begin] = began - start
        if self._scene.wait_until_alone(_grace_s()) is None:
            outcome.orphans = len(self._scene.process_ids())
            is_alone = self._scene.wait_until_alone(_PATIENCE_S) is not None
            outcome.alone_s = time.monotonic() - began if is_alone else None
        else:
            outcome.alone_s = time.monotonic() - began
        process.wait(_PATIENCE_S)

    def _strike(self, process: "subprocess.Popen[bytes]", attempt: Attempt) -> bool:
        """Kill; whether the victim was there."""
        others = [each for each in self._scene.process_ids() if each != process.pid]
        if attempt.victim == "child":
            if not others:
                process.kill()  # nobody else is there yet
                return True
            victim = others[int(attempt.moment * 1000) % len(others)]
            return _signal(victim, signal.SIGKILL)
        if attempt.victim == "all at once":
            hits = [_signal(each, signal.SIGKILL) for each in (process.pid, *others)]
            return any(hits)
        return _signal(process.pid, _SIGNALS.get(attempt.victim, signal.SIGKILL))

    def _check(self, outcome: Outcome) -> Found:
        """Compare what is published with what is right, and with what was there before."""
        found = self._scene.look()
        faults = [*found.wrong]
        faults += [name for name, digest in found.digests.items() if self._reference.digests.get(name) != digest]
        outcome.wrong += [fault for fault in faults if fault not in outcome.wrong]
        again = [name for name, identity in self._finished.items() if found.identities.get(name) != identity]
        outcome.made_again += [name for name in again if name not in outcome.made_again]
        self._finished.update(found.identities)
        return found


def measure(scene: Scene) -> tuple[Found, dict[str, float]]:
    """Build undisturbed, once and then again from each stage on: what is made, and seconds by the first stage."""
    durations_s = {}
    for begin in STAGES:
        for stage in STAGES[STAGES.index(begin) :]:
            shutil.rmtree(scene.store / stage, ignore_errors=True)
        start = time.monotonic()
        code, printed = scene.run()
        durations_s[begin] = time.monotonic() - start
        assert code == 0, printed
    found = scene.look()
    assert len(found.digests) == NUM_ARTIFACTS
    assert not found.wrong
    return found, durations_s


def _grace_s() -> float:
    """As long as a second is to processes of which each has a core; with more of them each gets its share."""
    return _GRACE_S * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def _signal(process_id: int, number: int) -> bool:
    try:
        os.kill(process_id, number)
    except ProcessLookupError:
        return False
    return True
