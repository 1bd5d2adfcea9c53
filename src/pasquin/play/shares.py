"""Which cards may be chosen by how hard they are, and which never: what keeps adaptive difficulty out of the figures.

A card chosen because it suits a player is no fair sample of the texts, and neither are the cards such choices leave
over. So for each player the cards are parted by a hash of player and card: a random share of them, never the same for
two players, may be chosen by difficulty; the rest is only ever drawn evenly. Every trial says from which it came
(`drawn`), and rates are taken from the evenly drawn ones alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from pasquin.play.cards import Card
from pasquin.play.deck import Deck, Known, Liking
from pasquin.records import Drawn

_MASK: Final = 2**64 - 1
_MIX: Final = 0x9E3779B97F4A7C15
"""2^64 over the golden ratio, for multiplicative hashing (Knuth 1973)."""


def lot(name: str) -> int:
    """64 bits that stand for a player or a card."""
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def by_difficulty(card: Card, player_lot: int, adapt: float) -> bool:
    """Whether `card` is of the share `adapt` of cards that may be chosen by difficulty for this player."""
    mixed = (card.lot ^ player_lot) * _MIX & _MASK
    mixed = (mixed ^ mixed >> 29) * _MIX & _MASK
    return mixed >> 32 < adapt * 2**32


def draw(deck: Deck, known: Known, player_lot: int, adapt: float, liking: Liking | None) -> tuple[Card, Drawn] | None:
    """A card that is not `known`, with how it was drawn; None when there is none of each origin left.

    With `liking` it is the best liked of the share for that, while there is one; without, one of the others.
    """
    for drawn, unfit in _pools(known, player_lot, adapt, first="evenly" if liking is None else "by_difficulty"):
        card = deck.draw(unfit, liking if drawn == "by_difficulty" else None)
        if card is not None:
            return card, drawn
    return None


def draw_pair(deck: Deck, known: Known, player_lot: int, adapt: float) -> tuple[tuple[Card, Card], Drawn] | None:
    """A pair, of the cards that are only drawn evenly while there are any; None when there is none left."""
    for drawn, unfit in _pools(known, player_lot, adapt, first="evenly"):
        pair = deck.draw_pair(unfit)
        if pair is not None:
            return pair, drawn
    return None


def _pools(known: Known, player_lot: int, adapt: float, first: Drawn) -> Iterator[tuple[Drawn, Known]]:
    """Both shares, `first` first, then all that is left: a stratum may have one origin in either share."""
    if not adapt:
        yield "evenly", known
        return
    shares: dict[Drawn, Known] = {
        "evenly": lambda card: known(card) or by_difficulty(card, player_lot, adapt),
        "by_difficulty": lambda card: known(card) or not by_difficulty(card, player_lot, adapt),
    }
    yield first, shares.pop(first)
    yield from shares.items()
    yield "by_difficulty", known
