"""The game as a folder of files that any web space can serve: no server, no guesses collected.

The folder holds the built pages and `pack.json`: for each corpus cards drawn as the game draws them, each with its text
and, sealed, what it is. A seal is opened in the browser with a key that is slow to derive from the card (PBKDF2), once
the player has guessed. So neither the source of the page nor its files can be read for the answers, and all seals have
the same length; but whoever runs the page's own derivation on every card has all answers within a minute or so. It
keeps honest players honest. It is no place for a study: nothing is collected.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import orjson

from pasquin.errors import ResourceError, UsageError
from pasquin.play.cards import Card, HumanSource
from pasquin.play.deck import Deck

ITERATIONS: Final = 300_000
PACK: Final = "pack.json"
_PIECE: Final = 256
_LONGEST_NEAREST: Final = 400
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'"
)


def draw_cards(deck: Deck, most: int) -> list[Card]:
    """Up to `most` cards, each human or model with even odds, none near to another."""
    cards: list[Card] = []
    seen: set[str] = set()
    while len(cards) < most and (card := deck.draw(lambda card: card.known(seen))) is not None:
        cards.append(card)
        seen.add(card.item.key)
    return cards


def make_pack(decks: Iterable[Deck], most: int) -> dict[str, Any]:
    """What `pack.json` holds: how slow its seals are, and up to `most` sealed cards of each deck that can be played."""
    drawn = {deck.key: draw_cards(deck, most) for deck in decks if deck.reason is None}
    answers = {id(card): orjson.dumps(_answer(card)) for cards in drawn.values() for card in cards}
    length = -(-max(map(len, answers.values()), default=0) // _PIECE) * _PIECE

    def sealed(card: Card) -> dict[str, str]:
        name = secrets.token_hex(16)
        return {"id": name, "text": card.item.text, "seal": seal(name, answers[id(card)].ljust(length), ITERATIONS)}

    with ThreadPoolExecutor() as pool:  # deriving a key gives up Python's lock
        categories = [{"key": key, "cards": list(pool.map(sealed, cards))} for key, cards in drawn.items()]
    return {"iterations": ITERATIONS, "categories": categories}


def seal(name: str, content: bytes, iterations: int) -> str:
    """`content` under a key that is derived slowly from a card's name, in base64.

    A key is used once, so the stream of PBKDF2 (RFC 8018) itself serves as the cipher; browsers have it built in.
    """
    key = hashlib.pbkdf2_hmac("sha256", name.encode(), b"pasquin seal", iterations)
    stream = hashlib.pbkdf2_hmac("sha256", key, b"pasquin stream", 1, len(content))
    return base64.b64encode(bytes(one ^ other for one, other in zip(content, stream, strict=True))).decode()


def write_site(folder: Path, pages: Path, pack: dict[str, Any]) -> None:
    """Write the pages and the pack into `folder`, which must be new or empty. Raises UsageError, ResourceError."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already and is not an empty folder. Name a new one.")
    page = pages / "index.html"
    if not page.is_file():
        raise UsageError("The pages are not built here. Run `make web`, then try again.")
    try:
        shutil.copytree(pages, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*", "*.br"))
        (folder / PACK).write_bytes(orjson.dumps(pack))
        (folder / "index.html").write_text(_static_page(page.read_text(encoding="utf-8")), encoding="utf-8")
    except OSError as exc:
        raise ResourceError(f"{folder} could not be written ({exc}). Make room or choose another place.") from exc


def _static_page(page: str) -> str:
    nonce = secrets.token_urlsafe(16)
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY.format(nonce=nonce)}" />'
    page = page.replace("__STYLE_NONCE__", nonce).replace("<head>", f"<head>\n    {policy}", 1)
    page = page.replace("</head>", f'  <meta name="pasquin-pack" content="{PACK}" />\n  </head>', 1)
    return re.sub(r'(src|href)="/', r'\1="./', page)


def _answer(card: Card) -> dict[str, Any]:
    source = card.source
    if isinstance(source, HumanSource):
        return {"origin": "human", "human": asdict(source), "model": None}
    model = asdict(source)
    if source.nearest and len(source.nearest.text) > _LONGEST_NEAREST:
        model["nearest"]["text"] = source.nearest.text[:_LONGEST_NEAREST] + "…"
    return {"origin": "model", "human": None, "model": model}
