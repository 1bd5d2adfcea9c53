"""Weights and the products with them, as the written-out passes (`llama`) see them: in full, or with low-rank parts.

Low-rank parts (LoRA, Hu et al. 2021) are learned beside weights that stay as they are: x W^T becomes
x W^T + s (x A^T) B^T, with A (r, in) and B (out, r). No gradient of W is worked out, and the optimizer has a
thirtieth of the numbers to go over, which at small batches take longer than the products.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch


class Weight:
    """Parameters as the arithmetic sees them: stacked by rows, in its precision, with the gradient of the step."""

    def __init__(self, parts: dict[str, torch.nn.Parameter], dtype: torch.dtype) -> None:
        """`parts` are the model's own parameters by name: they stay what is saved and updated."""
        self.parts = parts
        self.value = torch.cat([part.detach().to(dtype) for part in parts.values()])
        learned = all(part.requires_grad for part in parts.values())
        self.gradient = torch.empty_like(self.value) if learned else None
        self.fresh = True

    def pull(self) -> None:
        """Take over the parameters' present values."""
        for part, (_, value, _) in zip(self.parts.values(), self.slices(), strict=True):
            value.copy_(part.detach())

    def slices(self) -> Iterator[tuple[str, torch.Tensor, torch.Tensor | None]]:
        """(name, value, gradient) of each parameter, as views."""
        begin = 0
        for name, part in self.parts.items():
            rows = slice(begin, begin + part.shape[0])
            yield name, self.value[rows], None if self.gradient is None else self.gradient[rows]
            begin += part.shape[0]

    def add_product(self, outer: torch.Tensor, inner: torch.Tensor) -> None:
        """gradient += outer^T inner, for outer (n, out) and inner (n, in)."""
        if self.gradient is None:
            return
        if self.fresh:
            torch.mm(outer.T, inner, out=self.gradient)
        else:
            self.gradient.addmm_(outer.T, inner)
        self.fresh = False

    def add(self, gradient: torch.Tensor) -> None:
        """gradient += gradient."""
        if self.gradient is None:
            return
        if self.fresh:
            self.gradient.copy_(gradient)
        else:
            self.gradient.add_(gradient)
        self.fresh = False


class _LowRank:
    """The low-rank parts beside a stack of matrices that meet the same input: one A and one B for each."""

    def __init__(self, down: Weight, ups: Sequence[Weight], scale: float) -> None:
        """`down` has the rows of every A, `ups` are the B (out, r), `scale` is s."""
        self.down, self.ups, self.scale = down, ups, scale
        self._inner = self._to_inner = torch.empty(0)

    def add_to(self, result: torch.Tensor, inputs: torch.Tensor) -> None:
        """result (n, out) += what the parts make of inputs (n, in)."""
        self._inner = (inputs @ self.down.value.T).mul_(self.scale)
        for up, rows, ranks in self._places():
            result[:, rows].addmm_(self._inner[:, ranks], up.value.T)

    def back(self, gradient: torch.Tensor, to_inputs: torch.Tensor) -> None:
        """Add what the inputs get of the gradient (n, out) of the last result; `learn` must follow."""
        self._to_inner = torch.cat([gradient[:, rows] @ up.value for up, rows, _ in self._places()], 1)
        self._to_inner.mul_(self.scale)
        to_inputs.addmm_(self._to_inner, self.down.value)

    def learn(self, gradient: torch.Tensor, inputs: torch.Tensor) -> None:
        """Add to the gradients, after `back` of the same gradient."""
        for up, rows, ranks in self._places():
            up.add_product(gradient[:, rows], self._inner[:, ranks])
        self.down.add_product(self._to_inner, inputs)
        self._inner = self._to_inner = torch.empty(0)

    def _places(self) -> Iterator[tuple[Weight, slice, slice]]:
        """Each B with its columns of the result and of what A gives."""
        out = rank = 0
        for up in self.ups:
            rows, ranks = up.value.shape
            yield up, slice(out, out + rows), slice(rank, rank + ranks)
            out, rank = out + rows, rank + ranks


class Product:
    """x W^T for a stack of matrices, with or without low-rank parts."""

    def __init__(self, matrix: Weight, low_rank: _LowRank | None) -> None:
        """Use `product_of`."""
        self.matrix, self.low_rank = matrix, low_rank

    @property
    def learns(self) -> bool:
        """Whether anything of it is learned."""
        return self.matrix.gradient is not None or self.low_rank is not None

    @property
    def ranks(self) -> int:
        """Columns of what its low-rank parts keep from a forward pass for the backward one."""
        return 0 if self.low_rank is None else len(self.low_rank.down.value)

    def weights(self) -> list[Weight]:
        """Everything it is made of."""
        return [self.matrix] if self.low_rank is None else [self.matrix, self.low_rank.down, *self.low_rank.ups]

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """inputs (n, in) -> (n, out)."""
        result = inputs @ self.matrix.value.T
        if self.low_rank is not None:
            self.low_rank.add_to(result, inputs)
        return result

    def back(self, gradient: torch.Tensor) -> torch.Tensor:
        """The gradient of the inputs from that of the result; `learn` must follow."""
        to_inputs = gradient @ self.matrix.value
        if self.low_rank is not None:
            self.low_rank.back(gradient, to_inputs)
        return to_inputs

    def learn(self, gradient: torch.Tensor, inputs: torch.Tensor) -> None:
        """Add to the gradients of what is learned."""
        self.matrix.add_product(gradient, inputs)
        if self.low_rank is not None:
            self.low_rank.learn(gradient, inputs)


def product_of(modules: Sequence[Any], weight: Any) -> Product:
    """The product with linear modules that meet the same input; `weight` makes a Weight of parameters.

    Raises AttributeError where a module is something else, or has low-rank parts of another kind.
    """
    matrix = weight(*(module.weight for module in modules))
    if not any(hasattr(module, "lora_A") for module in modules):
        return Product(matrix, None)
    scales = {module.scaling["default"] for module in modules}
    plain = all(list(module.lora_A) == ["default"] and not module.lora_bias["default"] for module in modules)
    dropped = any(getattr(module.lora_dropout["default"], "p", 0.0) for module in modules)
    if len(scales) > 1 or not plain or dropped or any(module.use_dora["default"] for module in modules):
        raise AttributeError("another kind of low-rank part")
    down = weight(*(module.lora_A["default"].weight for module in modules))
    return Product(
        matrix, _LowRank(down, [weight(module.lora_B["default"].weight) for module in modules], scales.pop())
    )
