"""What all engines do to generated token ids: cut at the end token, decode, cut at a stop text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pasquin.records import Completion, FinishReason, Sampling

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_HALF: Final = "\ufffd"
"""What half a character decodes to."""


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


@dataclass(frozen=True, slots=True)
class Token:
    """A token of a text: what it says, the model's log-probability of it, and where in the text it begins."""

    text: str
    log_prob: float
    offset: int


class Unfolding:
    """The text of one sequence while its tokens come.

    What `take` hands over never has to be taken back: half a character, and what may turn out to be the beginning of a
    stop text, is kept until that is settled. All pieces together are the text that `completion` gives.
    """

    def __init__(self, end_id: int, tokenizer: Tokenizer, sampling: Sampling) -> None:
        """`sampling.stop` are the texts that end it."""
        self.tokens = 0
        self.finish: FinishReason | None = None
        self._end_id, self._tokenizer = end_id, tokenizer
        self._stops = tuple(stop for stop in sampling.stop if stop)
        self._most = sampling.max_tokens
        self._ids: list[int] = []
        self._text = ""
        self._shown = 0
        self._scored: list[Token] = []

    def feed(self, ids: Sequence[int], log_probs: Sequence[float] = ()) -> None:
        """Tokens that were drawn, in order; `finish` tells whether the text has ended with them."""
        for at, token in enumerate(ids):
            if self.finish is not None:
                return
            self.tokens += 1
            if token == self._end_id:
                self.finish = "stop"
                break
            self._ids.append(token)
            if log_probs:
                begin = len(self._text.rstrip(_HALF))
                self._text = self._decode(self._ids)
                self._scored.append(Token(self._decode([token]), log_probs[at], begin))
        self._text = self._decode(self._ids)
        cuts = [at for at in (self._text.find(stop) for stop in self._stops) if at >= 0]
        if cuts:
            self._text, self.finish = self._text[: min(cuts)], "stop"
        elif self.finish is None and self.tokens >= self._most:
            self.finish = "length"

    def take(self) -> tuple[str, list[Token]]:
        """The text that is settled and was not yet taken, with its tokens when they have log-probabilities."""
        whole = len(self._text) if self.finish is not None else self._settled()
        piece, self._shown = self._text[self._shown : whole], max(self._shown, whole)
        ready = [token for token in self._scored if token.offset < self._shown]
        self._scored = self._scored[len(ready) :]
        return piece, ready

    def _settled(self) -> int:
        text = self._text.rstrip(_HALF)
        held = 0
        for stop in self._stops:
            held = max([held, *(size for size in range(1, len(stop)) if text.endswith(stop[:size]))])
        return max(len(text) - held, self._shown)

    def _decode(self, ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=False)
        return text
