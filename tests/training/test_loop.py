"""A killed and resumed training equals one that was never killed."""

from pathlib import Path

import pytest
import torch
from torch import nn

from training.shapes.loop import Phase, load_checkpoint, run_phase
from training.shapes.optim import MovingAverage, MuonAdam

NUM_STEPS = 12


def tiny_phase(work: Path, *, lr: float = 0.05) -> Phase:
    return Phase("tiny", NUM_STEPS, 5, work, {"lr": lr})


def train(work: Path, stops: list[int | None]) -> dict[str, torch.Tensor]:
    """The weights after a run that is restarted from nothing but its checkpoint after each of `stops`."""
    phase = tiny_phase(work)
    for stop in stops:
        torch.manual_seed(stop or 0)  # global state differs between the runs and must not matter
        model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
        if not phase.checkpoint.exists():
            nn.init.constant_(model[0].weight, 0.1)
            nn.init.eye_(model[2].weight)
            nn.init.zeros_(model[0].bias)
            nn.init.zeros_(model[2].bias)
        optimizer = MuonAdam([model[0].weight, model[2].weight], [model[0].bias], muon_lr=0.05, adam_lr=0.05)
        average = MovingAverage(model, decay=0.9)

        def train_step(
            step: int, model: nn.Module = model, optimizer: MuonAdam = optimizer, average: MovingAverage = average
        ) -> dict[str, float]:
            optimizer.set_progress(step, NUM_STEPS, decay_from=0.5)
            inputs = torch.randn(6, 4, generator=phase.generator(step))
            loss = (model(inputs) - inputs[:, :2]).square().mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            average.update(model)
            return {"loss": loss.item()}

        run_phase(phase, {"model": model, "optimizer": optimizer, "average": average}, train_step, stop_after=stop)
    return average.shadow


def test_interrupted_training_equals_uninterrupted(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", [None])
    pieces = train(tmp_path / "pieces", [3, 4, 9, None])
    assert all(torch.equal(whole[name], pieces[name]) for name in whole)


def test_a_finished_phase_is_not_run_again(tmp_path: Path) -> None:
    first = train(tmp_path, [None])
    assert all(torch.equal(value, train(tmp_path, [None])[name]) for name, value in first.items())


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    train(tmp_path, [3])
    with pytest.raises(ValueError, match=r"tiny.pt: was made with .*'lr': 0.05.*, not with .*'lr': 0.1.* Delete it"):
        run_phase(tiny_phase(tmp_path, lr=0.1), {}, lambda _: {})


def test_what_was_never_trained_is_not_restored(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"tiny.pt: not there. Run `--only tiny` first."):
        load_checkpoint(tiny_phase(tmp_path), {})
