"""Muon's update is nearly semi-orthogonal, whatever is updated with it."""

import pytest
import torch
from torch import nn

from training.shapes.optim import MuonAdam, orthogonalize


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 8, 64), (2, 64, 8), (1, 16, 32)])
def test_singular_values_are_near_one(shape: tuple[int, int, int]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonalize(matrices))
    assert values.max() < 1.4
    assert values.median() > 0.6


def test_kernels_are_updated_as_matrices() -> None:
    torch.manual_seed(2)
    kernel, matrix = nn.Parameter(torch.randn(8, 4, 3, 3)), nn.Parameter(torch.randn(8, 36))
    matrix.data.copy_(kernel.data.flatten(1))
    optimizer = MuonAdam([kernel, matrix], [], muon_lr=0.1, adam_lr=0.1)
    kernel.grad = torch.randn_like(kernel)
    matrix.grad = kernel.grad.flatten(1)
    optimizer.step()
    torch.testing.assert_close(kernel.flatten(1), matrix)
