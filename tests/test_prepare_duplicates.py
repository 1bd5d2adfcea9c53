"""Near-duplicates are found, and nothing else is; clusters hold what belongs together."""

from __future__ import annotations

import itertools
import random

import numpy as np

from invented import texts
from pasquin.prepare.duplicates import (
    STRADDLE_THRESHOLD,
    agreeing,
    band_keys,
    banding,
    find_duplicates,
    jaccard,
    shingle_set,
    suspects,
)
from pasquin.prepare.signatures import digests, sketches
from pasquin.texts import comparable


def shingles(text: str) -> frozenset[str]:
    return shingle_set(comparable(text))


def test_agrees_with_comparing_every_pair() -> None:
    every = texts(300)
    every += [text.replace("the", "that", 1) for text in every[:60]]
    found = find_duplicates(every, 0.8)
    sets = [shingles(text) for text in every]
    kept = [i for i, reason in enumerate(found.reasons) if reason is None]
    for one, other in itertools.combinations(kept, 2):
        alike = jaccard(sets[one], sets[other])
        assert alike < 0.8
        if alike >= 0.6:  # found with a probability of more than 0.9999; at 0.5 itself it is 0.996
            assert found.clusters[one] == found.clusters[other]
    for position, reason in enumerate(found.reasons):
        if reason is not None:
            assert max(jaccard(sets[position], sets[i]) for i in kept if i < position) >= 0.8


def test_the_first_of_equal_texts_stays() -> None:
    found = find_duplicates(["Good morning!", "something else", "good  morning", "GOOD MORNING..."], 0.8)
    assert found.reasons == [None, None, "duplicate", "duplicate"]
    assert found.clusters == [0, 1, 0, 0]


def test_edits_are_near_and_short_posts_are_not_confused() -> None:
    long = "the quiet lighthouse keeper counts ships until the morning bread arrives by boat"
    found = find_duplicates([long, long.replace("quiet", "silent"), "hi bob", "hi rob", "", "a", "b", "🎉", "🎈"], 0.7)
    assert found.reasons[1] == "near_duplicate"
    assert [reason for reason in found.reasons[2:] if reason] == []


def test_a_thousand_copies_of_a_template_stay_cheap_and_in_one_cluster() -> None:
    template = "Today's weather in the lovely town of {} is sunny with a little wind from the west, have a nice day"
    numbers = random.Random(1)
    posts = [template.format("".join(numbers.choices("abcdefghijklmnopqrstuvwxyz", k=24))) for _ in range(1_000)]
    found = find_duplicates(posts, 0.95)
    assert STRADDLE_THRESHOLD < jaccard(shingles(posts[0]), shingles(posts[1])) < 0.95
    assert set(found.clusters) == {0}


def test_many_texts_of_few_words_are_compared_with_few_others_and_copies_are_found_all_the_same() -> None:
    every = texts(3_000)
    copies = [f"{text} indeed" for text in every[:200]]
    keys = [comparable(text) for text in every]
    bands = banding(len(keys))
    found, sizes = digests(keys, bands.orders)
    alike = 0
    for band in band_keys(found, bands):
        groups = agreeing(band)
        alike = max(alike, int(groups.lengths.max()))
        pairs = suspects(groups, sizes, sketches(found), STRADDLE_THRESHOLD, leaders=True)
        _, counts = np.unique(pairs[:, 1], return_counts=True)
        assert counts.max() <= 8
    assert alike > 50  # that many agree in a band
    judged = find_duplicates([*every, *copies], 0.8)
    near = [jaccard(shingles(text), shingles(copy)) >= 0.8 for text, copy in zip(every, copies, strict=False)]
    dropped = [reason is not None for reason in judged.reasons[len(every) :]]
    assert sum(near) > 150
    assert all(gone for gone, copied in zip(dropped, near, strict=True) if copied)
