"""Which cards read nearly alike: a player who has seen one is not shown the other.

Two texts are near when the sets of words and word pairs in them (without case, digits and punctuation) have a Jaccard
similarity of a half or more. Suspects come from MinHash (rensa), each is checked by the real similarity.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from pasquin.texts import comparable

NEAR: Final = 0.5
_BANDS: Final = 42
_ROWS: Final = 3
_SEED: Final = 1
_MOST_SUSPECTS: Final = 256
_DIGITS: Final = re.compile(r"\d+")


def near_texts(texts: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """For each key of `texts` the keys of other texts near to it; keys without any are left out."""
    from rensa import RMinHash, RMinHashLSH

    keys = list(texts)
    features = [_features(texts[key]) for key in keys]
    lsh = RMinHashLSH(threshold=NEAR, num_perm=_BANDS * _ROWS, num_bands=_BANDS)
    hashes = RMinHash.from_token_sets([list(found) for found in features], _BANDS * _ROWS, _SEED) if keys else []
    near: defaultdict[str, set[str]] = defaultdict(set)
    for at, minhash in enumerate(hashes):
        for other in _suspects(at, lsh.query(minhash), features):
            if _jaccard(features[at], features[other]) >= NEAR:
                near[keys[at]].add(keys[other])
                near[keys[other]].add(keys[at])
        lsh.insert(at, minhash)
    return {key: frozenset(others) for key, others in near.items()}


def _features(text: str) -> frozenset[str]:
    words = _DIGITS.sub("0", comparable(text)).split()
    return frozenset(words) | {f"{one} {other}" for one, other in pairwise(words)}


def _suspects(at: int, found: Sequence[int], features: Sequence[frozenset[str]]) -> Sequence[int]:
    """The suspects worth a look: where there are too many (templates by the thousand), those nearest in size."""
    if len(found) <= _MOST_SUSPECTS:
        return found
    size = len(features[at])
    return sorted(found, key=lambda other: abs(len(features[other]) - size))[:_MOST_SUSPECTS]


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    shared = len(one & other)
    return shared / max(1, len(one) + len(other) - shared)
