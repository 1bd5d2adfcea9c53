"""The writing side of networks: one protocol, one method wide, and what a publisher may offer beside it.

A publisher is named by `network` in `[bots.NAME]`. Built-in and third-party ones register alike, by the entry point
group `pasquin.publishers`: each entry is a function `(access: Access) -> Publisher`.

What the method raises is what the ledger goes by:

    NotSent          surely not published: it is tried again later
    RateLimited      surely not published: the bot waits until the time that was named
    TextRefused      surely not published, and never will be: the entry has failed
    AccountRefused   surely not published: the bot is paused until a person has mended the account
    anything else    nobody knows: the publication is `unknown` and settled by looking, never by guessing
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final, Literal, Protocol, runtime_checkable

from pasquin.config import BotSettings, PublishSettings, secret_prefix
from pasquin.errors import UsageError
from pasquin.records import Profile, Publication
from pasquin.store import Store

GROUP: Final = "pasquin.publishers"

Request = Mapping[str, Any]
"""A frozen request, JSON: what will be sent, to the letter, without secrets."""

Settled = Publication | Literal["absent", "undecided"]
"""What looking for a publication found: it; that it surely is not there and the same request may be sent again; or
that this cannot be told."""


@dataclass(frozen=True)
class Access:
    """What a publisher is made with: the bot, its settings, the store for its session, the workspace's `root`, and a
    way to its secrets."""

    bot: str
    settings: BotSettings
    publish: PublishSettings
    store: Store
    root: Path

    def secret(self, name: str) -> str:
        """A secret from the environment or the keyring; UsageError, naming the variable, when there is none."""
        found = self.optional_secret(name)
        if found is None:
            raise UsageError(
                f"The bot `{self.bot}` has no {name.lower().replace('_', ' ')}. "
                f"Set {secret_prefix(self.bot)}{name} in the environment, "
                f"or `keyring set pasquin {self.bot}/{name.lower()}`; never in pasquin.toml."
            )
        return found

    def optional_secret(self, name: str) -> str | None:
        """A secret, None when there is none."""
        return os.environ.get(f"{secret_prefix(self.bot)}{name}") or _from_keyring(f"{self.bot}/{name.lower()}")


class Publisher(Protocol):
    """The writing side of a network."""

    def publish(self, text: str, key: str) -> Publication:
        """Publish `text`. The same `key` again is the same publication: where the network can promise it, a retry
        returns the first one instead of making a second. Keys are TIDs: 13 characters that hold a time and sort by it.
        """


@runtime_checkable
class Freezes(Protocol):
    """A publisher whose request can be fixed before it is sent: the ledger stores it first."""

    def freeze(self, text: str, key: str) -> Request:
        """The request that publishes `text`; raises TextRefused when the network would not take it."""

    def send(self, request: Request) -> Publication:
        """Send a frozen request; `publish(text, key)` is `send(freeze(text, key))`."""


@runtime_checkable
class Settles(Protocol):
    """A publisher that can look whether a request was carried out."""

    def settle(self, request: Request, attempted_at: datetime) -> Settled:
        """What became of a request that was first attempted at `attempted_at`."""


@runtime_checkable
class Recalls(Protocol):
    """A publisher that can tell whether the account has said a text before: another workspace may publish there too."""

    def said_before(self, text: str) -> str | None:
        """The URI of one of the account's latest posts that has this text, None when there is none."""


@runtime_checkable
class Shows(Protocol):
    """A publisher that can read the account's own profile, for the disclosure."""

    def profile(self) -> Profile:
        """The account as the network shows it now."""


@runtime_checkable
class SetsUp(Protocol):
    """A publisher that can write the account's profile."""

    def set_up(self, bio: str, avatar: bytes | None) -> list[str]:
        """Write the bio, the automation flag where it can be set, and the avatar (PNG) when given; says what it did."""


@runtime_checkable
class Prices(Protocol):
    """A publisher that costs money."""

    def price(self, text: str) -> float:
        """US dollars that publishing `text` will cost."""


def publishers() -> dict[str, str]:
    """Names of the networks that can be published to, with the object reference that provides each."""
    return {entry.name: entry.value for entry in entry_points(group=GROUP)}


def open_publisher(access: Access) -> Publisher:
    """The publisher of a bot; UsageError, naming those there are, when its network has none."""
    for entry in entry_points(group=GROUP):
        if entry.name == access.settings.network:
            make: Callable[[Access], Publisher] = entry.load()
            return make(access)
    raise UsageError(
        f"The bot `{access.bot}` is on the network `{access.settings.network}`, to which nothing here can publish; "
        f"there are {', '.join(sorted(publishers()))}."
    )


def _from_keyring(name: str) -> str | None:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return None
    try:
        found: str | None = keyring.get_password("pasquin", name)
    except KeyringError:
        return None
    return found
