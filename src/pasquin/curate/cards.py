"""What a curator looks at: candidates with their certificate, and the filters that choose among them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

import sqlalchemy as sa

from pasquin.curate.ledger import Verdict
from pasquin.curate.order import Features, features
from pasquin.curate.shared_run import SharedRun, shared_run
from pasquin.errors import CorpusError
from pasquin.store import Store
from pasquin.store.schema import candidates
from pasquin.texts import comparable, normalise
from pasquin.workspace import Workspace
from pasquin.workspace.corpora import read_corpus
from pasquin.workspace.shards import fetch_posts

Status = Literal["open", "accepted", "rejected", "skipped", "all"]
_CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class NearestPost:
    """The real post a candidate comes closest to."""

    text: str
    author: str
    url: str | None


@dataclass(slots=True)
class Mark:
    """A row of `decisions` in memory; `undone` once its curator took it back."""

    id: int
    key: str
    candidate: str
    curator: str
    decision: Verdict
    text: str | None
    reason: str | None
    seconds: float
    created_at: datetime
    undone: bool = False


@dataclass(slots=True)
class Card:
    """A candidate in memory, with all decisions on it in their order."""

    id: str
    model: str
    corpus: str
    account: str | None
    text: str
    novelty: str
    similarity: float
    longest_run: int
    nearest_uri: str | None
    created_at: datetime
    searchable: str
    features: Features
    marks: list[Mark] = field(default_factory=list)
    score: float = 0.0
    _run: tuple[NearestPost, SharedRun | None] | None = None

    @property
    def standing(self) -> Mark | None:
        """The decision that stands: the latest accept, edit or reject of anybody that was not undone."""
        return next((mark for mark in reversed(self.marks) if not mark.undone and mark.decision != "skip"), None)

    def mark_of(self, curator: str) -> Mark | None:
        """The latest decision of one curator (a skip counts) that was not undone."""
        return next((mark for mark in reversed(self.marks) if mark.curator == curator and not mark.undone), None)

    def verdicts(self) -> dict[str, Mark]:
        """The latest accept, edit or reject of each curator who has one that was not undone."""
        return {mark.curator: mark for mark in self.marks if not mark.undone and mark.decision != "skip"}

    def shared_run(self, nearest: NearestPost) -> SharedRun | None:
        """Where the longest run stands that it shares with its nearest post; found once."""
        if self._run is None or self._run[0] is not nearest:
            self._run = (nearest, shared_run(self.text, nearest.text))
        return self._run[1]


@dataclass(frozen=True, slots=True)
class Filters:
    """Which candidates: of a model, an account, about something (every word must be in the text), of a length."""

    model: str | None = None
    account: str | None = None
    about: str = ""
    shortest: int = 0
    longest: int | None = None
    status: Status = "open"

    def words(self) -> tuple[str, ...]:
        """What `about` looks for."""
        return tuple(comparable(self.about).split())

    def allow(self, card: Card, words: Sequence[str]) -> bool:
        """Whether a candidate is one of those, whatever was decided on it; `words` are `words()`."""
        return (
            (self.model is None or card.model == self.model)
            and (self.account is None or card.account == self.account)
            and self.shortest <= len(card.text)
            and (self.longest is None or len(card.text) <= self.longest)
            and all(word in card.searchable for word in words)
        )


def load_cards(store: Store, models: Sequence[str], known: Collection[str] = ()) -> tuple[set[str], list[Card]]:
    """Ids of all candidates of `models` (none named: of all) that were not withdrawn, and those not yet `known`."""
    wanted = sa.and_(candidates.c.withdrawn_at.is_(None), candidates.c.model.in_(models) if models else sa.true())
    with store.read() as connection:
        there = set(connection.execute(sa.select(candidates.c.id).where(wanted)).scalars())
        new = sorted(there.difference(known))
        if len(new) == len(there):
            rows = connection.execute(sa.select(candidates).where(wanted)).mappings().all()
        else:
            chunks = (new[start : start + _CHUNK] for start in range(0, len(new), _CHUNK))
            query = sa.select(candidates)
            rows = [
                row for ids in chunks for row in connection.execute(query.where(candidates.c.id.in_(ids))).mappings()
            ]
    return there, sorted((_card(row) for row in rows), key=lambda card: (card.created_at, card.id))


def _card(row: sa.RowMapping) -> Card:
    temperature = (row["sampling"] or {}).get("temperature")
    found = features(
        row["text"],
        similarity=row["similarity"],
        longest_run=row["longest_run"],
        temperature=temperature if isinstance(temperature, (int, float)) else None,
    )
    names = ("id", "model", "corpus", "account", "text", "novelty", "similarity", "longest_run", "nearest_uri")
    return Card(
        **{name: row[name] for name in names},
        created_at=row["created_at"],
        searchable=comparable(row["text"]),
        features=found,
    )


def nearest_posts(workspace: Workspace, cards: Iterable[Card]) -> dict[str, NearestPost]:
    """The posts nearest to candidates by uri, from the corpora, else from the posts; forgotten ones are in neither.

    Raises WorkspaceError when the collected posts cannot be read.
    """
    wanted: dict[str, set[str]] = {}
    for card in cards:
        if card.nearest_uri is not None:
            wanted.setdefault(card.corpus, set()).add(card.nearest_uri)
    found: dict[str, NearestPost] = {}
    for corpus, uris in wanted.items():
        try:
            posts = read_corpus(workspace, corpus)
        except CorpusError:
            continue
        for post in posts:
            if post.uri in uris:
                found[post.uri] = NearestPost(normalise(post.text), normalise(post.handle), web_address(post.url))
    missing = set().union(*wanted.values()) - found.keys() if wanted else set()
    if missing:
        for uri, text, handle, url in fetch_posts(workspace, "SELECT uri, text, handle, url FROM {posts}"):
            if uri in missing:
                found[uri] = NearestPost(normalise(text), normalise(handle or ""), web_address(url))
    return found


def web_address(url: str | None) -> str | None:
    """`url` when it is a link a page may show: files can say anything, `javascript:` too."""
    return url if url and url.startswith(("https://", "http://")) else None
