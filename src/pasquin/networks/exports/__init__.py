"""Exports as sources of posts: what scrapers of X wrote, and what chat programs and Reddit hand out.

    snscrape, twscrape, gallery-dl    posts on X, with the identities that twint and X's archive give them
    telegram, discord, whatsapp       chats: every author is an account, unless `account` chooses one
    reddit                            listings and dumps of submissions and comments

None of them says why the posts may be used, so their rights are `unknown` until the person states them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pasquin.config import CollectSettings
from pasquin.networks.exports.chats import read_discord, read_telegram
from pasquin.networks.exports.reddit import read_reddit
from pasquin.networks.exports.scrapers import read_gallery_dl, read_snscrape, read_twscrape
from pasquin.networks.exports.whatsapp import read_whatsapp
from pasquin.networks.files import FileSource
from pasquin.networks.files.reading import find_files


def _finder(*suffixes: str) -> Callable[[str], list[Path]]:
    return lambda pattern: find_files(pattern, suffixes)


_JSON = _finder(".json", ".jsonl", ".ndjson")


def snscrape(settings: CollectSettings) -> FileSource:
    """JSON lines as snscrape wrote them."""
    return FileSource(settings, _finder(".json", ".jsonl", ".ndjson", ".txt"), read_snscrape)


def twscrape(settings: CollectSettings) -> FileSource:
    """JSON lines as twscrape prints them."""
    return FileSource(settings, _finder(".json", ".jsonl", ".ndjson", ".txt"), read_twscrape)


def gallery_dl(settings: CollectSettings) -> FileSource:
    """Metadata of tweets as gallery-dl writes it: one file a picture, JSON lines, or its `--dump-json`."""
    return FileSource(settings, _JSON, read_gallery_dl)


def telegram(settings: CollectSettings) -> FileSource:
    """The `result.json` of Telegram Desktop: one chat, or all of them."""
    return FileSource(settings, _JSON, read_telegram)


def discord(settings: CollectSettings) -> FileSource:
    """The JSON of DiscordChatExporter."""
    return FileSource(settings, _JSON, read_discord)


def whatsapp(settings: CollectSettings) -> FileSource:
    """The text that WhatsApp's "Export chat" gives."""
    return FileSource(settings, _finder(".txt"), read_whatsapp)


def reddit(settings: CollectSettings) -> FileSource:
    """Reddit's JSON: a saved listing, or a dump with a submission or comment a line."""
    return FileSource(settings, _JSON, read_reddit)
