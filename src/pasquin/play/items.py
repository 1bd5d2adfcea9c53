"""Which texts may be cards: posts of a corpus's `test` split, and the candidates that any model wrote of it.

Candidates that a curator rejected, or whose nearest post was withdrawn, are no cards; an edited one is shown as edited.
Both origins pass through `shown_text` and `fit_to_show`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

import sqlalchemy as sa

from pasquin.play.cards import Card, HumanSource, ModelSource, NearestPost, fit_to_show, shown_text
from pasquin.play.deck import Deck, make_deck
from pasquin.play.near import near_texts
from pasquin.play.shares import lot
from pasquin.records import Arm, CorpusPost, Item
from pasquin.store import Store
from pasquin.store.decided import standing_decisions
from pasquin.store.schema import candidates, decisions
from pasquin.texts import comparable
from pasquin.workspace import Workspace
from pasquin.workspace.corpora import read_corpus

_ARMS: Final[dict[str | None, Arm]] = {None: "screened", "accept": "curated", "edit": "edited"}
"""What a curator's standing decision makes of a candidate; those with another decision are not shown."""


def build_decks(workspace: Workspace, store: Store, corpora: Collection[str], min_items: int) -> dict[str, Deck]:
    """The categories by key: each corpus, then (where it has several accounts) each of its accounts.

    Raises CorpusError when a corpus is missing or damaged, StoreError when candidates cannot be read.
    """
    decks: dict[str, Deck] = {}
    for corpus in corpora:
        posts = read_corpus(workspace, corpus)
        human = _human_cards(corpus, (post for post in posts if post.split == "test"))
        model = _model_cards(store, corpus, posts, {comparable(card.item.text) for card in human})
        human, model = _with_near(human, model)
        writer = next(iter(workspace.models_of(corpus)), corpus)
        decks[corpus] = make_deck(corpus, None, human, model, min_items, writer)
        accounts = sorted({card.account for card in human if card.account is not None})
        for account in accounts if len(accounts) > 1 else ():
            ours, theirs = ([card for card in cards if card.account == account] for cards in (human, model))
            if theirs or len(ours) >= min_items:
                decks[f"{corpus}/{account}"] = make_deck(corpus, account, ours, theirs, min_items, writer)
    return decks


def candidates_state(store: Store, corpora: Collection[str]) -> object:
    """A value that changes when the candidates of `corpora` or the decisions on them do; cheap to ask."""
    made = sa.select(sa.func.count(), sa.func.max(candidates.c.created_at), sa.func.count(candidates.c.withdrawn_at))
    decided = sa.select(sa.func.count(), sa.func.max(decisions.c.id))
    with store.read() as connection:
        written = connection.execute(made.where(candidates.c.corpus.in_(corpora))).one()
        return tuple(written), tuple(connection.execute(decided).one())


def _with_near(human: list[Card], model: list[Card]) -> tuple[list[Card], list[Card]]:
    near = near_texts({card.item.key: card.item.text for card in (*human, *model)})

    def beside(card: Card) -> Card:
        alike = near.get(card.item.key, frozenset())
        return dataclasses.replace(card, near=alike, lot=lot(min((card.item.key, *alike))))

    return [beside(card) for card in human], [beside(card) for card in model]


def _human_cards(corpus: str, posts: Iterable[CorpusPost]) -> list[Card]:
    cards: dict[str, Card] = {}
    for post in posts:
        text = shown_text(post.text)
        if fit_to_show(text):
            source = HumanSource(shown_text(post.handle), post.created_at, post.likes, _web_address(post.url))
            item = Item(key=post.uri, origin="human", category=corpus, text=text)
            cards.setdefault(comparable(text), Card(item, post.handle, source, post.created_at))
    return list(cards.values())


def _model_cards(store: Store, corpus: str, posts: Sequence[CorpusPost], taken: AbstractSet[str]) -> list[Card]:
    """Cards of the corpus's candidates, whichever model wrote them.

    Without those that read like a human card (`taken`, as compared) or like another.
    """
    standing = standing_decisions().subquery("standing")
    query = (
        sa.select(candidates, standing.c.decision, standing.c.text.label("edited_text"))
        .outerjoin(standing, standing.c.candidate == candidates.c.id)
        .where(candidates.c.corpus == corpus, candidates.c.withdrawn_at.is_(None))
    )
    with store.read() as connection:
        rows = [row for row in connection.execute(query).mappings() if row["decision"] in _ARMS]
    wanted = {row["nearest_uri"] for row in rows}
    nearest = {post.uri: post for post in posts if post.uri in wanted}
    cards: dict[str, Card] = {}
    for row in rows:
        edited = row["edited_text"] if row["decision"] == "edit" else None
        text = shown_text(edited or row["text"])
        if fit_to_show(text) and comparable(text) not in taken:
            cards.setdefault(comparable(text), _model_card(corpus, row, text, nearest.get(row["nearest_uri"])))
    return list(cards.values())


def _model_card(corpus: str, row: sa.RowMapping, text: str, nearest: CorpusPost | None) -> Card:
    shown = (
        NearestPost(shown_text(nearest.text), shown_text(nearest.handle), _web_address(nearest.url))
        if nearest and nearest.split != "test"
        else None
    )
    account = shown_text(row["account"] or "") or None
    arm = _ARMS[row["decision"]]
    source = ModelSource(row["model"], account, row["similarity"], row["longest_run"], shown, arm)
    item = Item(key=row["id"], origin="model", category=corpus, text=text)
    return Card(item, row["account"], source, nearest.created_at if nearest else None)


def _web_address(url: str | None) -> str | None:
    """`url` when it is a link a page may show: files can say anything, `javascript:` too."""
    return url if url and url.startswith(("https://", "http://")) else None
