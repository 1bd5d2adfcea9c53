"""The training loop: AdamW over epochs of batches, evaluations at even shares of the budget, checkpoints in between.

The learning rate warms up over `WARM_UP_STEPS` and falls linearly to zero with the share of the budget (minutes, epochs
or steps, whichever is furthest) that is used up, so a run bounded by time ends as well as one bounded by steps.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import torch

from pasquin.config import TrainSettings
from pasquin.errors import ModelError
from pasquin.progress import Progress, Task
from pasquin.train.adamw import AdamW, Gradients
from pasquin.train.batch_size import DEFAULT_EPOCHS, MOST_TOKENS, batch_tokens
from pasquin.train.evaluate import PROBE_SAMPLES, PROBE_TOKENS, CopyProbe, Validation, sample
from pasquin.train.examples import EncodedPost, Example, epoch_batches, tensors
from pasquin.train.learner import Learner, peak_rate
from pasquin.train.loss import Loss
from pasquin.train.passes import PLAIN
from pasquin.train.preflight import Plan

if TYPE_CHECKING:
    from pasquin.train.shares import Shares

EVALUATIONS: Final = 8
"""Evaluations a run that uses up its budget makes, fewer where they would cost over `EVALUATION_SHARE` of its time."""
EVALUATION_SHARE: Final = 0.06
STEPS_BETWEEN: Final = 6
"""Steps between two evaluations of a run bounded by steps (at least two are made): one costs about as much."""
WARM_UP_STEPS: Final = 20
COPYING_PATIENCE: Final = 2
"""Evaluations running at which too much is copied before training stops: a single one may be chance."""
BROKEN_PATIENCE: Final = 3
"""Steps running whose loss or gradient is no number before training stops; none of them changes the weights."""
_SHOWN_SAMPLES: Final = 3
_CHECKPOINT_SECONDS: Final = 90.0
_CHECKPOINT_SHARE: Final = 40
"""Times as long as writing a checkpoint takes is trained before the next."""


@dataclass
class RunState:
    """Where a run stands; together with weights, optimizer and generator state it is all that a checkpoint holds."""

    before: float
    best_bits: float
    step: int = 0
    epoch: int = 0
    position: int = 0
    seconds: float = 0.0
    tokens: int = 0
    best_step: int = 0
    stale: int = 0
    copying: int = 0
    broken: int = 0
    batch_tokens: int = MOST_TOKENS
    micro_tokens: int = 0
    recompute: bool = False
    compiled: bool = False
    evaluations: int = 0
    between: float = 1 / EVALUATIONS
    nats: float = 0.0
    text_bytes: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


class Run:
    """One training execution over a learner."""

    def __init__(
        self,
        learner: Learner,
        loss: Loss,
        posts: list[EncodedPost],
        validation: Validation,
        copies: CopyProbe,
        settings: TrainSettings,
        progress: Progress,
    ) -> None:
        """Prepare an optimizer; `start` or `restore` must follow."""
        self.learner, self.loss, self.posts, self.validation = learner, loss, posts, validation
        self.copies = copies
        self.shares: Shares | None = None
        """Who work out the gradients, where somebody does."""
        self.settings, self.progress = settings, progress
        self.weights = learner.trainable()
        self.rate = peak_rate(settings, learner.method)
        self.optimizer = AdamW(self.weights, loss.passes)
        self.evaluated: Callable[[list[dict[str, Any]]], None] = lambda history: None
        """Called with the history after each evaluation."""
        self.best: dict[str, torch.Tensor] = {}
        self.way: Plan | None = None
        """How batches fit in memory."""
        self.state: RunState
        self._epoch: tuple[int, list[list[Example]]] = (-1, [])

    def start(self) -> None:
        """Begin afresh: measure the base model and show what it writes."""
        torch.manual_seed(self.settings.seed)
        began = time.monotonic()
        bits = self.validation.bits_per_byte(self.loss)
        cost = time.monotonic() - began
        self.state = RunState(before=bits, best_bits=math.inf, batch_tokens=self._batch_tokens(cost))
        self.state.compiled = self.loss.passes is not PLAIN
        self._use_way()
        least = self._least_between(cost)
        # By steps and not by the clock here, as a run bounded by steps must be the same wherever it is repeated.
        least = max(least, STEPS_BETWEEN / self.settings.steps if self.settings.steps else 0.0)
        self.state.between = min(0.5, max(1 / EVALUATIONS, least))
        self.state.history.append(self._entry(None, bits))
        self.evaluated(self.state.history)
        self.progress.say(f"Before training: {bits:.3f} bits per byte on held-out posts.")

    def _batch_tokens(self, cost: float) -> int:
        """The token budget of a step, after an evaluation of `cost` seconds."""
        epoch = sum(len(post.conditioned.ids) for post in self.posts)
        return batch_tokens(self.settings, epoch, self.validation.tokens / max(cost, 1e-9))

    def _least_between(self, cost: float) -> float:
        """The share of the budget from one evaluation of `cost` seconds to the next; 0 when no clock bounds the run."""
        return cost / (EVALUATION_SHARE * self.settings.minutes * 60) if self.settings.minutes else 0.0

    def _due(self) -> bool:
        """Whether to evaluate now: not just before the last time, which tells the same."""
        share, between = self.share(), self.state.between
        return share >= 1 or (self.state.evaluations + 1) * between <= share < 1 - between / 2

    def _use_way(self) -> None:
        if self.way is not None:
            self.state.micro_tokens, self.state.recompute = self.way.micro_tokens, self.way.recompute

    def snapshot(self) -> dict[str, object]:
        """Everything `restore` needs, as tensors and plain values."""
        return {
            "weights": {name: weight.detach() for name, weight in self.weights.items()},
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
            "generator": torch.get_rng_state(),
            "bf16": self.learner.bf16,
            "run": asdict(self.state),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go back to the moment of a snapshot."""
        self.learner.bf16 = snapshot["bf16"]
        self.state = RunState(**snapshot["run"])
        self.state.compiled = self.loss.passes is not PLAIN
        self._use_way()
        self._load(snapshot["weights"])
        self.best = snapshot["best"]
        self.optimizer.load_state_dict(snapshot["optimizer"])
        torch.set_rng_state(snapshot["generator"])

    def restore_best(self) -> None:
        """Put the weights of the best evaluation into the model."""
        self._load(self.best)

    def go(self, save: Callable[[], None]) -> bool:
        """Train until the budget is used up, nothing improves, or too much is copied; call `save` now and then.

        Returns False when the person asked to stop (Ctrl-C or a termination signal); a checkpoint is saved then.
        """
        state, began = self.state, time.monotonic() - self.state.seconds
        saved, pause = time.monotonic(), _CHECKPOINT_SECONDS
        first_share, first_tokens = self.share(), state.tokens
        with _stop_signals() as stopping, self.progress.task("Training", None, "tokens") as task:
            while self._worthwhile():
                tokens = self.step()
                state.seconds = time.monotonic() - began
                share = self.share()
                if share > first_share:
                    task.set_total((state.tokens - first_tokens) / (share - first_share) * (1 - first_share))
                task.advance(tokens, self._note())
                if self._due():
                    self._evaluate(task)
                    state.seconds = time.monotonic() - began
                if stopping():
                    self.progress.say("Stopping: saving a checkpoint.")
                    save()
                    return False
                if time.monotonic() - saved > pause:
                    saving = time.monotonic()
                    save()
                    saved = time.monotonic()
                    pause = max(_CHECKPOINT_SECONDS, _CHECKPOINT_SHARE * (saved - saving))
            if state.broken >= BROKEN_PATIENCE:
                self._say_broken()
            elif not self.best:  # resumed with a bound that was used up before the first evaluation
                self._evaluate(task)
        return True

    def _worthwhile(self) -> bool:
        state = self.state
        return (
            self.share() < 1
            and state.stale < self.settings.patience
            and state.copying < COPYING_PATIENCE
            and state.broken < BROKEN_PATIENCE
        )

    def _say_broken(self) -> None:
        remedy = f"Train again with a lower --learning-rate than {self.rate:g}"
        if not self.best:
            raise ModelError(
                "The loss is no longer a number, and there was no evaluation before that whose weights could be kept. "
                f"{remedy}, or from another base model."
            )
        self.progress.say(
            f"Stopping: the loss is no longer a number. The model of step {self.state.best_step:,} is kept. {remedy} "
            "if that is too early."
        )

    def share(self) -> float:
        """Share of the budget that is used up, from 0 to 1 or a little over."""
        state, settings = self.state, self.settings
        epochs = settings.epochs
        if not (settings.minutes or settings.steps or epochs):
            epochs = DEFAULT_EPOCHS
        return max(
            state.seconds / (settings.minutes * 60) if settings.minutes else 0.0,
            state.step / settings.steps if settings.steps else 0.0,
            (state.epoch + state.position / max(1, len(self._batches()))) / epochs if epochs else 0.0,
        )

    def _batches(self) -> list[list[Example]]:
        epoch = self.state.epoch
        if self._epoch[0] != epoch:
            given = self.settings
            self._epoch = (
                epoch,
                epoch_batches(
                    self.posts,
                    self.state.batch_tokens,
                    given.condition_dropout,
                    given.seed,
                    epoch,
                    about=given.about,
                    header=self._header if given.about else None,
                ),
            )
        return self._epoch[1]

    def _header(self, account: str | None, words: Sequence[str]) -> tuple[int, ...]:
        return self.learner.post_format.prompt_ids(self.learner.tokenizer, account, about=words)

    def step(self) -> int:
        """One optimizer step; returns the tokens it read, padding not counted."""
        state, batch = self.state, self._batches()[self.state.position]
        learned = sum(len(example.ids) - example.prompt for example in batch)
        nats, gradients = self.learn(batch, learned) if self.shares is None else self.shares.learn(self, batch, learned)
        sound = math.isfinite(nats) and math.isfinite(self.optimizer.step(gradients, self._rate()))
        self.loss.forget()
        if self.shares is not None:
            self.loss.pull()
        state.broken = 0 if sound else state.broken + 1
        state.nats += nats if sound else 0.0
        tokens = sum(len(example.ids) for example in batch)
        state.step += 1
        state.tokens += tokens
        state.text_bytes += sum(example.text_bytes for example in batch) if sound else 0
        state.position += 1
        if state.position == len(self._batches()):
            state.epoch, state.position = state.epoch + 1, 0
        return tokens

    def learn(self, batch: list[Example], learned: int) -> tuple[float, Gradients]:
        """The loss in nats of (a share of) a batch, and its gradients divided by `learned` tokens."""
        parts = pieces(batch, self.state.micro_tokens)
        nats = sum(self.loss.learn(*tensors(part, self.validation.padding), 1 / learned) for part in parts)
        return nats, self.loss.gradients()

    def _rate(self) -> float:
        return self.rate * min(1.0, (self.state.step + 1) / WARM_UP_STEPS) * max(0.0, 1 - self.share())

    def _evaluate(self, task: Task) -> None:
        state, began = self.state, time.monotonic()
        task.advance(0, "measuring on held-out posts")
        bits = self.validation.bits_per_byte(self.loss)
        if not math.isfinite(bits):
            state.broken = BROKEN_PATIENCE
            return
        texts = sample(self.learner, PROBE_SAMPLES, seed=state.step, longest=PROBE_TOKENS)
        copied = self.copies.rate(texts)
        train = state.nats / math.log(2) / max(1, state.text_bytes)
        state.evaluations = max(state.evaluations + 1, math.floor(self.share() / state.between))
        state.history.append(self._entry(train, bits) | {"copied": copied, "samples": texts[:_SHOWN_SAMPLES]})
        state.copying = state.copying + 1 if copied > self.settings.max_copies else 0
        better = bits < state.best_bits and not state.copying
        if better or not self.best:
            state.best_bits, state.best_step, state.stale = bits, state.step, 0
            self._keep_best()
        else:
            state.stale += 1
        state.nats, state.text_bytes = 0.0, 0
        self.evaluated(state.history)
        self._say_evaluation(bits, better, copied, texts)
        state.between = min(0.5, max(state.between, self._least_between(time.monotonic() - began)))

    def _say_evaluation(self, bits: float, better: bool, copied: float, texts: list[str]) -> None:
        state = self.state
        self.progress.say(
            f"Step {state.step:,}: {bits:.3f} bits per byte on held-out posts"
            + (", the best so far. " if better else f" (kept: {state.best_bits:.3f} of step {state.best_step:,}). ")
            + (f"{copied:.0%} of what it writes is copied. " if copied else "")
            + "It writes:"
        )
        for text in texts[:_SHOWN_SAMPLES]:
            self.progress.say(f"    {' '.join(text.split())}")
        if state.copying == COPYING_PATIENCE:
            self.progress.say(
                f"Stopping: more than {self.settings.max_copies:.0%} (max_copies) of what it writes copies training "
                f"posts. The model of step {state.best_step:,} is kept. More posts would let it learn longer."
            )

    def _entry(self, train: float | None, validation: float) -> dict[str, Any]:
        state = self.state
        return {
            "step": state.step,
            "seconds": round(state.seconds, 1),
            "tokens": state.tokens,
            "train": train,
            "validation": validation,
            "learning_rate": self._rate() if state.step else 0.0,
        }

    def _note(self) -> str:
        state = self.state
        train = state.nats / math.log(2) / max(1, state.text_bytes)
        best = f", held out {state.history[-1]['validation']:.3f}"
        return f"bits per byte: training {train:.3f}{best}"

    @torch.no_grad()
    def _keep_best(self) -> None:
        """Copy the weights, in the precision the model will be saved in."""
        dtype = torch.bfloat16 if self.learner.bf16 and self.learner.method == "full" else torch.float32
        for name, weight in self.weights.items():
            if name not in self.best:
                self.best[name] = torch.empty(weight.shape, dtype=dtype)
            self.best[name].copy_(weight)

    @torch.no_grad()
    def _load(self, weights: dict[str, torch.Tensor]) -> None:
        for name, weight in self.weights.items():
            weight.copy_(weights[name])
        self.loss.pull()


def pieces(batch: list[Example], micro_tokens: int) -> Iterator[list[Example]]:
    """A batch in pieces that fit in memory (`preflight`)."""
    longest = max(len(example.ids) for example in batch)
    rows = max(1, micro_tokens // longest) if micro_tokens else len(batch)
    for begin in range(0, len(batch), rows):
        yield batch[begin : begin + rows]


@contextmanager
def _stop_signals() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or termination signal inside the block into a question the loop can ask.

    A step is never torn in two that way. The second one interrupts at once. Other threads than the main one get no
    signals, so there nothing changes.
    """
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def stop(number: int, _frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
