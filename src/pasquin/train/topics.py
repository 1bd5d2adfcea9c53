"""What a post is about, in its own words: those that are frequent in it and rare elsewhere (tf-idf).

From these a model learns to write about words it is given, seen in training with them or not. Not covered: languages
written without spaces, whose words this cannot find (their posts are simply learned without topics).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

MOST: Final = 5
"""Words kept of a post; one to `SHOWN` of them are shown at a time."""
SHOWN: Final = 3
_COMMON: Final = 0.02
"""Words in a larger share of all posts say nothing about one."""
_WORD: Final = re.compile(r"(?<![\w@/.])[^\W\d_][^\W_]{2,23}(?!\w|://|\.\w)")
"""Letters and digits; what belongs to a mention or an address is no word."""


def topics(texts: Sequence[str]) -> list[tuple[str, ...]]:
    """For each text its most distinctive words in lower case, best first; none for a text that has none."""
    words = [Counter(_WORD.findall(text.lower())) for text in texts]
    counts: Counter[str] = Counter()
    for each in words:
        counts.update(each.keys())
    most = max(3, int(_COMMON * len(texts)))
    found = []
    for each in words:
        scores = {
            word: times * math.log(len(texts) / counts[word]) for word, times in each.items() if counts[word] <= most
        }
        found.append(tuple(sorted(scores, key=lambda word: (-scores[word], word))[:MOST]))
    return found
