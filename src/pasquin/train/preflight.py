"""Memory before the work starts: how much a training will need, how much there is, and what to do about it.

What stays (gradients, moments, copies of the weights) follows from the number of weights. What a batch needs is a
formula where the passes are written out (`llama`), and elsewhere measured: the arrays that automatic differentiation
keeps are counted for two small batches, which gives what one token costs whatever the architecture. Where the batch
does not fit it is learned in parts whose gradients add up to the same step; where one part does not fit either, layers
are computed a second time instead of being kept.

Not covered: the memory of a GPU.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from pasquin.config import TrainSettings
from pasquin.errors import ResourceError
from pasquin.train.batch_size import most_tokens
from pasquin.train.learner import Learner
from pasquin.train.loss import Loss

SAFE_SHARE: Final = 0.9
"""Share of the available memory that may be planned with: other programs breathe, and allocators leave gaps."""
GAPS: Final = 1.8
"""What automatic differentiation takes for each byte it keeps: what it throws away in between leaves gaps. Measured, as
the two that follow, with models of six architectures (docs/train.md)."""
_BESIDE: Final = 150_000_000
"""What libraries load and keep when a model is first measured, sampled and learned."""
_WHOLE_HEAD: Final = 26
"""Bytes a token and word, where the logits are not simply the head's product and all arrays on their way are kept."""
SMALLEST_PART: Final = 256
"""Tokens below which parts of a batch cost too much time; recomputing layers comes first."""
_VALIDATION_TOKENS: Final = 2_048


@dataclass(frozen=True)
class Plan:
    """How a batch is learned, and the peak of the process's memory that is expected, in bytes."""

    micro_tokens: int
    recompute: bool
    peak: int


def plan(
    loss: Loss,
    settings: TrainSettings,
    longest: int,
    resuming: bool = False,
    kept: tuple[int, bool] | None = None,
) -> Plan:
    """The first way to learn the largest batches a run may have that fits in memory; rows have up to `longest` tokens.

    `kept` is the (micro_tokens, recompute) of a resumed run, tried first so that it ends with the same weights. Call it
    before optimizer and copies exist. Raises ResourceError when nothing fits.
    """
    now = process_memory()
    most = available_memory()
    budget = None if most is None else int(SAFE_SHARE * most)
    if settings.memory_gb is not None:
        budget = min(int(settings.memory_gb * 1e9) - now, budget or 1 << 60)
    stays = _staying(loss.learner, written=loss.written is not None)
    other = _evaluation(loss) + (12 * _learned(loss.learner) if resuming else 0)
    needs: dict[bool, Callable[[int], int]] = {}
    least = 0
    for micro, recompute in _ways(most_tokens(settings), longest, kept):
        if recompute not in needs:
            needs[recompute] = _batch_memory(loss, longest, recompute)
        added = stays + max(needs[recompute](micro), other) + _BESIDE
        if budget is None or added <= budget:
            return Plan(micro, recompute, now + added)
        least = added
    raise ResourceError(
        f"Training this model needs about {(now + least) / 1e9:.1f} GB of memory even in the smallest steps, and only "
        f"{(now + max(0, budget or 0)) / 1e9:.1f} GB may be used. Close other programs, choose a smaller --model, "
        "learn low-rank weights only (--lora), freeze lower layers (--freeze), or raise memory_gb if it is set."
    )


def _ways(batch_tokens: int, longest: int, kept: tuple[int, bool] | None) -> Iterator[tuple[int, bool]]:
    """(micro_tokens, recompute) from the fastest to the smallest."""
    if kept is not None:
        yield kept
    sizes = [max(batch_tokens, longest)]
    while sizes[-1] // 2 >= max(longest, SMALLEST_PART):
        sizes.append(sizes[-1] // 2)
    yield from ((size, False) for size in sizes)
    yield from ((size, True) for size in sizes)
    if longest < sizes[-1]:
        yield longest, True


def _learned(learner: Learner) -> int:
    return sum(weight.numel() for weight in learner.trainable().values())


def _staying(learner: Learner, written: bool) -> int:
    """Bytes that a whole run holds beside the model: moments, gradients, the best weights, copies to compute with."""
    learned, every = _learned(learner), sum(weight.numel() for weight in learner.network.parameters())
    low = 2 if learner.bf16 else 4
    best = low if learner.method == "full" else 4
    gradients = low * learned + low * every if written else 4 * learned + (2 * every if learner.bf16 else 0)
    return 8 * learned + best * learned + gradients


def _evaluation(loss: Loss) -> int:
    """Bytes that measuring and sampling need on top: the logits of a batch, and weights cast for the samples."""
    low = 2 if loss.learner.bf16 else 4
    cast = low * sum(weight.numel() for weight in loss.learner.network.parameters()) if loss.learner.bf16 else 0
    logits = _VALIDATION_TOKENS * loss.words * low
    return max(cast, logits)


def _batch_memory(loss: Loss, longest: int, recompute: bool) -> Callable[[int], int]:
    """Bytes that a batch of so many tokens needs between its forward and backward pass."""
    low = 2 if loss.learner.bf16 else 4
    head = loss.words * (low if loss.plain_head else _WHOLE_HEAD)
    if loss.written is not None:
        kept, beside = loss.written.bytes_a_token(longest, recompute)
        return lambda tokens: tokens * (kept + max(beside, head))
    fixed, token = _measured(loss, longest)
    if recompute:
        layers = max(1, int(getattr(loss.learner.model.config, "num_hidden_layers", 1)))
        token = token // layers + 4 * layers * int(getattr(loss.learner.model.config, "hidden_size", 1024))
    return lambda tokens: int(GAPS * (fixed + tokens * token)) + tokens * head


def _measured(loss: Loss, longest: int) -> tuple[int, int]:
    """(bytes whatever the batch, bytes a token) that automatic differentiation keeps, head apart."""
    length = max(2, min(longest, 64))
    sizes = []
    weights = {weight.untyped_storage().data_ptr() for weight in loss.learner.network.parameters()}
    for rows in (1, 3):
        seen: dict[int, int] = {}

        def pack(tensor: torch.Tensor, seen: dict[int, int] = seen) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                seen[storage.data_ptr()] = storage.nbytes()
            return tensor

        inputs = (torch.arange(rows * length).view(rows, length) % loss.words).to(loss.learner.device)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), loss.learner.autocast():
            state = loss.decoder(input_ids=inputs, use_cache=False).last_hidden_state
        sizes.append(sum(seen.values()))
        del state
    token = max(1, (sizes[1] - sizes[0]) // (2 * length))
    return max(0, sizes[0] - token * length), token


def process_memory() -> int:
    """Bytes of physical memory this process has now, 0 where that cannot be known."""
    found = re.search(r"^VmRSS:\s+(\d+) kB", _read("/proc/self/status"), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def available_memory(root: Path = Path("/")) -> int | None:
    """Bytes that may still be taken: of the machine, and of every control group this process is in; None: unknown."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", _read(root / "proc/meminfo"), re.MULTILINE)
    rooms = [int(found[1]) * 1024] if found else []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        mount = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        limit, usage = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes") if controllers else ("memory.max", "memory.current")
        )
        group = mount / path.strip("/")
        for folder in (group, *group.parents):
            most, used = _read(folder / limit).strip(), _read(folder / usage).strip()
            if most.isdigit() and used.isdigit():
                cached = re.search(r"^(?:total_)?inactive_file (\d+)", _read(folder / "memory.stat"), re.MULTILINE)
                rooms.append(max(0, int(most) - int(used) + (int(cached[1]) if cached else 0)))
            if folder == mount:
                break
    return min(rooms, default=None)


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""
