"""Training on a Ray cluster: every node works out the gradients of its share of each batch, one process does the rest.

The loop is that of one machine (`loop.Run`): the same batches in the same order, one optimizer, one evaluation, one
checkpoint. Only the gradients of a batch are worked out elsewhere, a share a node, and added up in a fixed order, so
the weights are those of one machine but for the rounding of a sum in another order. Nodes keep nothing between two
steps: a share whose node died is worked out here. Each step sends all learned weights to every node and as many
gradients back, so it pays where a share takes longer than that: low-rank training, large batches, fast networks.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pasquin import __version__
from pasquin.config import TrainSettings
from pasquin.counts import counted
from pasquin.errors import PasquinError, ResourceError
from pasquin.progress import Progress, Silent
from pasquin.train.examples import Example
from pasquin.workers.cluster import cause_of, check_version, nodes_with_cores

if TYPE_CHECKING:
    from pasquin.train.adamw import Gradients
    from pasquin.train.loop import Run


class Shares:
    """A learner on every node of the Ray cluster this process is connected to (`workers.cluster`)."""

    def __init__(
        self,
        settings: TrainSettings,
        accounts: tuple[str, ...],
        bf16: bool,
        progress: Progress,
        base: Path | None = None,
    ) -> None:
        """Load the base model on every node. One that dies meanwhile is done without; raises what keeps one from it."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._ray, self._progress = ray, progress
        self._actors: list[Any] = []
        for node, cores in nodes_with_cores(ray).items():
            here = NodeAffinitySchedulingStrategy(node, soft=False)
            options = ray.remote(_Helper).options(num_cpus=cores, scheduling_strategy=here)
            self._actors.append(options.remote(settings, accounts, bf16, base, __version__))
        for actor in list(self._actors):
            try:
                ray.get(actor.ready.remote())
            except ray.exceptions.RayActorError as exc:
                if exc.actor_init_failed:
                    raise _refusal(exc) from exc
                self._actors.remove(actor)
                progress.say(f"A node is gone; {counted(len(self._actors), 'is', 'are')} left.")
            except ray.exceptions.RayError as exc:
                raise _refusal(exc) from exc
        progress.say(f"{counted(len(self._actors), 'node works', 'nodes work')} out gradients.")

    def learn(self, run: Run, batch: list[Example], learned: int) -> tuple[float, Gradients]:
        """As `Run.learn`, by all nodes that are left; by this process when none is."""
        import torch

        if not self._actors:
            return run.learn(batch, learned)
        weights = self._ray.put({name: weight.detach().cpu().numpy() for name, weight in run.weights.items()})
        shares = [(actor, batch[number :: len(self._actors)]) for number, actor in enumerate(self._actors)]
        told = (weights, learned, run.state.micro_tokens)
        asked = [(actor, share, actor.learn.remote(*told, share)) for actor, share in shares if share]
        nats, total = 0.0, dict[str, torch.Tensor]()
        for actor, share, reference in asked:
            try:
                some, arrived = self._ray.get(reference)
                found = {name: torch.tensor(gradient) for name, gradient in arrived.items()}
            except self._ray.exceptions.RayTaskError as exc:
                raise cause_of(exc) from None
            except self._ray.exceptions.RayError:
                self._actors.remove(actor)
                self._progress.say(f"A node is gone; {counted(len(self._actors), 'is', 'are')} left.")
                some, here = run.learn(share, learned)
                found = {name: gradient.float().cpu() for name, (gradient, _) in here.items()}
                run.loss.forget()
            nats += some
            for name, gradient in found.items():
                total[name] = total[name] + gradient.view_as(total[name]) if name in total else gradient
        return nats, {name: (gradient.to(run.weights[name].device), None) for name, gradient in total.items()}

    def close(self) -> None:
        """Free the nodes."""
        for actor in self._actors:
            self._ray.kill(actor)


def _refusal(exc: Exception) -> PasquinError:
    """What keeps a node from helping: its own word where it has one of ours."""
    cause = getattr(exc, "cause", None)
    if isinstance(cause, PasquinError):
        return cause
    return ResourceError(
        f"A node of the Ray cluster cannot help with training ({str(exc).splitlines()[-1]}). "
        "See that it has the memory and the base model, then run the same command again."
    )


class _Helper:
    """A learner on a node, whose weights are those it is told."""

    def __init__(
        self, settings: TrainSettings, accounts: tuple[str, ...], bf16: bool, base: Path | None, wanted: str
    ) -> None:
        check_version(wanted)
        import torch

        from pasquin.train.learner import load_learner
        from pasquin.train.loss import Loss

        torch.manual_seed(settings.seed)
        with tempfile.TemporaryDirectory() as folder:
            self._learner = load_learner(settings, accounts, Path(folder), Silent(), base)
        self._learner.bf16 = bf16  # as where the optimizer is, whatever is faster here
        self._learner.network.train()
        self._loss = Loss(self._learner)
        self._weights = self._learner.trainable()

    def ready(self) -> bool:
        return True

    def learn(
        self, weights: dict[str, Any], learned: int, micro_tokens: int, batch: list[Example]
    ) -> tuple[float, dict[str, Any]]:
        import torch

        from pasquin.train.examples import tensors
        from pasquin.train.loop import pieces

        with torch.no_grad():
            for name, weight in self._weights.items():
                weight.copy_(torch.tensor(weights[name]))
        self._loss.pull()
        padding = self._learner.post_format.end_id
        nats = sum(self._loss.learn(*tensors(part, padding), 1 / learned) for part in pieces(batch, micro_tokens))
        found = {name: gradient.float().cpu().numpy() for name, (gradient, _) in self._loss.gradients().items()}
        found = {name: gradient.copy() for name, gradient in found.items()}
        self._loss.forget()
        return nats, found
