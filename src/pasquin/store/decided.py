"""Which decisions stand: queries on the append-only table `decisions`, for whoever curates and whoever publishes.

A decision stands until its curator undoes it. A candidate is decided by the latest standing accept, edit or reject of
anybody; a skip decides nothing. It is *accepted* when that is an accept or an edit, with the edited text in the latter
case, and the post it came closest to was not forgotten.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from pasquin.store.schema import candidates, decisions

VERDICTS: Final = ("accept", "edit", "reject")
KEPT: Final = ("accept", "edit")


def standing_decisions() -> sa.Select[tuple[object, ...]]:
    """The row of `decisions` that decides each candidate, at most one a candidate."""
    undo = decisions.alias()
    undone = sa.exists().where(undo.c.undoes == decisions.c.id)
    latest = (
        sa.select(sa.func.max(decisions.c.id))
        .where(decisions.c.decision.in_(VERDICTS), ~undone)
        .group_by(decisions.c.candidate)
    )
    return sa.select(decisions).where(decisions.c.id.in_(latest))


def accepted_candidates() -> sa.Select[tuple[object, ...]]:
    """Every accepted candidate: its columns, with `text` as it is to be published, and about its decision `decision`
    (the row's id), `original` (None unless edited), `curator`, `edited` and `decided_at`.
    """
    standing = standing_decisions().subquery("standing")
    edited = standing.c.decision == "edit"
    final = sa.case((edited, sa.func.coalesce(standing.c.text, candidates.c.text)), else_=candidates.c.text)
    return (
        sa.select(
            *(column for column in candidates.c if column.name != "text"),
            final.label("text"),
            sa.case((edited, candidates.c.text)).label("original"),
            standing.c.id.label("decision"),
            standing.c.curator,
            edited.label("edited"),
            standing.c.created_at.label("decided_at"),
        )
        .join(standing, standing.c.candidate == candidates.c.id)
        .where(standing.c.decision.in_(KEPT), candidates.c.withdrawn_at.is_(None))
    )
