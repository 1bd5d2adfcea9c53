"""Where the longest run stands that a candidate shares with a real post, in both texts as they are shown.

The screen compares texts without case and punctuation; here the run found like that is led back to the places in the
original texts, so that a page can highlight it.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

from pasquin.screen.novelty import longest_shared_run

_SHORTEST: Final = 8
"""Shorter runs are in any two texts, and are not shown."""
_LONGEST_TEXT: Final = 5_000
_APOSTROPHES: Final = "'’‘ʼ`´"


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a text, in code points, end exclusive."""

    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class SharedRun:
    """Where the run stands in the candidate and in the post."""

    candidate: Span
    post: Span


def shared_run(candidate: str, post: str) -> SharedRun | None:
    """The longest run that both texts share, None when it is too short to mean anything."""
    one, one_places = _folded(candidate[:_LONGEST_TEXT])
    other, other_places = _folded(post[:_LONGEST_TEXT])
    run = longest_shared_run(one, other)
    run = run.strip()
    if len(run) < _SHORTEST:
        return None
    return SharedRun(_place(one, one_places, run), _place(other, other_places, run))


def _place(folded: str, places: list[int], run: str) -> Span:
    start = folded.index(run)
    return Span(places[start], places[start + len(run) - 1] + 1)


def _folded(text: str) -> tuple[str, list[int]]:
    """The text without case and punctuation, words apart by one space, and where each of its characters came from."""
    letters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        if character in _APOSTROPHES:
            continue
        if character.isspace() or unicodedata.category(character)[0] in "PZC":
            folded = "" if not letters or letters[-1] == " " else " "
        else:
            folded = unicodedata.normalize("NFKC", character).casefold()
        letters.extend(folded)
        places.extend([place] * len(folded))
    return "".join(letters), places
