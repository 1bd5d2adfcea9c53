"""What is minimised: the cross-entropy of every text and end token, with the output head only where it is needed.

The head is a fifth of a small model's arithmetic and most of its memory (49,152 words a position for the starter
model). So it runs at learned positions only, its logits stay in the compute precision, and their gradient overwrites
them in place: one (positions, vocabulary) array instead of the four a plain loop holds.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch.nn import functional

from pasquin.train.adamw import Gradients
from pasquin.train.examples import IGNORED
from pasquin.train.learner import Learner
from pasquin.train.llama import Llama
from pasquin.train.passes import PLAIN, Passes

_ROWS = 128


class _HeadLoss(torch.autograd.Function):
    """Summed cross-entropy of `hidden @ weight.T` against `targets`; the softmax is float32, the products are not."""

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, dtype: torch.dtype
    ) -> torch.Tensor:
        """hidden (n, d), weight (v, d), targets int64 (n,) -> scalar float32."""
        hidden_low, weight_low = hidden.to(dtype), weight.to(dtype)
        logits = hidden_low @ weight_low.T
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for begin in range(0, len(targets), _ROWS):
            part, wanted = logits[begin : begin + _ROWS], targets[begin : begin + _ROWS, None]
            exact = part.float()
            chosen = exact.gather(1, wanted)
            normaliser = exact.logsumexp(1, keepdim=True)
            total += (normaliser - chosen).sum()
            if ctx.needs_input_grad[0] or ctx.needs_input_grad[1]:
                gradient = exact.sub_(normaliser).exp_()
                gradient.scatter_add_(1, wanted, torch.full_like(chosen, -1.0))
                part.copy_(gradient)
        ctx.save_for_backward(logits, hidden_low, weight_low)
        ctx.dtypes = hidden.dtype, weight.dtype
        return total

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Gradients for hidden and weight, scaled by `grad`."""
        gradient, hidden, weight = ctx.saved_tensors
        to_hidden, to_weight = ctx.needs_input_grad[:2]
        scaled = hidden * grad.to(hidden.dtype)
        return (
            (gradient @ weight).to(ctx.dtypes[0]) * grad if to_hidden else None,
            (gradient.T @ scaled).to(ctx.dtypes[1]) if to_weight else None,
            None,
            None,
        )


class Loss:
    """Computes summed losses (nats) of a learner's model, and their gradients."""

    def __init__(self, learner: Learner) -> None:
        """Find out once whether the model's logits are simply its head times its last hidden state."""
        self.learner = learner
        self.decoder: Any = learner.model.get_decoder()
        self.training_decoder: Any = self.decoder
        self.head: Any = learner.model.get_output_embeddings()
        self.words = int(self.head.weight.shape[0])
        self.plain_head = self._head_is_plain()
        self.passes = PLAIN
        self.recompute = False
        """Keep nothing inside layers for the backward pass, but compute it anew there: less memory, a third slower."""

    @cached_property
    def written(self) -> Llama | None:
        """The model's passes written out (`llama`), where it is of that family."""
        learner = self.learner
        if not self.plain_head or self.training_decoder is not self.decoder:
            return None
        dtype = torch.bfloat16 if learner.bf16 else torch.float32
        made = Llama.of(learner.model, dtype, self.recompute, learner.network)
        if made is not None:
            made.passes = self.passes
        return made

    def nats(self, inputs: torch.Tensor, targets: torch.Tensor) -> float:
        """Summed cross-entropy of all targets that are not ignored; inputs and targets (rows, length)."""
        if self.written is not None:
            return self.written.nats(inputs, targets)
        with torch.inference_mode():
            return float(self(inputs, targets))

    def learn(self, inputs: torch.Tensor, targets: torch.Tensor, share: float) -> float:
        """The same, adding the gradient of `share` times it to the gradients."""
        if self.written is not None:
            return self.written.learn(inputs, targets, share)
        loss = self(inputs, targets)
        (loss * share).backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    def gradients(self) -> Gradients:
        """What `learn` added up since `forget`, by the names of the learner's weights."""
        if self.written is None:
            learned = self.learner.trainable().items()
            return {name: (weight.grad, None) for name, weight in learned if weight.grad is not None}
        slices = [part for weight in self.written.weights() for part in weight.slices()]
        return {name: (gradient, value) for name, value, gradient in slices if gradient is not None}

    def forget(self) -> None:
        """Let the gradients begin anew."""
        if self.written is not None:
            self.written.step_done()
        else:
            self.learner.network.zero_grad()

    def pull(self) -> None:
        """Notice that somebody else than the optimizer changed the model's weights."""
        if self.written is not None:
            self.written.pull()

    def use_recompute(self) -> None:
        """Compute the inside of layers a second time in the backward pass instead of keeping it."""
        self.recompute = True
        self.__dict__.pop("written", None)
        if self.written is None:
            self.learner.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})

    def __call__(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Summed cross-entropy of all targets that are not ignored; inputs and targets (rows, length)."""
        device = self.learner.device
        inputs, targets = inputs.to(device), targets.to(device)
        learned = targets != IGNORED
        with self.learner.autocast():
            if not self.plain_head:
                logits = self.learner.model(input_ids=inputs, use_cache=False).logits
                return functional.cross_entropy(logits[learned].float(), targets[learned], reduction="sum")
            decoder = self.training_decoder if torch.is_grad_enabled() else self.decoder
            hidden = decoder(input_ids=inputs, use_cache=False).last_hidden_state[learned]
        dtype = torch.bfloat16 if self.learner.bf16 else hidden.dtype
        loss: torch.Tensor = _HeadLoss.apply(hidden, self.head.weight, targets[learned], dtype)  # type: ignore[no-untyped-call]
        return loss

    def compile(self) -> None:
        """Compile the passes between the products where these are written out, and the whole decoder otherwise (many
        minutes; what of it cannot be compiled runs as it is). For batches of any shape.

        Raises CannotCompile when the passes cannot be.
        """
        if self.written is not None:
            self.passes = self.written.passes = Passes.compiled(*self.written.sizes, self.written.dtype)
            return
        torch._dynamo.config.suppress_errors = True
        self.training_decoder = torch.compile(self.decoder, dynamic=True)

    @torch.no_grad()
    def _head_is_plain(self) -> bool:
        """False for models that scale, cap or bias their logits, or learn tokens through a wrapper."""
        if getattr(self.head, "bias", None) is not None or not hasattr(self.head, "weight"):
            return False
        training = self.learner.network.training
        self.learner.network.eval()
        ids = torch.arange(8, device=self.learner.device)[None] % self.head.weight.shape[0]
        hidden = self.decoder(input_ids=ids, use_cache=False).last_hidden_state
        expected = self.learner.model(input_ids=ids, use_cache=False).logits
        self.learner.network.train(training)
        weight = self.head.weight
        return hidden.shape[-1] == weight.shape[-1] and torch.allclose(
            hidden @ weight.T, expected, rtol=1e-3, atol=1e-3
        )
