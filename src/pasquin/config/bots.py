"""The bots of `pasquin.toml`, and what the names of their secrets begin with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pasquin.config.reading import first_mistake, read_toml
from pasquin.errors import UsageError

BOT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class BotSettings(BaseModel):
    """[bots.NAME]: an account that publishes. Its keys and passwords are never here (docs/bots.md)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: str
    """`bluesky`, `mastodon`, `x`, `file`, `webhook`, or another installed publisher."""
    account: str = Field(min_length=1)
    """Handle of the account; the path for `file`, the address for `webhook`."""
    server: str | None = None
    """Address of its server, where the account's name does not say it."""
    models: tuple[str, ...] = ()
    """Models whose accepted candidates it publishes."""
    corpus: str | None = None
    """Corpus whose models' accepted candidates it publishes."""
    schedule: str | None = None
    """`09:30, 20:00`, `3 a day between 9 and 22 with jitter`, or a cron expression; without one, one post a run."""
    time_zone: str = "UTC"
    """Where the schedule's clock hangs."""
    minimum_stock: int = Field(5, ge=0)
    """Warn when fewer entries than this are left in the queue."""
    paused: bool = False
    """Publishes nothing; the queue stays."""
    evergreen: bool = False
    """When the queue is empty, publish its oldest post again."""
    grace_hours: float = Field(6.0, gt=0)
    """What is later than this is moved to a free slot, so that a machine that slept does not flood."""
    rest_minutes: float = Field(1.0, ge=0)
    """Without a schedule: at least this long between two posts, whoever asks."""
    urls: bool = False
    """Texts with links may be published (on X each costs more)."""
    post_cost: float = Field(0.015, ge=0)
    """US dollars that X asks for a post."""
    url_cost: float = Field(0.20, ge=0)
    """US dollars that X asks for a post with a link."""
    parodies: tuple[str, ...] = ()
    """Names and handles of whom it parodies, or what it was trained on."""
    maintainer: str = ""
    """Who answers for it, as the bio names them: a handle, an address, a name."""
    model_family: str | None = None
    """As the bio names it (SmolLM2, GPT-2); by default what the model's manifest says."""
    curated: bool = True
    """Whether a person picks each post."""
    original_avatars: tuple[str, ...] = ()
    """Pictures (paths) of those it parodies, to compare its own with; `none` where they have none."""
    newsworthy: bool | None = None
    """Whether those it parodies are people the news writes about, politicians most of all."""
    confirmed: tuple[Literal["automated", "newsworthy"], ...] = ()
    """What the person confirms: `automated` (X's label is set by hand), `newsworthy` (the risk is known)."""


def load_bots(toml: Path) -> dict[str, BotSettings]:
    """The bots of `pasquin.toml` by name. Raises UsageError naming the bot and the value that makes no sense."""
    tables = read_toml(toml).get("bots", {})
    if not isinstance(tables, dict):
        raise UsageError(f"[bots] in {toml} must hold a table for each bot: [bots.NAME].")
    bots: dict[str, BotSettings] = {}
    keys: dict[str, str] = {}
    for name, table in tables.items():
        if not BOT_NAME.fullmatch(name):
            raise UsageError(
                f"`{name}` cannot be the name of a bot: use up to 64 letters, digits, dashes, underscores."
            )
        if other := keys.get(secret_prefix(name)):
            raise UsageError(f"The bots `{other}` and `{name}` would share their secrets' names; rename one of them.")
        keys[secret_prefix(name)] = name
        try:
            bots[name] = BotSettings.model_validate(table)
        except ValidationError as exc:
            field, first = first_mistake(exc)
            if first["type"] == "extra_forbidden":
                known = ", ".join(BotSettings.model_fields)
                raise UsageError(f"The bot `{name}` has no setting `{field}`; there are {known}.") from exc
            raise UsageError(f"The setting `{field}` of the bot `{name}` makes no sense: {first['msg']}.") from exc
    return bots


def secret_prefix(bot: str) -> str:
    """What the names of a bot's secrets in the environment begin with: `PASQUIN_BOT_<NAME>_`."""
    return f"PASQUIN_BOT_{bot.upper().replace('-', '_')}_"
