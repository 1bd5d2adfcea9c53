"""Curation: people decide which candidates are good. On the workspace and the store; no web in here.

    desk        all candidates in memory, handed out best first; takes decisions
    ledger      decisions on their way to the disk, once each however often they are sent
    order       best first, learned from the decisions
    shared_run  what a candidate shares with the real post nearest to it
    agreement   how far several curators agree
    lengths     how long a text is for each network
    curators    who may decide, and how they sign in
    sheet       decisions as a spreadsheet, out and in
    terminal    deciding over ssh

Decisions are append-only: one is undone by another row. Which of them stand, and so what may be published, says
`pasquin.store.decided`. Not covered: an edited text is not screened again for novelty.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa

from pasquin.config import CurateSettings
from pasquin.curate.cards import Card, Filters, NearestPost
from pasquin.curate.curators import Curator, SignInError
from pasquin.curate.desk import Desk
from pasquin.curate.ledger import Entry, Preference
from pasquin.errors import ModelError
from pasquin.store import Store
from pasquin.store.schema import candidates
from pasquin.workspace import Workspace

__all__ = [
    "Card",
    "Curator",
    "Desk",
    "Entry",
    "Filters",
    "NearestPost",
    "Preference",
    "SignInError",
    "models_named",
    "open_desk",
]


def models_named(workspace: Workspace, names: Sequence[str]) -> tuple[str, ...]:
    """The models that `names` mean: a model's own name, or the corpus that models learned from; none: all.

    Raises ModelError for a name that no candidate is of, StoreError.
    """
    store = Store.of(workspace)
    try:
        with store.read() as connection:
            pairs = connection.execute(sa.select(candidates.c.model, candidates.c.corpus).distinct()).all()
    finally:
        store.close()
    found: dict[str, None] = {}
    for name in names:
        models = sorted(model for model, corpus in pairs if name in (model, corpus))
        if not models:
            raise ModelError(f"There are no candidates of `{name}` to curate. Run `pasquin generate {name}` first.")
        found.update(dict.fromkeys(models))
    return tuple(found)


@contextmanager
def open_desk(
    workspace: Workspace, names: Sequence[str] = (), settings: CurateSettings | None = None
) -> Iterator[tuple[Desk, Store]]:
    """The desk of the models or corpora `names` and its store, closed at the end. Raises ModelError, StoreError."""
    models = models_named(workspace, names)
    store = Store.of(workspace)
    try:
        desk = Desk(workspace, store, models, settings)
        try:
            yield desk, store
        finally:
            desk.close()
    finally:
        store.close()
