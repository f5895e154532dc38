"""A training loop that can be killed at any time and goes on where its last checkpoint was.

Every random draw of a step comes from generators seeded with (the phase's seed, step, shard), so model, optimiser and
the step's number are the whole state, and an interrupted run equals an uninterrupted one.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from tqdm import tqdm

from training.shapes.parallel import NUM_SHARDS, is_first, wait_for_others

log = logging.getLogger(__name__)

LOG_EVERY = 50  # steps


class Stateful(Protocol):
    """Model, optimiser or moving average: whatever goes into a checkpoint."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any], /) -> object: ...


@dataclass(frozen=True)
class Phase:
    """One phase of training.

    Attributes:
        settings: what else decides how it goes, such as learning rates; a checkpoint is for these alone.
        work: folder of its checkpoint.
    """

    name: str
    num_steps: int
    seed: int
    work: Path
    settings: Mapping[str, float]
    save_every_s: float = 45.0

    @property
    def recipe(self) -> dict[str, float]:
        """All that a checkpoint has to agree with."""
        return {"num_steps": self.num_steps, "seed": self.seed, **self.settings}

    @property
    def checkpoint(self) -> Path:
        """The file that holds the phase's state."""
        return self.work / f"{self.name}.pt"

    def rng(self, step: int, shard: int = 0) -> np.random.Generator:
        """The numpy generator of one step's shard."""
        return np.random.default_rng([self.seed, step, shard])

    def common_rng(self, step: int) -> np.random.Generator:
        """The numpy generator of what all shards of one step share."""
        return self.rng(step, NUM_SHARDS)

    def generator(self, step: int, shard: int = 0) -> torch.Generator:
        """The torch generator of one step's shard."""
        return torch.Generator().manual_seed(int(self.rng(step, shard).integers(2**62)))


def save_checkpoint(phase: Phase, parts: Mapping[str, Stateful], step: int) -> None:
    """Write the state after `step` steps; a reader finds the old file or the new one, never half."""
    phase.work.mkdir(parents=True, exist_ok=True)
    temporary = phase.checkpoint.with_suffix(".tmp")
    torch.save(
        {"step": step, "recipe": phase.recipe, **{name: part.state_dict() for name, part in parts.items()}}, temporary
    )
    temporary.replace(phase.checkpoint)


def load_checkpoint(phase: Phase, parts: Mapping[str, Stateful]) -> int:
    """Restore the parts from the phase's checkpoint; the number of steps done.

    Raises:
        FileNotFoundError: the phase has not been run.
        ValueError: it was run with other settings.
    """
    if not phase.checkpoint.exists():
        raise FileNotFoundError(f"{phase.checkpoint}: not there. Run `--only {phase.name}` first.")
    saved = torch.load(phase.checkpoint, weights_only=True)
    if saved["recipe"] != phase.recipe:
        raise ValueError(
            f"{phase.checkpoint}: was made with {saved['recipe']}, not with {phase.recipe}. Delete it to train anew."
        )
    for name, part in parts.items():
        part.load_state_dict(saved[name])
    return int(saved["step"])


def run_phase(
    phase: Phase,
    parts: Mapping[str, Stateful],
    train_step: Callable[[int], dict[str, float]],
    *,
    stop_after: int | None = None,
) -> None:
    """Run the phase's remaining steps.

    Args:
        parts: everything that a step changes.
        train_step: takes the number of the step, changes the parts, returns figures for the log.
        stop_after: stop before this step instead of at the end, as a kill right after a checkpoint would.
    """
    start = load_checkpoint(phase, parts) if phase.checkpoint.exists() else 0
    wait_for_others()  # until all have read it
    end = phase.num_steps if stop_after is None else min(stop_after, phase.num_steps)
    saved_at, window = time.monotonic(), []
    steps, is_silent = range(start, end), not is_first()
    for step in (bar := tqdm(steps, initial=start, total=phase.num_steps, desc=phase.name, disable=is_silent)):
        window.append(train_step(step))
        if len(window) == LOG_EVERY or step + 1 == phase.num_steps:
            figures = {name: float(np.mean([row[name] for row in window])) for name in window[0]}
            text = "  ".join(f"{name} {value:.4f}" for name, value in figures.items())
            log.info("%s step %d  %s", phase.name, step + 1, text)
            bar.set_postfix_str(text, refresh=False)
            window = []
        if is_first() and time.monotonic() - saved_at > phase.save_every_s:
            save_checkpoint(phase, parts, step + 1)
            saved_at = time.monotonic()
    if is_first() and end > start:
        save_checkpoint(phase, parts, end)
    wait_for_others()  # until it is written
