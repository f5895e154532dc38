"""Two processes that work together come to the same weights as one, to the bit."""

import multiprocessing
from pathlib import Path

import torch
from torch import nn

from training.shapes.parallel import backward_shards, clear_gradients, own_shards, process_group


def gradients_of_one_step(rank: int, folder: str, num_processes: int) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
    parameters = list(model.parameters())

    def loss_of(shard: int) -> tuple[torch.Tensor, dict[str, float]]:
        inputs = torch.randn(32, 8, generator=torch.Generator().manual_seed(shard))
        loss = model(inputs).square().mean()
        return loss, {"loss": loss.item(), "shard": shard}

    with process_group(Path(folder) / "rendezvous", rank=rank, num_processes=num_processes):
        clear_gradients(parameters)
        figures = backward_shards(parameters, loss_of)
        assert figures["shard"] == sum(own_shards()) / len(own_shards())
    torch.save([parameter.grad for parameter in parameters], Path(folder) / f"{num_processes}-{rank}.pt")


def test_gradients_of_two_processes_are_those_of_one(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=gradients_of_one_step, args=(rank, str(tmp_path), 2)) for rank in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    threads = torch.get_num_threads()
    gradients_of_one_step(0, str(tmp_path), 1)
    torch.set_num_threads(threads)
    one, first, second = (torch.load(tmp_path / name) for name in ("1-0.pt", "2-0.pt", "2-1.pt"))
    for alone, gradient_0, gradient_1 in zip(one, first, second, strict=True):
        assert alone.abs().max() > 0
        assert torch.equal(alone, gradient_0)
        assert torch.equal(alone, gradient_1)
