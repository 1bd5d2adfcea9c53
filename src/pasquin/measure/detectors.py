"""Programs that guess: how well a plain classifier tells candidates from human posts, beside how well people do.

The detectors are fitted and tested on different texts (5 folds), on pairs matched in length. The first sees words and
character n-grams, weighs them by tf-idf and fits a logistic regression; the second sees how likely a language model
finds each token: the mean of the losses and their spread (truncated sampling shows by its missing surprises); the last
sees nothing but the length, and shows by an AUC near 0.5 that the matching worked. A detector's AUC compares with the
players' Φ(d'/√2).

Needs scikit-learn: `pip install 'pasquin[measure]'`.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pasquin.errors import CorpusError, ResourceError
from pasquin.measure.arrays import Flags, Floats
from pasquin.measure.clustered import Estimate
from pasquin.measure.detection import area_under_curve, d_prime_and_c

FOLDS = 5
FEWEST_PAIRS = 25
_MOST_PAIRS = 5_000
_MOST_READ = 500
"""Pairs that a language model reads: it takes a second for about 60 texts."""
_LENGTH_RATIO = 1.1

Losses = Callable[[Sequence[str]], Sequence[Floats]]
"""The loss of each token of each text, in nats, under a language model."""


def matched(human: Sequence[str], model: Sequence[str], seed: int = 0) -> tuple[list[str], list[str]]:
    """Pairs of one text each of nearly the same length (within a tenth, or two characters), each text used once."""
    draw = random.Random(seed)
    left = sorted((len(text), draw.random(), text) for text in human)
    ours, theirs = [], []
    for text in draw.sample(list(model), len(model)):
        at = bisect_left(left, (len(text), 0.0, ""))
        near = [place for place in (at - 1, at) if 0 <= place < len(left)]
        best = min(near, key=lambda place: abs(left[place][0] - len(text)), default=None)
        if best is not None and abs(left[best][0] - len(text)) <= max(2, (_LENGTH_RATIO - 1) * len(text)):
            ours.append(left.pop(best)[2])
            theirs.append(text)
        if len(ours) == _MOST_PAIRS:
            break
    return ours, theirs


def scorecard(
    human: Sequence[str], model: Sequence[str], *, losses: Losses | None = None, seed: int = 0
) -> list[dict[str, Any]]:
    """Each detector's `{name, auc, accuracy, d_prime, n}` on matched pairs; with `losses`, that of likelihood too.

    Raises CorpusError with fewer than 25 pairs, ResourceError without scikit-learn, and what `losses` raises.
    """
    ours, theirs = matched(human, model, seed)
    if len(ours) < FEWEST_PAIRS:
        raise CorpusError(
            f"Detectors need {FEWEST_PAIRS} pairs of a held-out post and a candidate of the same length; there are "
            f"{len(ours)}. Collect or generate more."
        )
    texts = [*ours, *theirs]
    of_model = np.arange(len(texts)) >= len(ours)
    rows = [_row("words and letters (n-grams, logistic regression)", _n_gram_scores(texts, of_model, seed), of_model)]
    if losses is not None:
        few = min(len(ours), _MOST_READ)
        read, whose = losses([*ours[:few], *theirs[:few]]), np.arange(2 * few) >= few
        rows.append(_row("likelihood (mean and spread of token losses)", _loss_scores(read, whose, seed), whose))
    rows.append(_row("length alone", np.array([float(len(text)) for text in texts]), of_model))
    return rows


def _n_gram_scores(texts: list[str], of_model: Flags, seed: int) -> Floats:
    """The probability of "model" of each text, by a classifier that has not seen it."""
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import make_union
    except ImportError as exc:
        raise ResourceError("Detectors need one more package: pip install 'pasquin[measure]'.") from exc
    seen = make_union(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=r"\w+|[^\w\s]"),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), min_df=3, sublinear_tf=True, lowercase=False),
    )
    try:
        return _cross_validated(seen, texts, of_model, seed)
    except ValueError as exc:
        raise CorpusError(f"The texts have too little in common to fit a detector ({exc}). Collect more.") from exc


def _loss_scores(losses: Sequence[Floats], of_model: Flags, seed: int) -> Floats:
    """The same by the mean and the standard deviation of a text's token losses, and their squares."""
    from sklearn.preprocessing import StandardScaler

    seen = np.array([(loss.mean(), loss.std()) if len(loss) else (0.0, 0.0) for loss in losses])
    return _cross_validated(StandardScaler(), np.concatenate([seen, seen**2], axis=1), of_model, seed)


def _cross_validated(seen: Any, given: Any, of_model: Flags, seed: int) -> Floats:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline

    classifier = make_pipeline(seen, LogisticRegression(C=4.0, max_iter=1000))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    return np.asarray(cross_val_predict(classifier, given, of_model, cv=folds, method="predict_proba")[:, 1])


def _row(name: str, scores: Floats, of_model: Flags) -> dict[str, Any]:
    area = area_under_curve(scores, of_model)
    assert area is not None
    threshold = 0.5 if scores.max() <= 1 else float(np.median(scores))
    said = scores > threshold
    hits, alarms = int(said[of_model].sum()), int(said[~of_model].sum())
    half = int(of_model.sum())
    return {
        "name": name,
        "auc": _figure(area),
        "accuracy": float((said == of_model).mean()),
        "d_prime": d_prime_and_c(hits, half, alarms, half)[0],
        "n": len(scores),
    }


def _figure(area: Estimate) -> dict[str, Any]:
    return {"value": area.value, "low": area.low, "high": area.high, "n": area.n}
