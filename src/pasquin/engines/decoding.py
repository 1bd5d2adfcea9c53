"""What all engines do to generated token ids: cut at the end token, decode, cut at a stop text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pasquin.records import Completion, Sampling

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def completion(index: int, ids: Sequence[int], end_id: int, tokenizer: Tokenizer, sampling: Sampling) -> Completion:
    """The completion of prompt `index` from its generated `ids` (prompt excluded, end token included when it came).

    Special tokens other than the end token stay visible in the text, and bytes that are no UTF-8 become U+FFFD, so
    that the screen sees what went wrong.
    """
    ended = end_id in ids
    kept = list(ids[: ids.index(end_id)]) if ended else list(ids)
    text = tokenizer.decode(kept, skip_special_tokens=False)
    cuts = [at for at in (text.find(stop) for stop in sampling.stop if stop) if at >= 0]
    if cuts:
        text, ended = text[: min(cuts)], True
    return Completion(index=index, text=text, tokens=len(ids), finish="stop" if ended else "length")
