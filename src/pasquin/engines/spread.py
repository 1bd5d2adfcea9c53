"""A model on all nodes of a Ray cluster: an engine whose `generate` hands blocks of prompts to one engine a node.

A completion depends on its prompt and seed alone, so it does not matter which node draws it, and a block whose node
died is drawn again by another. The model's folder must be under the same path on all nodes. Limits: a node that joins
later gets no engine, and an engine takes all cores of its node.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pasquin import __version__
from pasquin.engines import choose_engine
from pasquin.errors import ModelError, PasquinError, ResourceError
from pasquin.records import Completion, Prompt, Sampling
from pasquin.workers.cluster import cause_of, check_version, nodes_with_cores

_LEAST_BLOCK: Final = 8
_AHEAD: Final = 2
"""Blocks that a node has at a time, so that it never waits for the next."""


class Spread:
    """One engine a node of the Ray cluster this process is connected to (`workers.cluster`)."""

    def __init__(self, model_dir: Path, name: str) -> None:
        """Load the model on every node. Raises ModelError or ResourceError when none can."""
        import ray

        self._ray, self.name = ray, name
        self._actors = self._started(model_dir)
        self.context = 0
        failed: list[Exception] = []
        for actor in list(self._actors):
            try:
                self.context = ray.get(actor.ready.remote())
            except (ray.exceptions.RayError, PasquinError) as exc:
                self._actors.remove(actor)
                failed.append(exc)
        if not self._actors:
            cause = getattr(failed[0], "cause", failed[0]) if failed else None
            if isinstance(cause, PasquinError):
                raise cause
            raise ModelError(f"No node of the Ray cluster could load {model_dir.name} ({cause}).")

    def _started(self, model_dir: Path) -> list[Any]:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        made = self._ray.remote(_Writer)
        actors = []
        for node, cores in nodes_with_cores(self._ray).items():
            here = NodeAffinitySchedulingStrategy(node, soft=False)
            options = made.options(num_cpus=cores, scheduling_strategy=here)
            actors.append(options.remote(str(model_dir), self.name, __version__))
        return actors

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, batch: int = 128
    ) -> Generator[Completion, None, None]:
        """One completion for each prompt, as `Engine.generate`; at most `batch` run at a time on each node."""
        nodes = len(self._actors)
        size = max(_LEAST_BLOCK, min(batch, -(-len(prompts) // (nodes * _AHEAD))))
        waiting = deque(range(0, len(prompts), size))
        running: dict[Any, tuple[Any, int]] = {}
        try:
            while waiting or running:
                for actor in self._actors:
                    while waiting and sum(busy is actor for busy, _ in running.values()) < _AHEAD:
                        begin = waiting.popleft()
                        block = list(prompts[begin : begin + size])
                        running[actor.draw.remote(block, sampling, batch)] = (actor, begin)
                if not self._actors:
                    raise ResourceError(
                        "All nodes of the Ray cluster that had the model are gone. "
                        "Run the same command again: it goes on behind what is stored."
                    )
                [reference], _ = self._ray.wait(list(running), num_returns=1)
                actor, begin = running.pop(reference)
                try:
                    found = self._ray.get(reference)
                except self._ray.exceptions.RayTaskError as exc:
                    raise cause_of(exc) from None
                except self._ray.exceptions.RayError:  # the node, or its engine, died
                    waiting.appendleft(begin)
                    self._actors = [other for other in self._actors if other is not actor]
                    continue
                for completion in found:
                    yield replace(completion, index=begin + completion.index)
        finally:
            for reference in running:
                self._ray.cancel(reference)

    def close(self) -> None:
        """Free the nodes."""
        for actor in self._actors:
            self._ray.kill(actor)


class _Writer:
    """An engine on a node."""

    def __init__(self, model_dir: str, name: str, wanted: str) -> None:
        check_version(wanted)
        self._engine = choose_engine(Path(model_dir), name)[1].open(Path(model_dir))

    def ready(self) -> int:
        return self._engine.context

    def draw(self, prompts: list[Prompt], sampling: Sampling, batch: int) -> list[Completion]:
        return list(self._engine.generate(prompts, sampling, batch))
