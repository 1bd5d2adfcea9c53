"""How one card is drawn, so that nothing but its words can tell its origin.

Cards are sorted into strata of the same account (where candidates have one), about the same time (where that leaves
enough) and nearly the same length. A stratum is drawn first, then a length (that of a card of either origin), then the
origin by an even coin, then that origin's card of nearest length: so, whatever was shown before, neither length nor
account says anything about the origin, even where one origin's texts are the longer ones of a stratum. Where a hard or
an easy card is wanted, it is chosen among the nearest of that origin, after the coin.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from pasquin.counts import counted
from pasquin.play.cards import Card, size
from pasquin.play.coins import COINS

_BIN_RATIOS: Final = (1.06, 1.12, 1.25, 1.6)
_QUICK_DRAWS: Final = 16
_ERAS: Final = 3
_CHOICE: Final = 8
_REACH: Final = 0.05
"""By difficulty a card is chosen of so many, of a size that differs from the wanted one by no more than this share."""
_DAILY_CARDS: Final = 60
_JITTER: Final = 0.03
"""Share by which the wanted size is varied, so that of cards of one size not always the first is drawn."""

Known = Callable[[Card], bool]
"""Whether a card may not be drawn, because the player knows it or it is held back."""
Liking = Callable[[Card], float]
"""How much a card is wanted, of those that would do."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """Cards that may stand for each other, those of each origin in order of size."""

    human: tuple[Card, ...]
    model: tuple[Card, ...]

    @property
    def pairs(self) -> int:
        """How many pairs of one card of each origin there are."""
        return min(len(self.human), len(self.model))


@dataclass(frozen=True)
class Deck:
    """The cards of one category. `reason` says why it cannot be played, None when it can."""

    key: str
    corpus: str
    account: str | None
    human: int
    model: int
    reason: str | None
    strata: tuple[Stratum, ...] = ()
    _weights: list[int] = field(default_factory=list, repr=False)

    @property
    def cards(self) -> int:
        """How many cards take part (those without a match of the other origin do not)."""
        return sum(len(stratum.human) + len(stratum.model) for stratum in self.strata)

    @property
    def daily(self) -> bool:
        """Whether there is a daily round: in whole corpora that can spare ten cards a day."""
        return self.reason is None and self.account is None and self.cards >= _DAILY_CARDS

    def draw(self, known: Known, liking: Liking | None = None) -> Card | None:
        """A card that is not `known`, human or model with even odds; None when no stratum has both left.

        With `liking` it is the best liked of the few nearest in length.
        """
        stratum = self._stratum(known)
        if stratum is None:
            return None
        wanted = _some_size(stratum)
        return _near_size(COINS.choice((stratum.human, stratum.model)), wanted, known, liking)

    def draw_pair(self, known: Known) -> tuple[Card, Card] | None:
        """A card of each origin of nearly the same length, in an even coin's order; None when there is no stratum."""
        stratum = self._stratum(known)
        if stratum is None:
            return None
        wanted = _some_size(stratum)
        one, other = (_near_size(side, wanted, known) for side in (stratum.human, stratum.model))
        return (one, other) if COINS.random() < 0.5 else (other, one)

    def _stratum(self, known: Known) -> Stratum | None:
        """A stratum by weight that still has a card of each origin, so that the coin is never forced."""
        if not self.strata:
            return None
        for _ in range(_QUICK_DRAWS):
            stratum = self.strata[bisect.bisect_right(self._weights, COINS.randrange(self._weights[-1]))]
            if all(any(not known(card) for card in side) for side in (stratum.human, stratum.model)):
                return stratum
        rest = [stratum for stratum in (_unknown(stratum, known) for stratum in self.strata) if stratum.pairs]
        return COINS.choices(rest, [stratum.pairs for stratum in rest])[0] if rest else None


def _unknown(stratum: Stratum, known: Known) -> Stratum:
    human, model = (tuple(card for card in side if not known(card)) for side in (stratum.human, stratum.model))
    return Stratum(human, model)


def _some_size(stratum: Stratum) -> float:
    drawn = COINS.choice(COINS.choice((stratum.human, stratum.model)))
    return size(drawn) * COINS.uniform(1 - _JITTER, 1 + _JITTER)


def _near_size(cards: Sequence[Card], wanted: float, known: Known, liking: Liking | None = None) -> Card:
    """The card nearest to `wanted` bytes of those (in order of size) that are not known; there must be one.

    With `liking` the best liked of the nearest, as far as they are about as near as the nearest is.
    """
    found = (card for card in _outward(cards, wanted) if not known(card))
    nearest = next(found)
    if liking is None:
        return nearest
    reach = max(abs(size(nearest) - wanted), _REACH * wanted)
    near = itertools.takewhile(lambda card: abs(size(card) - wanted) <= reach, found)
    return max((nearest, *itertools.islice(near, _CHOICE - 1)), key=liking)


def _outward(cards: Sequence[Card], wanted: float) -> Iterable[Card]:
    """All cards (in order of size), those nearest to `wanted` first."""
    above = bisect.bisect_left(cards, wanted, key=size)
    below = above - 1
    while below >= 0 or above < len(cards):
        if below < 0 or (above < len(cards) and size(cards[above]) - wanted <= wanted - size(cards[below])):
            yield cards[above]
            above += 1
        else:
            yield cards[below]
            below -= 1


def corpus_of(category: str) -> str:
    """The corpus of a category, whose key is the corpus's name, or that and an account behind a slash."""
    return category.partition("/")[0]


def make_deck(
    corpus: str, account: str | None, human: list[Card], model: list[Card], min_items: int, writer: str
) -> Deck:
    """The deck of a corpus, or of one account of it, out of its cards; `writer` is the model that would write more."""
    key = corpus if account is None else f"{corpus}/{account}"
    reason = _too_few(corpus, account, len(human), len(model), min_items, writer)
    strata = () if reason else _strata(human, model)
    if not reason and not strata:
        reason = f"The model's texts are never as long as the real posts. Run `pasquin generate {writer}` for more."
    weights = list(itertools.accumulate(stratum.pairs for stratum in strata))
    return Deck(key, corpus, account, len(human), len(model), reason, strata, weights)


def _too_few(corpus: str, account: str | None, human: int, model: int, min_items: int, writer: str) -> str | None:
    """Why a category with so many items of each origin cannot be played, and what to run; None when it can."""
    needed = f"{counted(min_items, 'is', 'are')} needed"
    if human < min_items:
        return (
            f"Only {counted(human, 'real post is', 'real posts are')} held back for the game and {needed}. "
            f"Collect more, then run `pasquin prepare {corpus}`."
        )
    if model < min_items:
        option = f" --account {account}" if account else ""
        have = f"Only {counted(model, 'AI text is', 'AI texts are')} there" if model else "There are no AI texts yet"
        return f"{have} and {needed}. Run `pasquin generate {writer}{option}`."
    return None


def _strata(human: list[Card], model: list[Card]) -> tuple[Stratum, ...]:
    """Strata with the finest times and lengths that still use half of the cards that could be matched at all."""
    model_accounts, human_accounts = _by_account(model), _by_account(human)
    by_account = len(model_accounts) > 1 and None not in model_accounts
    possible = (
        sum(min(len(cards), len(human_accounts.get(account, ()))) for account, cards in model_accounts.items())
        if by_account
        else min(len(human), len(model))
    )
    strata: tuple[Stratum, ...] = ()
    for eras in (_era_ends(human), ()):
        for ratio in _BIN_RATIOS:
            strata = _binned(human, model, ratio, by_account, eras)
            if sum(stratum.pairs for stratum in strata) >= possible / 2:
                return strata
    return strata


def _era_ends(human: Iterable[Card]) -> tuple[datetime, ...]:
    """The moments that part the human cards into thirds."""
    moments = sorted(card.moment for card in human if card.moment is not None)
    return tuple(moments[len(moments) * third // _ERAS] for third in range(1, _ERAS)) if len(moments) >= _ERAS else ()


def _binned(
    human: list[Card], model: list[Card], ratio: float, by_account: bool, eras: Sequence[datetime]
) -> tuple[Stratum, ...]:
    bins: Mapping[object, tuple[list[Card], list[Card]]] = defaultdict(lambda: ([], []))
    for side, cards in enumerate((human, model)):
        for card in cards:
            length = round(math.log(size(card)) / math.log(ratio))
            era = bisect.bisect(eras, card.moment) if eras and card.moment else None
            bins[card.account if by_account else None, era, length][side].append(card)
    both = (
        Stratum(tuple(sorted(humans, key=size)), tuple(sorted(models, key=size))) for humans, models in bins.values()
    )
    return tuple(stratum for stratum in both if stratum.pairs)


def _by_account(cards: Iterable[Card]) -> dict[str | None, list[Card]]:
    groups: dict[str | None, list[Card]] = defaultdict(list)
    for card in cards:
        groups[card.account].append(card)
    return dict(groups)
