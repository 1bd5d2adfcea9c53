"""What people thought of texts: curators' decisions and players' guesses, as examples to learn from.

Accepted texts are liked and rejected ones are not; of an edited one the edited text is liked and the original is not.
Of what nobody decided on, a text that most players took for a person's is liked. Decisions are held back by the
candidate's id, a fifth of them, to measure with: the same ones every time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from pasquin.counts import counted
from pasquin.errors import CorpusError
from pasquin.store import Store
from pasquin.store.decided import standing_decisions
from pasquin.store.schema import candidates, guesses, trials

FEWEST: Final = 40
"""Liked texts, and as many disliked ones, without which nothing can be learned and nothing measured."""
_HELD_OUT: Final = 5
_FEWEST_GUESSES: Final = 3


@dataclass(frozen=True, slots=True)
class Opinion:
    """A text in the voice of `account` (None: nobody's) that people liked, or did not."""

    candidate: str
    account: str | None
    text: str
    liked: bool
    decided: bool
    """Whether a curator said so; players did otherwise."""

    @property
    def held_out(self) -> bool:
        """Whether it is for measuring: never learned from."""
        return self.decided and int(hashlib.sha256(self.candidate.encode()).hexdigest(), 16) % _HELD_OUT == 0


def read_opinions(store: Store, corpus: str) -> list[Opinion]:
    """All opinions on candidates of `corpus`, by any model, in the order of their ids; withdrawn texts are left out.

    Raises CorpusError when there are fewer than `FEWEST` of either kind.
    """
    standing = standing_decisions().subquery("standing")
    there = (candidates.c.corpus == corpus, candidates.c.withdrawn_at.is_(None))
    decided = (
        sa.select(
            candidates.c.id, candidates.c.account, candidates.c.text, standing.c.decision, standing.c.text.label("edit")
        )
        .join(standing, standing.c.candidate == candidates.c.id)
        .where(*there)
        .order_by(candidates.c.id)
    )
    human = sa.func.sum(sa.case((guesses.c.guess == "human", 1), else_=0))
    guessed = (
        sa.select(candidates.c.id, candidates.c.account, candidates.c.text)
        .join(trials, trials.c.item_key == candidates.c.id)
        .join(guesses, guesses.c.trial == trials.c.id)
        .where(*there, trials.c.origin == "model", guesses.c.mark.is_(None))
        .where(candidates.c.id.not_in(sa.select(standing.c.candidate)))
        .group_by(candidates.c.id, candidates.c.account, candidates.c.text)
        .having(sa.func.count() >= _FEWEST_GUESSES, 2 * human > sa.func.count())
        .order_by(candidates.c.id)
    )
    opinions: list[Opinion] = []
    with store.read() as connection:
        for id, account, text, decision, edit in connection.execute(decided):
            if decision == "edit" and edit and edit != text:
                opinions += [Opinion(id, account, edit, True, True), Opinion(id, account, text, False, True)]
            else:
                opinions.append(Opinion(id, account, text, decision != "reject", True))
        opinions += [Opinion(id, account, text, True, False) for id, account, text in connection.execute(guessed)]
    _refuse_few(opinions, corpus)
    return opinions


def _refuse_few(opinions: Sequence[Opinion], corpus: str) -> None:
    liked = sum(opinion.liked for opinion in opinions)
    disliked = len(opinions) - liked
    held_out = {opinion.liked for opinion in opinions if opinion.held_out}
    if min(liked, disliked) < FEWEST or held_out != {True, False}:
        raise CorpusError(
            f"People have liked {counted(liked, 'text')} of `{corpus}` and disliked {disliked:,}: at least {FEWEST} of "
            f"each are needed to learn from. Go on with `pasquin curate {corpus}`."
        )
