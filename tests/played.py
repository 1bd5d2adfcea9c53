"""Games that were played: simulated guesses put into a workspace's store, about invented texts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import sqlalchemy as sa

from invented import add_candidates, make_corpus, posts, texts
from pasquin.measure.simulation import World, draw
from pasquin.store import Store
from pasquin.store.schema import candidates, guesses, players, trials
from pasquin.workspace import Workspace

START = datetime(2026, 11, 1, tzinfo=UTC)


def make_played(
    workspace: Workspace,
    world: World,
    *,
    models: tuple[str, ...] = ("village",),
    category: str = "village",
    response_ms: int = 4_000,
    seed: int = 1,
) -> int:
    """Play a simulated game on the corpus `village`; how many guesses were made."""
    game = draw(world, np.random.default_rng(seed))
    make_corpus(workspace, "village", posts(world.items))
    store = Store.of(workspace)
    for number, model in enumerate(models):
        add_candidates(store, model, texts(world.items // 2 // len(models), start=1000 * (number + 1)))
    with store.read() as connection:
        written = connection.execute(sa.select(candidates.c.id).order_by(candidates.c.id)).scalars().all()
    rows = []
    for at in range(len(game.player)):
        item = int(game.item[at])
        key = written[item // 2 % len(written)] if game.from_model[at] else f"https://posts.invalid/{item}"
        rows.append((at, f"player{game.player[at]}", key, bool(game.from_model[at]), bool(game.judged_model[at])))
    put(store, rows, category, response_ms)
    store.close()
    return len(rows)


def put(store: Store, rows: list[tuple[int, str, str, bool, bool]], category: str, response_ms: int) -> None:
    """Rows of (number, player, item, from a model, judged a model's) into the store, a second apart."""
    word = {False: "human", True: "model"}
    names = sorted({player for _, player, *_ in rows})
    with store.write() as connection:
        known = set(connection.execute(sa.select(players.c.id)).scalars())
        new = [{"id": name, "token_hash": name, "created_at": START} for name in names if name not in known]
        if new:
            connection.execute(sa.insert(players), new)
        for table, made in ((trials, _trial), (guesses, _guess)):
            connection.execute(sa.insert(table), [made(row, word, category, response_ms) for row in rows])


def _trial(row: tuple[int, str, str, bool, bool], word: dict[bool, str], category: str, _: int) -> dict[str, object]:
    at, player, item, from_model, _judged = row
    shown = START + timedelta(seconds=at)
    return {
        "id": f"{category}{at}",
        "player": player,
        "category": category,
        "origin": word[from_model],
        "item_key": item,
        "shown_at": shown,
    }


def _guess(row: tuple[int, str, str, bool, bool], word: dict[bool, str], category: str, ms: int) -> dict[str, object]:
    at, player, _item, from_model, judged = row
    return {
        "trial": f"{category}{at}",
        "player": player,
        "guess": word[judged],
        "correct": judged == from_model,
        "response_ms": ms,
        "server_ms": ms + 60,
        "created_at": START + timedelta(seconds=at, milliseconds=ms),
    }
