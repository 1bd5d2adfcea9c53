"""AdamW (Loshchilov and Hutter 2019) over float32 weights whose gradients and working copies may be bfloat16.

Weights are updated in pieces that stay in the processor's cache: a piece of gradient is widened into an array that is
used again for each, the update done by torch's own kernel, which also scales the gradient, and the new weights narrowed
into the copy the next step computes with, in one visit each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch.optim.adamw import adamw

from pasquin.train.passes import PLAIN, Passes

BETAS: Final = (0.9, 0.98)
WEIGHT_DECAY: Final = 0.01
EPSILON: Final = 1e-8
LARGEST_NORM: Final = 1.0
"""Gradients are scaled down to this norm when theirs, all together, is larger."""
_PIECE: Final = 1 << 18
_SMALL: Final = 1 << 17
"""Numbers of a weight up to which it is updated together with others."""

Gradients = Mapping[str, tuple[torch.Tensor, torch.Tensor | None]]
"""For each weight its gradient and, where there is one, the copy of it that follows it."""


class AdamW:
    """The optimizer: two moments a weight, in float32."""

    def __init__(self, weights: Mapping[str, torch.nn.Parameter], passes: Passes = PLAIN) -> None:
        """Moments of zero for `weights`, which are updated in place by what `passes` has for it."""
        self.weights, self.passes = weights, passes
        self.first = {name: torch.zeros_like(weight, memory_format=torch.contiguous_format, requires_grad=False)
                      for name, weight in weights.items()}  # fmt: skip
        self.second = {name: torch.zeros_like(moment) for name, moment in self.first.items()}
        self.steps = torch.tensor(0.0)

    def state_dict(self) -> dict[str, Any]:
        """Everything `load_state_dict` needs."""
        return {"first": self.first, "second": self.second, "steps": self.steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state (its tensors are used, not copied)."""
        self.first, self.second, self.steps = state["first"], state["second"], state["steps"]

    @torch.no_grad()
    def step(self, gradients: Gradients, rate: float) -> float:
        """One update at the learning rate `rate`; returns the norm of the gradients before they were scaled down.

        Nothing changes when the norm is not a finite number.
        """
        # In the gradients' own precision: a norm to one part in 256 is enough to scale by, and needs no wider copy.
        norm = float(torch.nn.utils.get_total_norm([gradient for gradient, _ in gradients.values()], foreach=True))
        if not norm < float("inf"):
            return norm
        divisor, after = max(1.0, norm / LARGEST_NORM), float(self.steps) + 1
        numbers = torch.tensor([divisor, BETAS[0], 1 - BETAS[0], BETAS[1], 1 - BETAS[1], 1 - rate * WEIGHT_DECAY,
                                rate / (1 - BETAS[0] ** after), (1 - BETAS[1] ** after) ** 0.5, EPSILON])  # fmt: skip
        device = next(iter(self.first.values())).device
        scale, wide = torch.tensor(divisor, device=device), torch.empty(_PIECE, device=device)
        small = [name for name, (gradient, _) in gradients.items() if gradient.numel() <= _SMALL]
        self._update_together(small, gradients, rate, scale)
        for name in gradients.keys() - set(small):
            gradient, copy = gradients[name]
            weight = self.weights[name].detach().view(-1)
            moments = self.first[name].view(-1), self.second[name].view(-1)
            if self.passes.adamw is not None and copy is not None:
                self.passes.adamw(weight, copy.view(-1), gradient.view(-1), *moments, numbers)
            else:
                self._update(weight, copy, gradient.reshape(-1), *moments, rate, scale, wide)
        self.steps = self.steps + 1
        return norm

    def _update_together(self, names: list[str], gradients: Gradients, rate: float, scale: torch.Tensor) -> None:
        """An update of small weights, all in one: calling for each takes longer than doing it."""
        if not names:
            return
        weights = [self.weights[name].detach() for name in names]
        wide = [gradients[name][0].float().view_as(weight) for name, weight in zip(names, weights, strict=True)]
        steps = list(self.steps.to(scale.device).expand(len(names)).clone().unbind())
        adamw(
            weights, wide, [self.first[name] for name in names], [self.second[name] for name in names], [], steps,
            fused=True, grad_scale=scale, amsgrad=False, beta1=BETAS[0], beta2=BETAS[1], lr=rate,
            weight_decay=WEIGHT_DECAY, eps=EPSILON, maximize=False,
        )  # fmt: skip
        for name, weight in zip(names, weights, strict=True):
            copy = gradients[name][1]
            if copy is not None:
                copy.copy_(weight)

    def _update(
        self,
        weight: torch.Tensor,
        copy: torch.Tensor | None,
        gradient: torch.Tensor,
        first: torch.Tensor,
        second: torch.Tensor,
        rate: float,
        scale: torch.Tensor,
        wide: torch.Tensor,
    ) -> None:
        """An update by torch's own kernel, piece by piece, of a gradient divided by `scale` and widened into `wide`."""
        for begin in range(0, len(weight), _PIECE):
            piece = slice(begin, begin + _PIECE)
            part = gradient[piece]
            adamw(
                [weight[piece]], [wide[: len(part)].copy_(part)], [first[piece]], [second[piece]], [],
                [self.steps.to(wide.device, copy=True)], fused=True, grad_scale=scale, amsgrad=False, beta1=BETAS[0],
                beta2=BETAS[1], lr=rate, weight_decay=WEIGHT_DECAY, eps=EPSILON, maximize=False,
            )  # fmt: skip
            if copy is not None:
                copy.view(-1)[piece].copy_(weight[piece])
