"""Mastodon and servers that speak its API (Pleroma, Akkoma, GoToSocial, Misskey's compatible ones), and its archives.

    mastodon:@user@host            an account's public posts, asked from its own server
    mastodon-archive:PATH          the owner's archive: the zip or tar.gz, the folder, or its outbox.json

Only public and unlisted posts are read, boosts are counted and left out, and the text is the author's own: without
the quoted post, and without the content warning in front of it.
"""

from __future__ import annotations

from pasquin.config import CollectSettings
from pasquin.networks.files import FileSource
from pasquin.networks.mastodon.archive import find_archives, read_mastodon_archive
from pasquin.networks.mastodon.profile import InstanceRules, RulesNotAccepted
from pasquin.networks.mastodon.timeline import MastodonSource
from pasquin.networks.transport import shared

__all__ = ["InstanceRules", "MastodonSource", "RulesNotAccepted", "mastodon", "mastodon_archive"]


def mastodon(settings: CollectSettings) -> MastodonSource:
    """Accounts on Mastodon and compatible servers."""
    return MastodonSource(settings, shared(settings))


def mastodon_archive(settings: CollectSettings) -> FileSource:
    """The archive that a Mastodon server gives an account's owner."""
    return FileSource(settings, find_archives, read_mastodon_archive)
