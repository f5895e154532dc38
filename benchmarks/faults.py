"""Kills the real `doit` at random moments and counts what it leaves, with the harness of the tests.

    python -m benchmarks.faults                          # 300 kills, written to benchmarks/results/faults.md
    python -m benchmarks.faults --kills 20 --seed 7      # some, printed only

A project with two videos, one of them from a file of latents, is built by `doit -n 1` and `doit -n 4`; each run begins
at a random stage, and is killed at a random moment: `doit` by SIGKILL, SIGTERM or SIGHUP, one of its stages' processes,
or all at once. The next run goes on from what is left. Every attempt is written to --log as it ends; attempts that are
in it already are not made again, so that a measurement can be interrupted.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.project import PROJECT
from tests.faults.killing import JOBS, VICTIMS, Attempt, Killer, Outcome, measure, plan
from tests.faults.scene import Scene

RESULTS = PROJECT / "benchmarks/results/faults.md"
NUM_KILLS, SEED = 300, 20
_MAX_SPARE = 3  # attempts per kill that is asked for: some come too late


def main() -> None:
    """Kill, count and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=NUM_KILLS, help="how many; all, and into the file")
    parser.add_argument("--seed", type=int, default=SEED, help="what the moments follow from")
    parser.add_argument("--log", type=Path, help="a file for one line of JSON per attempt")
    parser.add_argument("--minutes", type=float, default=10**6, help="stop after so many, wherever it is then")
    parser.add_argument("--write", action="store_true", help="into the file, however many there were")
    options = parser.parse_args()
    deadline = time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory() as folder:
        log = options.log or Path(folder) / "log"
        (scene := Path(folder) / "scene").mkdir()
        outcomes, differing = kill(scene, options.kills, options.seed, log, deadline)
    text = describe(outcomes, options.seed, differing)
    print(text)
    if options.write or options.kills == NUM_KILLS:
        RESULTS.write_text(text, encoding="utf-8")


def kill(folder: Path, num_kills: int, seed: int, log: Path, deadline: float) -> tuple[list[Outcome], Sequence[str]]:
    """The outcomes of so many kills, with those of the log, and what an undisturbed run made otherwise afterwards."""
    scene = Scene.create(folder)
    reference, durations_s = measure(scene)
    killer = Killer(scene, reference, durations_s)
    made = read_log(log)
    outcomes = [outcome for outcome in made if outcome.was_killed]
    for attempt in plan(seed, num_kills * _MAX_SPARE)[len(made) :]:
        if len(outcomes) == num_kills or time.monotonic() > deadline:
            break
        outcome = killer.run(attempt)
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(outcome)) + "\n")
        if outcome.was_killed:
            outcomes.append(outcome)
    return outcomes, killer.finish()[1]


def read_log(log: Path) -> list[Outcome]:
    """The outcomes that a log holds."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    outcomes = []
    for fields in map(json.loads, lines):
        attempt = fields["attempt"]
        tuples = {name: tuple(attempt[name]) for name in ("jobs", "next_command")}
        outcomes.append(Outcome(**(fields | {"attempt": Attempt(**(attempt | tuples))})))
    return outcomes


def describe(outcomes: Sequence[Outcome], seed: int, differing: Sequence[str]) -> str:
    """The page."""
    lines = [
        "# Kills",
        "",
        f"`python -m benchmarks.faults --kills {len(outcomes)} --seed {seed}`, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[1]:.0f}, Python {platform.python_version()}, {platform.system()}. Counted are, of all "
        "kills of a row: artifacts whose bytes are not those of an undisturbed build; finished ones that were made "
        "again or are gone; kills after which a process was alive a second after the signal, and how long one "
        "lived at most; "
        "and kills after which drafts, files under temporary names or held locks were left when the next command "
        "(`doit list`, `doit list --all`, `doit info`, `doit help`) had ended.",
        "",
        "| killed | jobs | kills | wrong | made again | orphans | longest, s | drafts | temporary | locks |",
        "|---" * 10 + "|",
    ]
    for victim in VICTIMS:
        for jobs in JOBS:
            rows = [each for each in outcomes if each.attempt.victim == victim and each.attempt.jobs == jobs]
            lines.append(_row(victim, " ".join(jobs), rows))
    lines.append(_row("all", "", outcomes))
    ending = "made every artifact as it was" if not differing else f"differed: {'; '.join(differing)}"
    lines += ["", f"An undisturbed run afterwards {ending}.", ""]
    return "\n".join(lines)


def _row(name: str, jobs: str, outcomes: Sequence[Outcome]) -> str:
    def count(is_counted: Callable[[Outcome], bool]) -> int:
        return sum(map(is_counted, outcomes))

    longest = max((each.alone_s if each.alone_s is not None else float("inf") for each in outcomes), default=0.0)
    cells = [
        name,
        jobs,
        len(outcomes),
        sum(len(each.wrong) for each in outcomes),
        sum(len(each.made_again) for each in outcomes),
        count(lambda each: each.orphans > 0),
        f"{longest:.1f}",
        count(lambda each: bool(each.drafts)),
        count(lambda each: bool(each.temporary)),
        count(lambda each: bool(each.locks)),
    ]
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
