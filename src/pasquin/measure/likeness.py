"""How like one heap of texts is to another: MAUVE, and how varied each is: distinct-n.

MAUVE (Pillutla et al. 2021, "MAUVE: Measuring the Gap Between Neural Text and Human Text using Divergence Frontiers")
groups the embeddings of both heaps into cells, and asks how well mixtures of the two distributions over cells explain
each: 1 when they are the same, near 0 when they share no cell. The value depends on the embedding and the number of
texts, so it compares with others made here alike and with nothing else; `ceiling` is what human texts reach against
human texts, of the same number. The embedding is ours: tf-idf of words and character n-grams, its leading singular
directions (latent semantic analysis), at unit length. It sees subjects and style, not sense.

Needs scikit-learn: `pip install 'pasquin[measure]'`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from pasquin.errors import CorpusError, InputError, ResourceError
from pasquin.measure.arrays import Floats
from pasquin.texts import comparable

SCALE: Final = 5.0
"""The paper's c: how strictly divergence is punished."""
FEWEST: Final = 50
_DIMENSIONS: Final = 100
_MOST_TEXTS: Final = 5_000
_GRID: Final = 99
_TEXTS_A_CELL: Final = 10
_MISSING: Final = "This figure needs one more package: pip install 'pasquin[measure]'."


def distinct(texts: Sequence[str], n: int = 2) -> float | None:
    """Different runs of `n` words over all such runs in all texts (Li et al. 2016); None where there is no run.

    It falls as texts get more: compare heaps of the same number.
    """
    runs = [run for text in texts for run in _runs(comparable(text).split(), n)]
    return len(set(runs)) / len(runs) if runs else None


def _runs(words: list[str], n: int) -> Iterator[tuple[str, ...]]:
    return zip(*(words[first:] for first in range(n)), strict=False)


def frontier_area(p: Floats, q: Floats, scale: float = SCALE) -> float:
    """The area under the divergence frontier of two distributions over the same cells, (k,) each; from 0 to 1.

    The curve's points are exp(-scale KL(q | r)) and exp(-scale KL(p | r)) for mixtures r of p and q, with (0, 1) and
    (1, 0) at its ends. Raises InputError unless both are distributions.
    """
    p, q = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    if p.shape != q.shape or p.ndim != 1 or min(p.min(), q.min()) < 0 or not np.allclose([p.sum(), q.sum()], 1):
        raise InputError("A frontier lies between two distributions over the same cells, each of sum 1.")
    share = np.linspace(0, 1, _GRID + 2)[1:-1, None]
    mixtures = share * p + (1 - share) * q
    x = np.concatenate([[0.0], np.exp(-scale * _divergence(q, mixtures)), [1.0]])
    y = np.concatenate([[1.0], np.exp(-scale * _divergence(p, mixtures)), [0.0]])
    order = np.lexsort((-y, x))
    return float(np.trapezoid(y[order], x[order]))


def _divergence(p: Floats, mixtures: Floats) -> Floats:
    """KL(p | r) of each row r, in nats; every r is positive where p is."""
    there = p > 0
    return np.asarray((p[there] * np.log(p[there] / mixtures[:, there])).sum(axis=1))


def mauve(human: Floats, model: Floats, *, seed: int = 0, scale: float = SCALE) -> float:
    """MAUVE of two arrays of embeddings, (n, d) and (m, d); 1: the same distribution.

    Cells are those of k-means over both, one for every ten texts of the smaller heap; counts are smoothed by a half
    (Krichevsky and Trofimov), without which few texts look further apart than they are. Raises CorpusError with fewer
    than 50 texts a heap, ResourceError without scikit-learn.
    """
    few = min(len(human), len(model))
    if few < FEWEST:
        raise CorpusError(f"MAUVE needs {FEWEST} texts of each origin; there are {few}. Collect or generate more.")
    try:
        from sklearn.cluster import KMeans
    except ImportError as exc:
        raise ResourceError(_MISSING) from exc
    cells = max(2, few // _TEXTS_A_CELL)
    found = KMeans(cells, n_init=3, random_state=seed).fit_predict(np.concatenate([human, model]))
    p, q = (np.bincount(part, minlength=cells) + 0.5 for part in (found[: len(human)], found[len(human) :]))
    return frontier_area(p / p.sum(), q / q.sum(), scale)


def embed(texts: Sequence[str], seed: int = 0) -> Floats:
    """Embeddings of texts by latent semantic analysis, (n, at most 100), each of length 1.

    Raises ResourceError without scikit-learn, CorpusError for texts that have nothing in common.
    """
    try:
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import make_union
        from sklearn.preprocessing import normalize
    except ImportError as exc:
        raise ResourceError(_MISSING) from exc
    seen = make_union(
        TfidfVectorizer(min_df=2, sublinear_tf=True, token_pattern=r"\w+|[^\w\s]"),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), min_df=3, sublinear_tf=True, max_features=50_000),
    )
    try:
        weights = seen.fit_transform(texts)
        size = min(_DIMENSIONS, weights.shape[1] - 1, len(texts) - 1)
        return np.asarray(normalize(TruncatedSVD(size, random_state=seed).fit_transform(weights)))
    except ValueError as exc:
        raise CorpusError(f"The texts have too little in common to compare them ({exc}). Collect more.") from exc


def likeness(human: Sequence[str], model: Sequence[str], *, seed: int = 0) -> dict[str, Any]:
    """`{mauve, ceiling, distinct_2, human_distinct_2, n}` of as many texts of each origin, at most 5,000.

    `ceiling` is the MAUVE of one half of the human texts against the other, made with the same number of texts as
    `mauve`: of half of each. Raises CorpusError with fewer than 100 texts of an origin, ResourceError without
    scikit-learn.
    """
    draw = random.Random(seed)
    n = min(len(human), len(model), _MOST_TEXTS)
    if n < 2 * FEWEST:
        raise CorpusError(
            f"To compare heaps of texts takes {2 * FEWEST} of each origin; there are {n}. Collect or generate more."
        )
    ours, theirs = draw.sample(list(human), n), draw.sample(list(model), n)
    found = embed([*ours, *theirs], seed)
    half = n // 2
    return {
        "mauve": mauve(found[:half], found[n : n + half], seed=seed),
        "ceiling": mauve(found[:half], found[half : 2 * half], seed=seed),
        "distinct_2": distinct(theirs),
        "human_distinct_2": distinct(ours),
        "n": n,
    }
