"""A card of the game: an item, its source, and the one way in which texts of both origins are made fit to be shown."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

import regex

from pasquin.records import Arm, Item
from pasquin.texts import normalise

_STACKED_MARKS = regex.compile(r"(\p{M}{4})\p{M}+")
_THREAD = regex.compile(
    r"""^(?!24/7)[\[(]?\d{1,2}\s?/\s?(?:\d{1,2}|n|x)?[\])]?(?=[\s:.)]|$)   # "1/ …", "(2/5) …", "3/n: …"
      | (?:^|\s)(?!24/7)[\[(]?\d{1,2}\s?/\s?(?:\d{1,2}|n|x)?[\])]?[.…]?$   # "… 1/", "… (2/5)"
      | (?:^|\s)(?:\U0001F9F5|thread\b:?\s*(?:👇|⬇|\U0001F9F5))    # a spool, "thread" with a finger down
    """,
    regex.IGNORECASE | regex.VERBOSE,
)
_CUT_OFF = regex.compile(
    r"(?:…|\.\.\.)\s*$|[:,(\[–—-]\s*$|^\s*[,;:)\]]|\(\s*\)|\b(?:via|by|from|RT|h/t)\s*@?\s*$", regex.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class NearestPost:
    """The real post a model item comes closest to."""

    text: str
    author: str
    url: str | None


@dataclass(frozen=True, slots=True)
class HumanSource:
    """Where a human item comes from; shown after the guess."""

    author: str
    created_at: datetime | None
    likes: int | None
    url: str | None


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a model item comes from; shown after the guess.

    `nearest` is None when nothing is shared with any post, or when showing it would give away a card still to come.
    """

    model: str
    account: str | None
    similarity: float
    longest_run: int
    nearest: NearestPost | None
    arm: Arm = "screened"


@dataclass(frozen=True, slots=True)
class Card:
    """An item, the handle it is written in the voice of (None: of the whole corpus), and its source.

    `moment` is when a human item was written, for a model item when the post nearest to it was. `near` are the keys of
    cards that read nearly alike; `lot` is a hash that those share (see `shares`).
    """

    item: Item
    account: str | None
    source: HumanSource | ModelSource
    moment: datetime | None = None
    near: frozenset[str] = frozenset()
    lot: int = 0

    @property
    def arm(self) -> Arm | None:
        """What stands behind a model item, None for a human one."""
        return self.source.arm if isinstance(self.source, ModelSource) else None

    def known(self, seen: AbstractSet[str]) -> bool:
        """Whether this card or one that reads nearly alike is among the keys `seen`."""
        return self.item.key in seen or bool(self.near and not self.near.isdisjoint(seen))


def size(card: Card) -> int:
    """Bytes of a card's text: what its length is measured by, as that is what the wire would show."""
    return len(card.item.text.encode())


def shown_text(text: str) -> str:
    """A text as players see it, the same for both origins: normalised, at most four combining marks on a letter."""
    return str(_STACKED_MARKS.sub(r"\1", normalise(text)))


def fit_to_show(text: str) -> bool:
    """Whether a shown text stands for itself: it is there, is no part of a thread and was not cut off.

    Asked of both origins. Real posts have lost their links, and pieces of threads ("2/5", "more: ") have lost their
    neighbours; models write such pieces too, but not as often, so they would tell.
    """
    return bool(text) and not _THREAD.search(text) and not _CUT_OFF.search(text)
