"""`pasquin play --export`: the game as files, with the built pages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pasquin.config import PlaySettings, load
from pasquin.errors import CorpusError
from pasquin.play.items import build_decks
from pasquin.play.static_site import make_pack, write_site
from pasquin.server.pages import STATIC
from pasquin.store import Store
from pasquin.workspace import Workspace

_MOST_CARDS: Final = 200


def export_game(workspace: Workspace, corpora: Sequence[str], folder: Path) -> dict[str, Any]:
    """Write the game over `corpora` (none named: all) into `folder`: up to 200 cards of each corpus.

    Raises CorpusError when none can be played, UsageError when the folder is not empty, ResourceError.
    """
    store = Store.of(workspace)
    try:
        names = list(corpora) or workspace.corpora()
        decks = build_decks(workspace, store, names, load(PlaySettings, workspace.toml).min_items)
    finally:
        store.close()
    whole = [deck for deck in decks.values() if deck.account is None]
    if all(deck.reason for deck in whole):
        reason = next((deck.reason for deck in whole if deck.reason), None)
        raise CorpusError(reason or "There is no corpus to play with yet. Run `pasquin prepare NAME`.")
    pack = make_pack(whole, _MOST_CARDS)
    write_site(folder, STATIC, pack)
    cards = sum(len(category["cards"]) for category in pack["categories"])
    return {"folder": str(folder), "cards": cards, "corpora": [category["key"] for category in pack["categories"]]}
