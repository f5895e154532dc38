"""Training on two cores: a batch is two shards, in a process each or one after the other.

Each shard has random draws of its own. The gradient is the mean of the shards'. A sum of two numbers does not depend on
their order, so the weights are the same to the bit with one process and with two. Two processes of one thread each are
faster than two threads: they wait for each other once per step instead of at every layer.
"""

import datetime
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import distributed, nn

NUM_SHARDS = 2
TIMEOUT = datetime.timedelta(hours=2)  # the first process evaluates while the second waits


@contextmanager
def process_group(rendezvous: Path, *, rank: int, num_processes: int) -> Iterator[None]:
    """Meanwhile, this process works with the others; `rendezvous` is a file that is not there yet."""
    if num_processes == 1:
        yield
        return
    store = distributed.FileStore(str(rendezvous), num_processes)  # type: ignore[attr-defined]
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=num_processes, timeout=TIMEOUT)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def is_first() -> bool:
    """Whether this is the process that logs and writes."""
    return not distributed.is_initialized() or distributed.get_rank() == 0


def wait_for_others() -> None:
    """Return when every process is here."""
    if distributed.is_initialized():
        distributed.barrier()


def own_shards() -> tuple[int, ...]:
    """The shards that this process works on."""
    return (distributed.get_rank(),) if distributed.is_initialized() else tuple(range(NUM_SHARDS))


def clear_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Set every gradient to zeros, also where there was none: `backward_shards` sums all of them."""
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        else:
            parameter.grad.zero_()


def backward_shards(
    parameters: list[nn.Parameter], loss_of: Callable[[int], tuple[torch.Tensor, dict[str, float]]]
) -> dict[str, float]:
    """Leave the gradient of the shards' mean loss in `parameters`, whose gradients are zeros before.

    Args:
        loss_of: takes a shard's number; the loss and figures for the log.

    Returns:
        The mean figures of this process's shards.
    """
    rows = []
    for shard in own_shards():
        loss, figures = loss_of(shard)
        (loss / NUM_SHARDS).backward()
        rows.append(figures)
    if distributed.is_initialized():
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        for gradient, summed in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(summed.view_as(gradient))
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
