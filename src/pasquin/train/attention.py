"""Causal attention for rows of a few dozen tokens, as plain matrix products.

The fused kernels of torch are made for long rows; on posts their backward pass alone costs a quarter of a training
step on a CPU. Here the query heads that share a key head become one product with it, nothing is repeated or masked by
a tensor the size of the batch, and the softmax is float32. Rows are padded on the right, where no token looks.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch.nn import functional

NAME: Final = "pasquin_short_rows"
_LONGEST: Final = 512


def short_rows(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention in the form transformers calls it: query (b, h, t, d), key and value (b, k, s, d) -> (b, t, h, d).

    The last query stands at the last key's position. `attention_mask` is ignored (there is never one here).
    """
    batch, heads, length, size = query.shape
    groups, seen = key.shape[1], key.shape[2]
    scale = size**-0.5 if scaling is None else scaling
    if max(length, seen) > _LONGEST and length == seen:
        out = functional.scaled_dot_product_attention(
            query, key, value, dropout_p=dropout, is_causal=True, scale=scale, enable_gqa=groups != heads
        )
        return out.transpose(1, 2).contiguous(), None
    shared = heads // groups
    rows = query.reshape(batch * groups, shared * length, size)
    scores = torch.bmm(rows, key.reshape(batch * groups, seen, size).transpose(1, 2)).float() * scale
    hidden = torch.ones(length, seen, dtype=torch.bool, device=query.device).triu(seen - length + 1)
    scores = scores.view(-1, length, seen).masked_fill(hidden, float("-inf"))
    shares = torch.softmax(scores, -1).view(batch * groups, shared * length, seen)
    if dropout:
        shares = functional.dropout(shares, dropout)
    out = torch.bmm(shares.to(value.dtype), value.reshape(batch * groups, seen, size))
    return out.view(batch, heads, length, size).transpose(1, 2).contiguous(), None


def use_short_rows(model: Any) -> bool:
    """Switch a model to `short_rows` if that gives the logits it gave before (some models do more in attention).

    Returns whether it was switched.
    """
    from transformers import AttentionInterface

    before = _logits(model)
    AttentionInterface.register(NAME, short_rows)
    kept = model.config._attn_implementation
    try:
        model.set_attn_implementation(NAME)
        same = torch.allclose(_logits(model), before, rtol=1e-3, atol=1e-3)
    except (TypeError, ValueError, NotImplementedError, RuntimeError):
        same = False
    if not same:
        model.set_attn_implementation(kept)
    return same


@torch.no_grad()
def _logits(model: Any) -> torch.Tensor:
    training = model.training
    model.eval()
    weight = model.get_input_embeddings().weight
    ids = torch.arange(24, device=weight.device).view(2, 12) % weight.shape[0]
    logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits
    model.train(training)
    return logits
