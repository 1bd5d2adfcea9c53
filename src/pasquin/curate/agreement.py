"""How far several curators agree, beyond what chance would give. Pure functions over labels; no store in here."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

_Z: Final = 1.959963984540054
"""The normal quantile of a 95% interval."""


@dataclass(frozen=True, slots=True)
class Kappa:
    """Agreement beyond chance: 1 is perfect, 0 what chance gives; with a 95% interval, over `n` candidates.

    `value` is None where it is not defined: nothing rated by all, or everybody always said the same one thing.
    """

    value: float | None
    low: float | None
    high: float | None
    observed: float | None
    n: int


def cohen_kappa(one: Sequence[Hashable], other: Sequence[Hashable]) -> Kappa:
    """Cohen's kappa of two raters' labels for the same subjects, in the same order (Cohen 1960).

    The interval is the large-sample one, kappa +- 1.96 sqrt(po (1 - po) / (n (1 - pe)^2)) (Fleiss, Levin, Paik 2003,
    the simple form), cut at -1 and 1. Raises ValueError when the lengths differ.
    """
    if len(one) != len(other):
        raise ValueError("both raters must have rated the same subjects")
    n = len(one)
    if n == 0:
        return Kappa(None, None, None, None, 0)
    observed = sum(a == b for a, b in zip(one, other, strict=True)) / n
    left, right = Counter(one), Counter(other)
    expected = sum(left[label] * right[label] for label in left) / n**2
    if expected >= 1:
        return Kappa(None, None, None, observed, n)
    return _kappa(observed, expected, math.sqrt(observed * (1 - observed) / n) / (1 - expected), n)


def fleiss_kappa(ratings: Sequence[Sequence[Hashable]]) -> Kappa:
    """Fleiss' kappa: each subject's labels, the same number (two or more) of raters for each (Fleiss 1971).

    The interval is a jackknife's over subjects, cut at -1 and 1. Raises ValueError when subjects have different numbers
    of raters.
    """
    n = len(ratings)
    if n == 0:
        return Kappa(None, None, None, None, 0)
    raters = len(ratings[0])
    if raters < 2 or any(len(labels) != raters for labels in ratings):
        raise ValueError("every subject must have the same number of raters, two or more")
    counts = [Counter(labels) for labels in ratings]
    agreeing = [(sum(count * count for count in row.values()) - raters) / (raters * (raters - 1)) for row in counts]
    totals: Counter[Hashable] = Counter()
    for row in counts:
        totals.update(row)
    observed, value = _fleiss(sum(agreeing), totals, n, raters)
    if value is None:
        return Kappa(None, None, None, observed, n)
    without = (_fleiss(sum(agreeing) - agreeing[i], totals - counts[i], n - 1, raters)[1] for i in range(n) if n > 1)
    left_out = [each for each in without if each is not None]
    if len(left_out) < 2:
        return Kappa(value, None, None, observed, n)
    middle = sum(left_out) / len(left_out)
    error = math.sqrt((len(left_out) - 1) / len(left_out) * sum((each - middle) ** 2 for each in left_out))
    return Kappa(value, max(-1.0, value - _Z * error), min(1.0, value + _Z * error), observed, n)


def _fleiss(agreeing: float, totals: Mapping[Hashable, int], n: int, raters: int) -> tuple[float, float | None]:
    observed = agreeing / n
    expected = sum((count / (n * raters)) ** 2 for count in totals.values())
    return observed, None if expected >= 1 else (observed - expected) / (1 - expected)


def _kappa(observed: float, expected: float, error: float, n: int) -> Kappa:
    value = (observed - expected) / (1 - expected)
    return Kappa(value, max(-1.0, value - _Z * error), min(1.0, value + _Z * error), observed, n)


@dataclass(frozen=True, slots=True)
class Agreement:
    """Cohen's kappa of each two curators over what both decided, Fleiss' of all over what everybody decided."""

    pairs: dict[tuple[str, str], Kappa]
    everybody: Kappa | None
    disagreements: list[str]


def agreement(labels: Mapping[str, Mapping[str, Hashable]]) -> Agreement:
    """From `{candidate: {curator: label}}`; `everybody` is None with fewer than three curators.

    `disagreements` are the candidates on which not all who decided said the same, in the order given.
    """
    curators = sorted({curator for given in labels.values() for curator in given})
    pairs = {}
    for one, other in combinations(curators, 2):
        both = [given for given in labels.values() if one in given and other in given]
        pairs[one, other] = cohen_kappa([given[one] for given in both], [given[other] for given in both])
    everybody = None
    if len(curators) > 2:
        all_of = [[given[curator] for curator in curators] for given in labels.values() if len(given) == len(curators)]
        everybody = fleiss_kappa(all_of)
    return Agreement(pairs, everybody, [name for name, given in labels.items() if len(set(given.values())) > 1])
