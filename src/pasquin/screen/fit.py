"""Whether a completion can be a post at all, by looking at it alone: complete, whole, of the right length, no loop."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pasquin.lengths import Target, length_for
from pasquin.records import Completion
from pasquin.texts import normalise

# Boundary tokens that leaked into the text, as models of all kinds spell them, and the mark of undecodable bytes.
_MARKER: Final = re.compile(r"<\|[^|<>\n]{1,40}\|>|</?s>|\[/?INST\]|<(?:bos|eos|pad|unk)>|�")
# A unit of at least eight characters said four times in a row. Shorter units, and those of hardly any different
# characters, are laughter, shouting and rows of emoji.
_LOOP: Final = re.compile(r"(.{8,80}?)\1{3,}", re.DOTALL)
_LOOP_MIN: Final = 32
_LOOP_CHARACTERS: Final = 4


@dataclass(frozen=True)
class Fit:
    """Limits of a text's length, in characters (code points) after normalising, and by the rules of a network."""

    min_characters: int
    max_characters: int
    target: Target | None = None
    """The network that a text must fit, as its publisher counts."""

    def judge(self, completion: Completion, prefix: str = "") -> tuple[str | None, str]:
        """Why `prefix` + completion cannot be a post (None: it can), and the normalised text."""
        text = normalise(prefix + completion.text)
        if completion.finish != "stop":
            return "incomplete", text
        if _MARKER.search(text):
            return "garbled", text
        if not text or not completion.text.strip():
            return "empty", text
        if len(text) < self.min_characters:
            return "too_short", text
        if len(text) > self.max_characters or (self.target and not length_for(self.target, text).fits):
            return "too_long", text
        return ("repetitive" if _loops(text) else None), text


def _loops(text: str) -> bool:
    """Whether a loop fills at least half of the text."""
    if len(text) < _LOOP_MIN or len({text[i : i + 8] for i in range(len(text) - 7)}) > 0.75 * (len(text) - 7):
        return False  # too varied for a loop that fills half: spares nearly all texts the slow search
    loop = _LOOP.search(text)
    return loop is not None and 2 * len(loop[0]) >= len(text) and len(set(loop[1])) >= _LOOP_CHARACTERS
