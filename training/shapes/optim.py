"""The optimiser: Muon for matrices and convolution kernels, Adam for the rest; schedule and moving average.

torch.optim.Muon takes 2-D parameters only; here a kernel [out, in, ...] is treated as the matrix [out, in * ...].
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

NEWTON_SCHULZ_STEPS = 5
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # Jordan et al. 2024: pushes singular values into about 0.7..1.2
MATRIX_SCALE = 0.2  # update deviation relative to Adam's, Liu et al. 2025, arXiv:2502.16982
MUON_MOMENTUM = 0.95
ADAM_BETAS = (0.9, 0.98)
ADAM_EPSILON = 1e-8
WARMUP_STEPS = 40


def orthogonalize(matrices: torch.Tensor) -> torch.Tensor:
    """The nearest semi-orthogonal matrices, roughly: [n, rows, columns] -> same shape, float32.

    Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks".
    """
    a, b, c = NEWTON_SCHULZ
    is_tall = matrices.shape[1] > matrices.shape[2]
    x: torch.Tensor = (matrices / (matrices.flatten(1).norm(dim=1)[:, None, None] + 1e-7)).bfloat16()
    x = x.mT.contiguous() if is_tall else x
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT.float() if is_tall else x.float()


class MuonAdam(torch.optim.Optimizer):
    """Muon with Nesterov momentum on matrices, Adam on `adam_params`; one learning rate each, no weight decay."""

    def __init__(
        self,
        matrices: Iterable[nn.Parameter],
        adam_params: Iterable[nn.Parameter],
        *,
        muon_lr: float,
        adam_lr: float,
    ) -> None:
        groups: list[dict[str, Any]] = [
            {"params": list(matrices), "lr": muon_lr, "peak_lr": muon_lr, "is_muon": True},
            {"params": list(adam_params), "lr": adam_lr, "peak_lr": adam_lr, "is_muon": False},
        ]
        super().__init__([group for group in groups if group["params"]], {})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if group["is_muon"]:
                by_shape: dict[torch.Size, list[nn.Parameter]] = {}
                for parameter in parameters:
                    by_shape.setdefault(parameter.flatten(1).shape, []).append(parameter)
                for same in by_shape.values():
                    self._muon(same, group["lr"])
            else:
                for parameter in parameters:
                    self._adam(parameter, parameter.grad, group["lr"])

    def _muon(self, parameters: list[nn.Parameter], lr: float) -> None:
        """Update matrices of one shape together: small ones by themselves take half as long again."""
        matrices = []
        for parameter in parameters:
            gradient, state = parameter.grad, self.state[parameter]
            assert gradient is not None
            momentum = state.setdefault("momentum", torch.zeros_like(parameter))
            momentum.lerp_(gradient, 1 - MUON_MOMENTUM)
            matrices.append(torch.lerp(gradient, momentum, MUON_MOMENTUM).flatten(1))
        scale = MATRIX_SCALE * max(matrices[0].shape) ** 0.5
        for parameter, update in zip(parameters, orthogonalize(torch.stack(matrices)), strict=True):
            parameter.add_(update.view_as(parameter), alpha=-lr * scale)

    def _adam(self, parameter: nn.Parameter, gradient: torch.Tensor, lr: float) -> None:
        state = self.state[parameter]
        if not state:
            state.update(step=0, mean=torch.zeros_like(parameter), square=torch.zeros_like(parameter))
        state["step"] += 1
        beta_1, beta_2 = ADAM_BETAS
        state["mean"].lerp_(gradient, 1 - beta_1)
        state["square"].lerp_(gradient.square(), 1 - beta_2)
        mean = state["mean"] / (1 - beta_1 ** state["step"])
        deviation = (state["square"] / (1 - beta_2 ** state["step"])).sqrt() + ADAM_EPSILON
        parameter.addcdiv_(mean, deviation, value=-lr)

    def set_progress(self, step: int, num_steps: int, *, decay_from: float) -> None:
        """Set the learning rates of `step`: a short warm-up, then the peak, then linearly to 0.

        Args:
            decay_from: 0..1, the share of `num_steps` at which the decay begins.
        """
        warmup = min(1.0, (step + 1) / WARMUP_STEPS)
        decay = min(1.0, (1 - step / num_steps) / (1 - decay_from))
        for group in self.param_groups:
            group["lr"] = group["peak_lr"] * warmup * decay


class MovingAverage:
    """Exponential moving average of the parameters that a module trains, float32."""

    def __init__(self, module: nn.Module, *, decay: float) -> None:
        self.decay = decay
        self.shadow = {name: value.detach().clone() for name, value in module.named_parameters() if value.requires_grad}
        self.num_updates = 0

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move towards the module's present weights; faster in the first steps."""
        self.num_updates += 1
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        for name, value in module.named_parameters():
            if name in self.shadow:
                self.shadow[name].lerp_(value, 1 - decay)

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` takes."""
        return {"shadow": self.shadow, "num_updates": self.num_updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.shadow, self.num_updates = state["shadow"], state["num_updates"]
