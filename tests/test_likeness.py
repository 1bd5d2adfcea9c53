"""How like one heap of texts is to another: known values, limits, and what nonsense gets."""

from __future__ import annotations

import math

import numpy as np
import pytest

from invented import texts as invented_texts
from pasquin.errors import CorpusError, InputError
from pasquin.measure.likeness import distinct, embed, frontier_area, likeness, mauve


def test_distinct_counts_runs_of_words() -> None:
    assert distinct(["a b c", "A b, d"]) == pytest.approx(3 / 4)
    assert distinct(["a b c d"], n=3) == 1.0
    assert distinct(["one", ""]) is None


def test_the_frontier_of_equal_and_of_disjoint_distributions() -> None:
    same = np.array([0.2, 0.3, 0.5])
    assert frontier_area(same, same) == pytest.approx(1.0)
    # Of disjoint distributions with share λ of p: KL(q|r) = -ln(1-λ), KL(p|r) = -ln λ, so the curve is x = (1-λ)^c,
    # y = λ^c, and its area is that of the beta function, c B(c, c+1).
    p, q = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    for scale in (1.0, 2.0, 5.0):
        expected = scale * math.gamma(scale) * math.gamma(scale + 1) / math.gamma(2 * scale + 1)
        assert frontier_area(p, q, scale) == pytest.approx(expected, abs=0.001)
    assert frontier_area(p, q) == pytest.approx(frontier_area(q, p))
    near, far = np.array([0.25, 0.3, 0.45]), np.array([0.8, 0.1, 0.1])
    assert 1 > frontier_area(same, near) > frontier_area(same, far) > 0


@pytest.mark.parametrize("q", [[0.5, 0.6], [1.2, -0.2], [1.0], [0.5, float("nan")]])
def test_what_is_no_distribution_is_refused(q: list[float]) -> None:
    with pytest.raises(InputError, match="sum 1"):
        frontier_area(np.array([0.5, 0.5]), np.array(q))


def test_mauve_of_points() -> None:
    draw = np.random.default_rng(0)
    human, alike, shifted = draw.normal(size=(3, 400, 5))
    assert mauve(human, alike) > 0.9
    assert 0.05 < mauve(human, shifted + np.array([1.5, 0, 0, 0, 0])) < 0.8
    assert mauve(human, shifted + 50) < 0.05
    assert mauve(human, alike, seed=3) == mauve(human, alike, seed=3)


def test_heaps_of_texts() -> None:
    heap = invented_texts(400)
    alike = likeness(heap[::2], heap[1::2])
    other = [" ".join(f"{word}ish" for word in text.split()) for text in heap[:200]]
    unlike = likeness(heap[200:], other)
    assert alike["n"] == 200
    assert alike["mauve"] > 0.8 > 0.2 > unlike["mauve"]
    assert alike["ceiling"] > 0.8
    assert 0 < alike["distinct_2"] < 1
    assert np.linalg.norm(embed(heap), axis=1) == pytest.approx(1.0)


def test_too_few_and_too_odd_texts_are_told() -> None:
    with pytest.raises(CorpusError, match="100 of each origin"):
        likeness(["a text"] * 99, ["another"] * 300)
    with pytest.raises(CorpusError, match="50 texts"):
        mauve(np.zeros((49, 2)), np.zeros((60, 2)))
    with pytest.raises(CorpusError, match="too little in common"):
        embed(["one", "two", "three"])
