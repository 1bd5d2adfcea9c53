"""The boards: players who chose to be named. The ranked one counts what is the same for all, the casual one the rest.

Ranked is the daily round of today and the longest endless run, without players or rounds that a rule of `marks` speaks
against; casual is the share of right answers in classic and pair, from twenty answers on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import regex
import sqlalchemy as sa

from pasquin.errors import PasquinError
from pasquin.store import Store
from pasquin.store.schema import guesses, player_marks, players, trials
from pasquin.texts import comparable, normalise, text_key

LONGEST_NICK: Final = 24
_NICK: Final = regex.compile(r"[\p{L}\p{N}](?:[\p{L}\p{N} ._'-]|(?<=\p{L})\p{M}){1,23}")
_SCRIPTS: Final = tuple(
    regex.compile(rf"\p{{Script={script}}}") for script in ("Latin", "Cyrillic", "Greek", "Armenian", "Cherokee")
)
_CASUAL_ANSWERS: Final = 20
_ROWS: Final = 20


class NickError(PasquinError):
    """The nick cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A row of the ranked board: the longest endless run, and right answers in today's round (None: not played)."""

    nick: str
    best_run: int
    today: int | None


@dataclass(frozen=True, slots=True)
class Casual:
    """A row of the casual board."""

    nick: str
    right: int
    total: int


@dataclass(frozen=True, slots=True)
class Boards:
    """Both boards, best first."""

    ranked: tuple[Ranked, ...] = ()
    casual: tuple[Casual, ...] = ()


def check_nick(nick: str, reserved: Iterable[str]) -> tuple[str, str]:
    """A nick as it is shown, and what it is compared by. Raises NickError.

    `reserved` are names nobody may take: of the people whose posts are played with.
    """
    if len(nick) > 4 * LONGEST_NICK:
        raise NickError(f"That nick is too long. Use at most {LONGEST_NICK} letters.")
    shown = " ".join(normalise(nick).split())
    if not 2 <= len(shown) <= LONGEST_NICK or not _NICK.fullmatch(shown):
        raise NickError(f"A nick has 2 to {LONGEST_NICK} letters or digits; spaces, . _ - and ' may be between them.")
    if sum(bool(script.search(shown)) for script in _SCRIPTS) > 1:
        raise NickError("A nick cannot mix alphabets that look alike.")
    key = text_key(shown.replace(" ", "").replace("_", ""))
    if comparable(shown) in {comparable(name) for name in reserved}:
        raise NickError("That is the name of somebody whose posts are played with. Choose another nick.")
    return shown, key


def read_boards(store: Store, day: str) -> Boards:
    """The boards as they stand, with the daily round of `day`. Raises StoreError."""
    marked = sa.exists().where(player_marks.c.player == players.c.id).label("marked")
    query = (
        sa.select(
            players.c.nick, trials.c.mode, trials.c.category, trials.c.round, guesses.c.correct, guesses.c.mark, marked
        )
        .join(trials, trials.c.player == players.c.id)
        .join(guesses, guesses.c.trial == trials.c.id)
        .where(players.c.nick.is_not(None), sa.or_(trials.c.mode != "pair", trials.c.position == 0))
    )
    casual: dict[str, list[bool]] = defaultdict(list)
    rounds: dict[tuple[str, str, str, str], list[bool]] = defaultdict(list)
    tainted = set()
    with store.read() as connection:
        for nick, mode, category, name, correct, mark, player_marked in connection.execute(query):
            if mode in ("classic", "pair"):
                casual[nick].append(correct)
                continue
            place = (nick, mode, category, name)
            rounds[place].append(correct)
            if player_marked or mark in ("fast", "clock"):
                tainted.add(place)
    return Boards(_ranked({place: row for place, row in rounds.items() if place not in tainted}, day), _casual(casual))


def _ranked(rounds: dict[tuple[str, str, str, str], list[bool]], day: str) -> tuple[Ranked, ...]:
    runs: Counter[str] = Counter()
    days: dict[str, int] = {}
    for (nick, mode, _, name), answers in rounds.items():
        if mode == "endless":
            runs[nick] = max(runs[nick], sum(answers))
        elif name == day:
            days[nick] = max(days.get(nick, 0), sum(answers))
    rows = [Ranked(nick, runs[nick], days.get(nick)) for nick in {*runs, *days}]
    return tuple(sorted(rows, key=lambda row: (-row.best_run, -(row.today or 0), row.nick))[:_ROWS])


def _casual(answers: dict[str, list[bool]]) -> tuple[Casual, ...]:
    rows = [Casual(nick, sum(own), len(own)) for nick, own in answers.items() if len(own) >= _CASUAL_ANSWERS]
    return tuple(sorted(rows, key=lambda row: (-row.right / row.total, -row.total, row.nick))[:_ROWS])
