"""The passes over memory between the matrix products of a step, each one function.

On a processor whose products are quick these passes are half of a step: every operation reads and writes rows that no
longer fit the caches. `Passes.compiled` has torch's compiler (Inductor) make one loop of each function, which takes
half a minute once on a machine, is kept in the cache folder, and wants a C++ compiler. `PLAIN` is the same functions as
they stand here. What is compiled rounds less often in between, so the two differ in the last bits of bfloat16.
"""

from __future__ import annotations

import logging
import os
import shutil
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import platformdirs
import torch
from torch.nn import functional

_ALIKE: Final = 0.999
"""Cosine similarity to the plain functions from which a compiled one is trusted."""
_TRIAL: Final = 30
"""Tokens of the batch that is compiled for; other sizes run the same code."""
Tensors = tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class Passes:
    """The functions of this module of the same names, or what a compiler made of them."""

    norm: Callable[..., Tensors]
    norm_back: Callable[..., Tensors]
    swiglu: Callable[..., torch.Tensor]
    swiglu_back: Callable[..., Tensors]
    adamw: Callable[..., None] | None = None
    """None: torch's own kernel does it."""

    @classmethod
    def compiled(cls, width: int, inner: int, dtype: torch.dtype) -> Passes:
        """Compiled for a model that is `width` wide and `inner` inside, which computes in `dtype`.

        Raises CannotCompile when there is no compiler, or what comes of it computes something else.
        """
        if not has_compiler():
            raise CannotCompile("there is no C++ compiler")
        if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
            raise CannotCompile("there are no headers of Python (python3-dev)")
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(_folder())  # its own is in /tmp, and gone after a restart
        try:
            _folder().mkdir(parents=True, exist_ok=True)
            with _silent():
                made = _compiled(width, inner, dtype)
            _mark(width, inner, dtype).touch()
            return made
        except CannotCompile:
            raise
        except Exception as exc:  # whatever a compiler can stumble over
            lines = str(exc).strip().splitlines() or [""]
            raise CannotCompile(f"{type(exc).__name__}: {lines[0][:200]}") from exc


class CannotCompile(Exception):  # noqa: N818 - it is no failure: the plain functions do as well
    """Why the passes run as they are."""


def has_compiler() -> bool:
    """Whether there is a C++ compiler, as Inductor looks for one."""
    return any(shutil.which(name) for name in (os.environ.get("CXX"), "g++", "clang++", "c++") if name)


def is_there(width: int, inner: int, dtype: torch.dtype) -> bool:
    """Whether an earlier run on this machine compiled the same, so that it takes seconds now."""
    return _mark(width, inner, dtype).exists()


def _folder() -> Path:
    return Path(platformdirs.user_cache_dir("pasquin")) / "compiled" / torch.__version__


def _mark(width: int, inner: int, dtype: torch.dtype) -> Path:
    return _folder() / f"{width}-{inner}-{str(dtype).removeprefix('torch.')}"


@contextmanager
def _silent() -> Iterator[None]:
    """What goes wrong is said once, in a sentence, and not by torch's logs."""
    logger = logging.getLogger("torch")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


def norm(state: torch.Tensor, update: torch.Tensor | None, weight: torch.Tensor, eps: float) -> Tensors:
    """Add `update` to `state` (n, d), in place, then normalise: (weighted rows, rows at length one, scale (n, 1)).

    `state` is float32; the results are in the precision of `weight`.
    """
    if update is not None:
        state += update
    scale = torch.linalg.vector_norm(state, dim=-1, keepdim=True)
    scale = scale.square().div_(state.shape[-1]).add_(eps).rsqrt_()
    unit = (state * scale).to(weight.dtype)
    return unit * weight, unit, scale.to(weight.dtype)


def norm_gradient(gradient: torch.Tensor, unit: torch.Tensor, scale: torch.Tensor, weight: torch.Tensor) -> Tensors:
    """The gradient (n, d) before a normalisation, from the one after it, and that of its weight."""
    product = gradient * unit
    along = (product * weight).sum(-1, keepdim=True).div_(gradient.shape[-1])
    return (gradient * weight).addcmul_(unit, along, value=-1).mul_(scale), product.sum(0)


def norm_back(
    total: torch.Tensor, gradient: torch.Tensor, unit: torch.Tensor, scale: torch.Tensor, weight: torch.Tensor
) -> Tensors:
    """Add to `total` (n, d), in place, the gradient before a normalisation: (total in the lower precision, gradient of
    the weight, and what came out of the normalisation, which was not kept).
    """
    before, to_weight = norm_gradient(gradient, unit, scale, weight)
    total += before
    return total.to(unit.dtype), to_weight, unit * weight


def swiglu(gate_up: torch.Tensor) -> torch.Tensor:
    """SwiGLU (Shazeer 2020): gate and up side by side (n, 2 i) -> (n, i)."""
    gate, up = gate_up.chunk(2, -1)
    return functional.silu(gate).mul_(up)


def swiglu_back(inner: torch.Tensor, gate_up: torch.Tensor) -> Tensors:
    """What `swiglu` gave (it was not kept), and the gradient of `gate_up` from that of it, `inner` (n, i)."""
    gate, up = gate_up.chunk(2, -1)
    sigmoid = torch.sigmoid(gate)
    active = gate * sigmoid
    slope = (gate - active).add_(1.0).mul_(sigmoid)
    return active * up, torch.cat([slope.mul_(inner).mul_(up), active * inner], -1)


def adamw(
    weight: torch.Tensor,
    copy: torch.Tensor | None,
    gradient: torch.Tensor,
    first: torch.Tensor,
    second: torch.Tensor,
    numbers: torch.Tensor,
) -> None:
    """An update of weights (m,) and their copy and moments, in place, as `torch.optim.AdamW` does it.

    `numbers`, float32: what gradients are divided by, the betas and what is missing from 1 to each, 1 - rate * decay,
    rate / (1 - beta1^t), the root of 1 - beta2^t, epsilon.
    """
    divisor, beta1, rest1, beta2, rest2, decay, pace, root, epsilon = numbers.unbind()
    wide = gradient.float() / divisor
    first_now = first * beta1 + wide * rest1
    second_now = second * beta2 + wide * wide * rest2
    now = weight * decay - pace * first_now / (second_now.sqrt() / root + epsilon)
    first.copy_(first_now)
    second.copy_(second_now)
    weight.copy_(now)
    if copy is not None:
        copy.copy_(now)


PLAIN: Final = Passes(norm, norm_back, swiglu, swiglu_back)


@torch.no_grad()
def _compiled(width: int, inner: int, dtype: torch.dtype) -> Passes:
    """Each function, compiled by calling it once in each way it will be called, and compared with the plain one."""
    from torch._inductor import config

    config.compile_threads = 1  # a pool of processes costs more than it saves here
    made = {}
    for name, function, trials in _trials(width, inner, dtype):
        made[name] = torch.compile(function)
        for arguments in trials:
            expected, found = _called(function, arguments), _called(made[name], arguments)
            if not all(map(_alike, expected, found)):
                raise CannotCompile(f"what the compiler makes of `{name}` computes something else")
    return Passes(**made)


def _trials(
    width: int, inner: int, dtype: torch.dtype
) -> Iterator[tuple[str, Callable[..., Any], list[tuple[Any, ...]]]]:
    """Name, function and arguments. Sizes that differ from batch to batch are marked, so that all share one code."""
    wide, draw = torch.float32, torch.Generator().manual_seed(0)

    def some(*shape: int, kind: torch.dtype = dtype, differ: tuple[int, ...] = (0,)) -> torch.Tensor:
        return _marked(torch.randn(shape, generator=draw).to(kind), differ)

    def row() -> torch.Tensor:
        return some(_TRIAL, width)

    state = partial(some, _TRIAL, width, kind=wide)
    scale, weight = some(_TRIAL, 1), some(width, differ=())
    yield "norm", norm, [(state(), None, weight, 1e-5), (state(), row(), weight, 1e-5)]
    yield "norm_back", norm_back, [(state(), row(), row(), scale, weight)]
    gate_up = some(_TRIAL, 2 * inner)
    yield "swiglu", swiglu, [(gate_up,)]
    yield "swiglu_back", swiglu_back, [(some(_TRIAL, inner), gate_up)]
    numbers = torch.tensor([2.0, 0.9, 0.1, 0.98, 0.02, 0.999, 1e-3, 0.5, 1e-8])
    floats = partial(some, _TRIAL * width, kind=wide)
    yield "adamw", adamw, [(floats(), some(_TRIAL * width), some(_TRIAL * width), floats(), floats().abs_(), numbers)]


def _marked(tensor: torch.Tensor, differ: Iterable[int]) -> torch.Tensor:
    for place in differ:
        torch._dynamo.mark_dynamic(tensor, place)
    return tensor


def _called(function: Callable[..., Any], arguments: tuple[Any, ...]) -> list[torch.Tensor]:
    """What a function returns and what it leaves in its arguments, which are given to it as copies."""
    given = [_again(one) for one in arguments]
    returned = function(*given)
    found = returned if isinstance(returned, tuple) else (returned,)
    return [one for one in (*found, *given) if isinstance(one, torch.Tensor)]


def _again(value: Any) -> Any:
    """A copy with the same strides, and the same sizes marked."""
    if not isinstance(value, torch.Tensor):
        return value
    return _marked(torch.empty_like(value).copy_(value), getattr(value, "_dynamo_dynamic_indices", ()))


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors are the same but for rounding."""
    ours, theirs = (tensor.flatten().nan_to_num(neginf=0.0).double() for tensor in (one, other))
    both = float(ours.norm() * theirs.norm())
    return one.shape == other.shape and (both == 0.0 or float(ours @ theirs) / both > _ALIKE)
