"""Forward and backward pass of the llama family, written out: what a step costs beside its matrix products, cut down.

Automatic differentiation of the same model casts every weight and every gradient to another precision, keeps four
copies of what could be one, and passes over memory for each little operation. Here weights that meet the same input are
one matrix (query, key and value; gate and up), gradients are written where they are needed, in the precision of the
products, and only what the backward pass cannot do without is kept: 12 KB a token and layer of the starter model, or 1
with `recompute`, where each layer is run a second time instead.

Covered: llama (SmolLM2 among them), qwen2, qwen3, on a CPU, all weights learned but for the lower layers that are
frozen, or low-rank parts beside them (`products`). `Llama.of` tries whether the model computes what this computes and
says None where it does not: then automatic differentiation does the work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch.nn import functional

from pasquin.train.examples import IGNORED
from pasquin.train.passes import PLAIN, norm, norm_gradient
from pasquin.train.products import Product, Weight, product_of

TYPES: Final = frozenset({"llama", "qwen2", "qwen3"})
_HEAD_ROWS: Final = 32
_WHOLE: Final = 32
"""Products have so many rows, or twice as many and so on, the last ones empty: for each number of rows that it has not
met before oneDNN takes up to ten times as long as for the product."""
_SMALLEST: Final = 1e-38


@dataclass
class _Layer:
    """The weights of one decoder layer."""

    before: Weight
    qkv: Product
    bias: Weight | None
    query: Weight | None
    key: Weight | None
    out: Product
    after: Weight
    gate_up: Product
    down: Product

    def products(self) -> tuple[Product, ...]:
        return self.qkv, self.out, self.gate_up, self.down

    def weights(self) -> list[Weight]:
        vectors = (self.before, self.bias, self.query, self.key, self.after)
        return [
            *(weight for weight in vectors if weight is not None),
            *(weight for product in self.products() for weight in product.weights()),
        ]


@dataclass
class _Normed:
    """What the backward pass of a normalisation wants: the rows at length one, and what they were divided by."""

    unit: torch.Tensor
    scale: torch.Tensor


@dataclass
class _Kept:
    """What the backward pass of a layer wants."""

    before: _Normed
    query_norm: _Normed | None
    key_norm: _Normed | None
    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    shares: torch.Tensor
    attended: torch.Tensor
    after: _Normed
    gate_up: torch.Tensor


@dataclass
class _Rows:
    """The shape of a batch and what its rows share: turning angles (t, d/2) and the causal mask (t, t)."""

    count: int
    length: int
    cos: torch.Tensor
    sin: torch.Tensor
    mask: torch.Tensor

    @property
    def tokens(self) -> int:
        """Places of the batch: where there are more rows, these are empty."""
        return self.count * self.length


class Llama:
    """A model of the llama family that computes losses and gradients without automatic differentiation."""

    def __init__(self, model: Any, dtype: torch.dtype, recompute: bool = False, network: Any = None) -> None:
        """Copies of the model's weights in `dtype`; the model's own stay as they are (and are what is updated).

        `network` is what the weights are named by, where the model is inside another.
        """
        self.model, self.dtype, self.recompute = model, dtype, recompute
        self.passes = PLAIN
        config = model.config
        self.heads, self.groups = config.num_attention_heads, config.num_key_value_heads
        self.size = getattr(config, "head_dim", None) or config.hidden_size // self.heads
        self.scaling, self.eps = self.size**-0.5, config.rms_norm_eps
        names = {id(parameter): name for name, parameter in (network or model).named_parameters()}

        def weight(*parts: Any) -> Weight:
            return Weight({names[id(part)]: part for part in parts}, dtype)

        decoder = model.model
        self.embedding = weight(decoder.embed_tokens.weight)
        tied = model.lm_head.weight is decoder.embed_tokens.weight
        self.head = self.embedding if tied else weight(model.lm_head.weight)
        self.last = weight(decoder.norm.weight)
        self.layers = [_layer(layer, weight) for layer in decoder.layers]
        self.frozen = next((i for i, layer in enumerate(self.layers) if layer.qkv.learns), 0)
        if self.embedding.gradient is not None:
            self.frozen = 0

    @classmethod
    def of(cls, model: Any, dtype: torch.dtype, recompute: bool = False, network: Any = None) -> Llama | None:
        """The written-out form of `model`, None where there is none or it does not compute the same."""
        config = model.config
        if config.model_type not in TYPES or next(model.parameters()).device.type != "cpu":
            return None
        try:
            made = cls(model, dtype, recompute, network)
            same = made._is_faithful()
        except (AttributeError, KeyError, RuntimeError):  # a variant with other parts
            return None
        return made if same else None

    @property
    def sizes(self) -> tuple[int, int]:
        """How wide the model is, and how wide inside its layers."""
        return self.embedding.value.shape[1], self.layers[0].down.matrix.value.shape[1]

    def weights(self) -> list[Weight]:
        """Every weight, once."""
        every = [self.embedding, *(weight for layer in self.layers for weight in layer.weights()), self.last]
        return every if self.head is self.embedding else [*every, self.head]

    def pull(self) -> None:
        """Take over the model's present weights."""
        for weight in self.weights():
            weight.pull()

    @torch.no_grad()
    def nats(self, inputs: torch.Tensor, targets: torch.Tensor) -> float:
        """Summed cross-entropy of all targets that are not ignored; inputs and targets (rows, length)."""
        rows, state = self._begin(inputs)
        for layer in self.layers:
            self._forward(layer, state, rows)
        learned = (targets != IGNORED).flatten().nonzero().squeeze(1)
        hidden, _ = self._norm(_whole(state[learned]), None, self.last)
        return self._head(hidden, targets.flatten()[learned], None)[0]

    @torch.no_grad()
    def learn(self, inputs: torch.Tensor, targets: torch.Tensor, share: float) -> float:
        """The same, adding the gradient of `share` times it to the weights' gradients."""
        rows, state = self._begin(inputs)
        kept: list[torch.Tensor | _Kept] = []
        for number, layer in enumerate(self.layers):
            if number < self.frozen:
                self._forward(layer, state, rows)
            elif self.recompute:
                kept.append(state.to(self.dtype, copy=True))
                self._forward(layer, state, rows)
            else:
                kept.append(self._forward(layer, state, rows))
        learned = (targets != IGNORED).flatten().nonzero().squeeze(1)
        hidden, normed = self._norm(_whole(state[learned]), None, self.last)
        total, gradient_low = self._head(hidden, targets.flatten()[learned], share)
        gradient = torch.zeros_like(state)
        before, to_weight = norm_gradient(gradient_low, normed.unit, normed.scale, self.last.value)
        self.last.add(to_weight)
        gradient[learned] = before[: len(learned)].float()
        low = gradient.to(self.dtype)
        del state, hidden, normed, gradient_low, before
        for number in range(len(self.layers) - 1, self.frozen - 1, -1):
            layer, now = self.layers[number], kept.pop()
            if isinstance(now, torch.Tensor):
                now = self._forward(layer, now.float(), rows)
            low = self._backward(layer, now, gradient, low, rows)
        self._embedding_back(inputs, gradient)
        return total

    def bytes_a_token(self, longest: int, recompute: bool) -> tuple[int, int]:
        """(bytes kept, bytes in use for a moment) a token of a batch whose rows have `longest` tokens, head apart."""
        width, inner = self.sizes
        heads = (2 * self.heads + 2 * self.groups) * self.size
        ranks = sum(part.ranks for part in self.layers[-1].products())
        kept = self.dtype.itemsize * (2 * width + heads + 2 * inner + self.heads * longest + ranks)
        moment = self.dtype.itemsize * (8 * inner + 3 * width) + 12 * self.heads * longest
        learned = len(self.layers) - self.frozen
        state = 8 * width
        if recompute:
            return state + learned * self.dtype.itemsize * width, kept + moment
        return state + learned * kept, moment

    def step_done(self) -> None:
        """Forget the gradients: the next `learn` begins anew."""
        for weight in self.weights():
            weight.fresh = True

    def _begin(self, inputs: torch.Tensor) -> tuple[_Rows, torch.Tensor]:
        count, length = inputs.shape
        state = _whole(self.embedding.value[inputs.flatten()].float())
        angles = self.model.model.rotary_emb(state[None, :1], position_ids=torch.arange(length)[None])
        cos, sin = (angle[0, :, : self.size // 2].to(self.dtype) for angle in angles)
        mask = torch.full((length, length), float("-inf")).triu_(1)
        return _Rows(count, length, cos, sin, mask), state

    def _norm(self, state: torch.Tensor, update: torch.Tensor | None, weight: Weight) -> tuple[torch.Tensor, _Normed]:
        """Add `update` to state (n, d) of float32, in place -> normalised and weighted, in the compute precision."""
        hidden, unit, scale = self.passes.norm(state, update, weight.value, self.eps)
        return hidden, _Normed(unit, scale)

    def _norm_back(
        self, total: torch.Tensor, gradient: torch.Tensor, normed: _Normed, weight: Weight
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add the gradient (n, d) before a normalisation to `total`, in place -> it in the compute precision, and what
        the normalisation gave.
        """
        low, to_weight, hidden = self.passes.norm_back(total, gradient, normed.unit, normed.scale, weight.value)
        weight.add(to_weight)
        return low, hidden

    def _forward(self, layer: _Layer, state: torch.Tensor, rows: _Rows) -> _Kept:
        """Run a layer: `state` (n, d) is changed in place."""
        hidden, before = self._norm(state, None, layer.before)
        qkv = layer.qkv(hidden)
        if layer.bias is not None:
            qkv += layer.bias.value
        heads = qkv[: rows.tokens].view(rows.count, rows.length, -1, self.size).transpose(1, 2)
        query, query_norm = self._turned(heads[:, : self.heads], layer.query, rows)
        key, key_norm = self._turned(heads[:, self.heads : -self.groups], layer.key, rows)
        value = heads[:, -self.groups :].reshape(-1, rows.length, self.size)
        scores = torch.bmm(query, key.transpose(1, 2)).float().mul_(self.scaling)
        scores.view(-1, rows.length, rows.length).add_(rows.mask)
        shares = torch.softmax(scores, -1).to(self.dtype)
        attended = torch.bmm(shares, value).view(rows.count, self.heads, rows.length, self.size)
        attended = _whole(attended.transpose(1, 2).reshape(rows.tokens, -1))
        hidden, after = self._norm(state, layer.out(attended), layer.after)
        gate_up = layer.gate_up(hidden)
        state += layer.down(self.passes.swiglu(gate_up))
        return _Kept(before, query_norm, key_norm, query, key, value, shares, attended, after, gate_up)

    def _turned(self, heads: torch.Tensor, weight: Weight | None, rows: _Rows) -> tuple[torch.Tensor, _Normed | None]:
        """heads (b, h, t, d) normalised where the model does, with positions -> (b * groups, h / groups * t, d)."""
        normed = None
        if weight is not None:
            flat, unit, scale = norm(heads.reshape(-1, self.size).float(), None, weight.value, self.eps)
            heads, normed = flat.view(heads.shape), _Normed(unit, scale)
        result = torch.empty(heads.shape, dtype=self.dtype)
        _turn(heads, result, rows.cos, rows.sin)
        return result.view(rows.count * self.groups, -1, self.size), normed

    def _turned_back(
        self, gradient: torch.Tensor, target: torch.Tensor, normed: _Normed | None, weight: Weight | None, rows: _Rows
    ) -> None:
        """Write the gradient of heads before `_turned` into `target` (b, h, t, d)."""
        gradient = gradient.view(target.shape)
        if weight is None or normed is None:
            _turn(gradient, target, rows.cos, -rows.sin)
            return
        straight = torch.empty_like(gradient)
        _turn(gradient, straight, rows.cos, -rows.sin)
        before, to_weight = norm_gradient(straight.view(-1, self.size), normed.unit, normed.scale, weight.value)
        weight.add(to_weight)
        target.copy_(before.view(target.shape))

    def _backward(
        self, layer: _Layer, kept: _Kept, gradient: torch.Tensor, low: torch.Tensor, rows: _Rows
    ) -> torch.Tensor:
        """Turn the gradient (n, d) of what a layer gives into that of what it gets, in place.

        `low` is it in the compute precision; it is returned as it is afterwards.
        """
        given, to_gate_up = self.passes.swiglu_back(layer.down.back(low), kept.gate_up)
        layer.down.learn(low, given)
        del given
        low, hidden = self._norm_back(gradient, layer.gate_up.back(to_gate_up), kept.after, layer.after)
        layer.gate_up.learn(to_gate_up, hidden)
        del to_gate_up
        to_attended = layer.out.back(low)[: rows.tokens].view(rows.count, rows.length, -1, self.size).transpose(1, 2)
        layer.out.learn(low, kept.attended)
        to_qkv = self._attention_back(layer, kept, to_attended.reshape(kept.query.shape), rows)
        if layer.bias is not None:
            layer.bias.add(to_qkv.sum(0))
        low, hidden = self._norm_back(gradient, layer.qkv.back(to_qkv), kept.before, layer.before)
        layer.qkv.learn(to_qkv, hidden)
        return low

    def _attention_back(self, layer: _Layer, kept: _Kept, gradient: torch.Tensor, rows: _Rows) -> torch.Tensor:
        """Gradient of query, key and value (n, all heads) from that of what was attended to."""
        to_shares = torch.bmm(gradient, kept.value.transpose(1, 2)).float()
        shares = kept.shares.float()
        to_scores = to_shares.mul_(shares)
        along = to_scores.sum(-1, keepdim=True)
        to_scores = to_scores.addcmul_(shares, along, value=-1).mul_(self.scaling).to(self.dtype)
        result = torch.empty(len(kept.attended), (self.heads + 2 * self.groups) * self.size, dtype=self.dtype)
        result[rows.tokens :] = 0
        heads = result[: rows.tokens].view(rows.count, rows.length, -1, self.size).transpose(1, 2)
        to_value = torch.bmm(kept.shares.transpose(1, 2), gradient)
        heads[:, -self.groups :].copy_(to_value.view(rows.count, self.groups, rows.length, self.size))
        to_query = torch.bmm(to_scores, kept.key)
        self._turned_back(to_query, heads[:, : self.heads], kept.query_norm, layer.query, rows)
        to_key = torch.bmm(to_scores.transpose(1, 2), kept.query)
        self._turned_back(to_key, heads[:, self.heads : -self.groups], kept.key_norm, layer.key, rows)
        return result

    def _head(self, hidden: torch.Tensor, targets: torch.Tensor, share: float | None) -> tuple[float, torch.Tensor]:
        """(summed cross-entropy, gradient of `share` times it for `hidden` (n, d)); logits become their gradient.

        `hidden` may have empty rows behind those of the targets.
        """
        logits = hidden @ self.head.value.T
        places, chosen = torch.arange(len(targets)), torch.empty(len(targets))
        for rows in torch.split(places, _HEAD_ROWS):
            part = logits[rows[0] : rows[-1] + 1]
            if share is None:
                shares = torch.softmax(part, -1, dtype=torch.float32)
            else:  # in place, and rounded to the compute precision
                shares = torch.softmax(part, -1, out=part)
            chosen[rows] = shares[places[: len(rows)], targets[rows]].float()
        total = -float(chosen.clamp_min(_SMALLEST).log().sum())
        if share is None:
            return total, hidden
        logits[places, targets] = (chosen - 1.0).to(logits.dtype)
        logits[len(targets) :] = 0
        self.head.add_product(logits, hidden * share)
        return total, (logits @ self.head.value).mul_(share)

    def _embedding_back(self, inputs: torch.Tensor, gradient: torch.Tensor) -> None:
        """Add the gradient (n, d) of the tokens read to their rows, once a token."""
        weight = self.embedding
        if weight.gradient is None:
            return
        if weight.fresh:
            weight.gradient.zero_()
            weight.fresh = False
        used, where = torch.unique(inputs.flatten(), return_inverse=True)
        sums = torch.zeros(len(used), gradient.shape[1]).index_add_(0, where, gradient[: len(where)])
        weight.gradient[used] = (weight.gradient[used] + sums).to(self.dtype)

    @torch.no_grad()
    def _is_faithful(self) -> bool:
        """Whether two rows of tokens come out as the model itself computes them, within what rounding explains."""
        training = self.model.training
        self.model.eval()
        words = self.embedding.value.shape[0]
        inputs = torch.arange(5, 29).view(2, 12) * 7 % words
        expected = self.model.model(input_ids=inputs, use_cache=False).last_hidden_state.flatten(0, 1)
        self.model.train(training)
        rows, state = self._begin(inputs)
        for layer in self.layers:
            self._forward(layer, state, rows)
        found, _ = self._norm(state, None, self.last)
        found = found[: len(expected)].float()
        return bool((functional.cosine_similarity(found, expected.float()) > 0.98).all())


def _whole(rows: torch.Tensor) -> torch.Tensor:
    """`rows` (n, d) with empty ones behind them, up to a multiple of `_WHOLE`."""
    return functional.pad(rows, (0, 0, 0, -len(rows) % _WHOLE))


def _turn(source: torch.Tensor, target: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> None:
    """Rotary positions (Su et al. 2021) on the two halves of each head: source and target (b, h, t, d)."""
    first, second = source.chunk(2, -1)
    to_first, to_second = target.chunk(2, -1)
    torch.mul(first, cos, out=to_first).addcmul_(second, sin, value=-1)
    torch.mul(second, cos, out=to_second).addcmul_(first, sin)


def _layer(layer: Any, weight: Any) -> _Layer:
    attention, mlp = layer.self_attn, layer.mlp
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    biases = [projection.bias for projection in projections]
    other = [attention.o_proj.bias, mlp.gate_proj.bias, mlp.up_proj.bias, mlp.down_proj.bias]
    if any(bias is not None for bias in other) or mlp.act_fn.__class__.__name__ not in {"SiLU", "SiLUActivation"}:
        raise AttributeError("another kind of layer")
    return _Layer(
        before=weight(layer.input_layernorm.weight),
        qkv=product_of(projections, weight),
        bias=weight(*biases) if biases[0] is not None else None,
        query=weight(attention.q_norm.weight) if hasattr(attention, "q_norm") else None,
        key=weight(attention.k_norm.weight) if hasattr(attention, "k_norm") else None,
        out=product_of([attention.o_proj], weight),
        after=weight(layer.post_attention_layernorm.weight),
        gate_up=product_of([mlp.gate_proj, mlp.up_proj], weight),
        down=product_of([mlp.down_proj], weight),
    )
