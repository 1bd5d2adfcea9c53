"""The cards of the game: which texts may be shown, how both origins are made alike, and how one is drawn.

Human items are posts of a corpus's `test` split, model items the candidates of the model that learned that corpus.
Both pass through `shown_text`, and are sorted into strata of the same account (where candidates have one) and nearly
the same length. A stratum is drawn first, then a length (that of a card of either origin), then the origin by an even
coin, then that origin's card of nearest length: so, whatever was shown before, the length and the account say nothing
about the origin, even where one origin's texts are the longer ones of a stratum.
"""

from __future__ import annotations

import bisect
import itertools
import math
import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime

import regex
import sqlalchemy as sa

from pasquin.records import CorpusPost, Item
from pasquin.store import Store
from pasquin.store.schema import candidates
from pasquin.texts import comparable, normalise
from pasquin.workspace import Workspace
from pasquin.workspace.corpora import read_corpus

_STACKED_MARKS = regex.compile(r"(\p{M}{4})\p{M}+")
_COINS = secrets.SystemRandom()
_BIN_RATIOS = (1.06, 1.12, 1.25, 1.6)
_QUICK_DRAWS = 16
_JITTER = 0.03
"""Share by which the wanted size is varied, so that of cards of one size not always the first is drawn."""


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


@dataclass(frozen=True, slots=True)
class Card:
    """An item, the handle it is written in the voice of (None: of the whole corpus), and its source."""

    item: Item
    account: str | None
    source: HumanSource | ModelSource


@dataclass(frozen=True, slots=True)
class _Stratum:
    """Cards that may stand for each other, those of each origin in order of size."""

    human: tuple[Card, ...]
    model: tuple[Card, ...]

    @property
    def pairs(self) -> int:
        return min(len(self.human), len(self.model))

    def unseen(self, seen: AbstractSet[str]) -> _Stratum:
        return _Stratum(_unseen(self.human, seen), _unseen(self.model, seen))


def _unseen(cards: Iterable[Card], seen: AbstractSet[str]) -> tuple[Card, ...]:
    return tuple(card for card in cards if card.item.key not in seen)


@dataclass(frozen=True)
class Deck:
    """The cards of one category. `reason` says why it cannot be played, None when it can."""

    key: str
    corpus: str
    account: str | None
    human: int
    model: int
    reason: str | None
    strata: tuple[_Stratum, ...] = ()
    _weights: list[int] = field(default_factory=list, repr=False)

    @property
    def cards(self) -> int:
        """How many cards take part (those without a match of the other origin do not)."""
        return sum(len(stratum.human) + len(stratum.model) for stratum in self.strata)

    def draw(self, seen: AbstractSet[str]) -> Card | None:
        """A card whose key is not in `seen`, human or model with even odds; None when no stratum has both left."""
        if not self.strata:
            return None
        for _ in range(_QUICK_DRAWS):
            at = bisect.bisect_right(self._weights, _COINS.randrange(self._weights[-1]))
            card = _draw_from(self.strata[at], seen)
            if card is not None:
                return card
        return self._draw_from_rest(seen)

    def _draw_from_rest(self, seen: AbstractSet[str]) -> Card | None:
        rest = [stratum for stratum in (stratum.unseen(seen) for stratum in self.strata) if stratum.pairs]
        if not rest:
            return None
        return _draw_from(_COINS.choices(rest, [stratum.pairs for stratum in rest])[0], seen)


def _draw_from(stratum: _Stratum, seen: AbstractSet[str]) -> Card | None:
    """A card by an even coin, None unless both origins still have one: so the coin is never forced."""
    sides = (stratum.human, stratum.model)
    if not all(any(card.item.key not in seen for card in side) for side in sides):
        return None
    size = _size(_COINS.choice(_COINS.choice(sides))) * _COINS.uniform(1 - _JITTER, 1 + _JITTER)
    return _nearest(_COINS.choice(sides), size, seen)


def _nearest(cards: Sequence[Card], size: float, seen: AbstractSet[str]) -> Card:
    """The card nearest to `size` of those (in order of size) that are not in `seen`; there must be one."""
    above = bisect.bisect_left(cards, size, key=_size)
    below = above - 1
    while True:
        if below < 0 or (above < len(cards) and _size(cards[above]) - size <= size - _size(cards[below])):
            card, above = cards[above], above + 1
        else:
            card, below = cards[below], below - 1
        if card.item.key not in seen:
            return card


def _size(card: Card) -> int:
    """Bytes of a card's text: what its length is measured by, as that is what the wire would show."""
    return len(card.item.text.encode())


def shown_text(text: str) -> str:
    """A text as players see it, the same for both origins: normalised, at most four combining marks on a letter."""
    return str(_STACKED_MARKS.sub(r"\1", normalise(text)))


def build_decks(workspace: Workspace, store: Store, corpora: Collection[str], min_items: int) -> dict[str, Deck]:
    """The categories by key: each corpus, then (where it has several accounts) each of its accounts.

    Raises CorpusError when a corpus is missing or damaged, StoreError when candidates cannot be read.
    """
    decks: dict[str, Deck] = {}
    for corpus in corpora:
        posts = read_corpus(workspace, corpus)
        human = _human_cards(corpus, (post for post in posts if post.split == "test"))
        model = _model_cards(store, corpus, posts, {comparable(card.item.text) for card in human})
        decks[corpus] = _deck(corpus, None, human, model, min_items)
        accounts = sorted({card.account for card in human if card.account is not None})
        for account in accounts if len(accounts) > 1 else ():
            ours, theirs = ([card for card in cards if card.account == account] for cards in (human, model))
            if theirs or len(ours) >= min_items:
                decks[f"{corpus}/{account}"] = _deck(corpus, account, ours, theirs, min_items)
    return decks


def candidates_state(store: Store, corpora: Collection[str]) -> object:
    """A value that changes when the candidates of `corpora` do; cheap enough to ask every few seconds."""
    query = sa.select(sa.func.count(), sa.func.max(candidates.c.created_at)).where(candidates.c.model.in_(corpora))
    with store.read() as connection:
        return tuple(connection.execute(query).one())


def _human_cards(corpus: str, posts: Iterable[CorpusPost]) -> list[Card]:
    cards: dict[str, Card] = {}
    for post in posts:
        text = shown_text(post.text)
        if text:
            source = HumanSource(shown_text(post.handle), post.created_at, post.likes, _web_address(post.url))
            item = Item(key=post.uri, origin="human", category=corpus, text=text)
            cards.setdefault(comparable(text), Card(item, post.handle, source))
    return list(cards.values())


def _model_cards(store: Store, corpus: str, posts: Sequence[CorpusPost], taken: AbstractSet[str]) -> list[Card]:
    """Cards of the model's candidates, without those that read like a human card (`taken`, as compared) or another."""
    with store.read() as connection:
        rows = connection.execute(sa.select(candidates).where(candidates.c.model == corpus)).mappings().all()
    wanted = {row["nearest_uri"] for row in rows}
    nearest = {
        post.uri: NearestPost(shown_text(post.text), shown_text(post.handle), _web_address(post.url))
        for post in posts
        if post.split != "test" and post.uri in wanted
    }
    cards: dict[str, Card] = {}
    for row in rows:
        text = shown_text(row["text"])
        if text and comparable(text) not in taken:
            cards.setdefault(comparable(text), _model_card(corpus, row, text, nearest.get(row["nearest_uri"])))
    return list(cards.values())


def _model_card(corpus: str, row: sa.RowMapping, text: str, nearest: NearestPost | None) -> Card:
    source = ModelSource(
        row["model"], shown_text(row["account"] or "") or None, row["similarity"], row["longest_run"], nearest
    )
    return Card(Item(key=row["id"], origin="model", category=corpus, text=text), row["account"], source)


def _deck(corpus: str, account: str | None, human: list[Card], model: list[Card], min_items: int) -> Deck:
    key = corpus if account is None else f"{corpus}/{account}"
    reason = _too_few(corpus, account, len(human), len(model), min_items)
    strata = () if reason else _strata(human, model)
    if not reason and not strata:
        reason = f"The model's texts are never as long as the real posts. Run `pasquin generate {corpus}` for more."
    weights = list(itertools.accumulate(stratum.pairs for stratum in strata))
    return Deck(key, corpus, account, len(human), len(model), reason, strata, weights)


def _too_few(corpus: str, account: str | None, human: int, model: int, min_items: int) -> str | None:
    """Why a category with so many items of each origin cannot be played, and what to run; None when it can."""
    if human < min_items:
        return (
            f"Only {human} real posts are held back for the game and {min_items} are needed. "
            f"Collect more, then run `pasquin prepare {corpus}`."
        )
    if model < min_items:
        option = f" --account {account}" if account else ""
        have = "no AI texts yet" if model == 0 else f"only {model} AI texts"
        return f"There are {have} and {min_items} are needed. Run `pasquin generate {corpus}{option}`."
    return None


def _strata(human: list[Card], model: list[Card]) -> tuple[_Stratum, ...]:
    """Strata with the finest lengths that still use half of the cards that could be matched at all."""
    model_accounts, human_accounts = _by_account(model), _by_account(human)
    by_account = len(model_accounts) > 1 and None not in model_accounts
    possible = (
        sum(min(len(cards), len(human_accounts.get(account, ()))) for account, cards in model_accounts.items())
        if by_account
        else min(len(human), len(model))
    )
    strata: tuple[_Stratum, ...] = ()
    for ratio in _BIN_RATIOS:
        strata = _binned(human, model, ratio, by_account)
        if sum(stratum.pairs for stratum in strata) >= possible / 2:
            break
    return strata


def _binned(human: list[Card], model: list[Card], ratio: float, by_account: bool) -> tuple[_Stratum, ...]:
    bins: Mapping[tuple[str | None, int], tuple[list[Card], list[Card]]] = defaultdict(lambda: ([], []))
    for side, cards in enumerate((human, model)):
        for card in cards:
            length = round(math.log(_size(card)) / math.log(ratio))
            bins[card.account if by_account else None, length][side].append(card)
    both = (
        _Stratum(tuple(sorted(humans, key=_size)), tuple(sorted(models, key=_size))) for humans, models in bins.values()
    )
    return tuple(stratum for stratum in both if stratum.pairs)


def _web_address(url: str | None) -> str | None:
    """`url` when it is a link a page may show: files can say anything, `javascript:` too."""
    return url if url and url.startswith(("https://", "http://")) else None


def _by_account(cards: Iterable[Card]) -> dict[str | None, list[Card]]:
    groups: dict[str | None, list[Card]] = defaultdict(list)
    for card in cards:
        groups[card.account].append(card)
    return dict(groups)
