"""How offensive a text is, by a small model that the package alt-profanity-check carries; nothing is downloaded.

A linear model over words, learned from 200,000 English comments that people labelled. It knows swearing and insults
well, in English, and takes banter among friends for them; of hate that is put politely ("go back to where you came
from") it sees next to nothing. So it is looked at only where somebody asks for it, and spares nobody from reading.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from pasquin.errors import ResourceError


class Toxicity:
    """Finds texts that score `threshold` (0 to 1) or more. Raises ResourceError when the package is not there."""

    def __init__(self, threshold: float) -> None:
        """Load the model, which takes a second."""
        self.threshold = threshold
        try:
            module = import_module("profanity_check")
        except ImportError as exc:
            raise ResourceError(
                "Texts cannot be scored for toxicity: install `pip install 'pasquin[toxicity]'`, or leave `toxicity` "
                "out of the settings."
            ) from exc
        self._scores: Callable[[Sequence[str]], Any] = module.predict_prob

    def score(self, text: str) -> float:
        """From 0 to 1; 2.5 ms."""
        return float(self._scores([text])[0])

    def judge(self, text: str) -> str | None:
        """`toxic` when the text scores too high, None when it does not."""
        return "toxic" if self.score(text) >= self.threshold else None
