"""Settings of `pasquin collect`: what sources read and how politely."""

from __future__ import annotations

import json

from pydantic import Field, SecretStr, field_validator

from pasquin.config.reading import StageSettings, words


class CollectSettings(StageSettings):
    """[collect]"""

    stage = "collect"

    page_posts: int = Field(50_000, ge=1)
    """Posts held in memory before a shard is written."""
    max_line_bytes: int = Field(16 * 2**20, ge=1024)
    """A longer line (or text) is quarantined instead of read."""
    workers: int = Field(8, ge=1, le=64)
    """Network sources read at a time; the budget of each host is shared by all."""
    watch_minutes: float = Field(15.0, gt=0)
    """Minutes from the beginning of one round of `--watch` to the next."""
    account: str | None = None
    """Whose posts these are, for files that do not say; by default the file's name."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Which column (or JSON key, dots reach inside) of csv, jsonl and parquet holds which field of a post."""
    delimiter: str = Field("=" * 20, min_length=1)
    """The line that separates posts in delimited text."""
    proxies: tuple[SecretStr, ...] = ()
    """Forward proxies (`http://user:password@host:port`, or a file with one a line); they share one budget."""
    allow_private_hosts: tuple[str, ...] = ()
    """Hosts (`name` or `name:port`) that may be in a private network and without https: one's own servers."""
    max_wait_seconds: int = Field(900, ge=0)
    """Wait at most this long when a service asks to; longer, and the source ends with a word."""
    accepted_rules: tuple[str, ...] = ()
    """Mastodon servers whose rules were read and accepted (`example.social`)."""
    bluesky_plc: str = "https://plc.directory"
    """The directory that knows where a `did:plc` account lives."""
    bluesky_api: str = "https://public.api.bsky.app"
    """The public AppView: resolves handles, counts likes and reposts."""
    bluesky_whole_hours: float = Field(12.0, ge=0)
    """Read an account whole again after so many hours: what changed does not always show what was deleted."""
    bluesky_engagement: bool = False
    """Ask the AppView for likes and reposts, 25 posts a request."""

    max_download_bytes: int = Field(50 * 2**30, ge=1)
    """The largest data set that is brought here from an address; it needs that much room in the temporary folder."""
    max_cost: float | None = Field(None, ge=0)
    """US dollars that all paid requests of a run may cost together; without it none is made."""
    x_read_cost: float = Field(0.005, ge=0)
    """US dollars that X asks for reading one post through its API."""
    x_api: str = "https://api.x.com"
    """X's API."""

    @field_validator("columns", mode="before")
    @classmethod
    def _from_json(cls, value: object) -> object:
        return json.loads(value) if isinstance(value, str) else value

    @field_validator("proxies", "allow_private_hosts", "accepted_rules", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return words(value)
