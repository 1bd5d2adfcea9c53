"""One settings class a stage. A value comes from, first that has it: a command-line flag, the environment
(`PASQUIN_<STAGE>_<FIELD>`), `pasquin.toml` (`[stage]` table), the default here.

Secrets never live in `pasquin.toml`: they come from the environment or the keyring, where they are used.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from pasquin.errors import UsageError


class StageSettings(BaseModel):
    """What all settings classes share: what is not given comes from the environment, unknown keys are mistakes, values
    are checked. (pydantic-settings would do the same, and add 50 ms to the start of every command.)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: ClassVar[str]
    """Its table in `pasquin.toml`, and `PASQUIN_<STAGE>_` in the environment."""

    def __init__(self, **given: Any) -> None:
        """Settings with what is `given`. Raises ValidationError for what makes no sense."""
        found = _environment(self.stage)
        super().__init__(**{key: value for key, value in found.items() if key in type(self).model_fields} | given)


def _environment(stage: str) -> dict[str, str]:
    """What the environment says of a stage's settings, and of others that it does not have."""
    prefix = f"PASQUIN_{stage.upper()}_"
    names = {name.upper(): value for name, value in os.environ.items()}
    return {name.removeprefix(prefix).lower(): value for name, value in names.items() if name.startswith(prefix)}


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
        return _words(value)


class PrepareSettings(StageSettings):
    """[prepare]"""

    stage = "prepare"

    include_replies: bool = False
    """Keep replies and posts that begin with @."""
    include_reposts: bool = False
    """Keep reposts (other people's words)."""
    include_links: bool = False
    """Keep URLs in the text, and posts that are nothing but a link."""
    strip_usertags: bool = False
    """Remove @mentions from texts."""
    strip_hashtags: bool = False
    """Remove #hashtags from texts."""
    min_characters: int = Field(3, ge=1)
    """Shorter texts are dropped after cleaning."""
    max_characters: int = Field(1_000, ge=1)
    """Longer texts are dropped after cleaning: Pasquin learns short posts."""
    languages: tuple[str, ...] = ()
    """Keep only texts in these languages (ISO 639, `en`), and those too short to tell."""
    drop_personal: bool = False
    """Drop texts with e-mail or street addresses, telephone, card, bank account or social security numbers."""
    near_threshold: float = Field(0.8, gt=0, le=1)
    """Jaccard similarity of character shingles from which two posts are near-duplicates."""
    max_per_account: int | None = Field(None, ge=1)
    """Cap on posts per account (balancing); the newest are not favoured, the draw is seeded."""
    split: Literal["random", "time"] = "random"
    """`random`, or `time`: the newest posts are the test split."""
    validation_share: float = Field(0.02, gt=0, lt=0.5)
    """Share of posts held out to measure training."""
    test_share: float = Field(0.05, gt=0, lt=0.5)
    """Share of posts held out for the game."""
    seed: int = 0
    """Seed of every draw."""
    workers: int | None = Field(None, ge=1)
    """Processes to work with on this machine; one a core when not given."""
    memory_mb: int = Field(2_048, ge=512)
    """Megabytes that all processes together try to stay in; the rest goes to the disk."""

    @field_validator("languages", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return _words(value)


class TrainSettings(StageSettings):
    """[train]"""

    stage = "train"

    model: str = "smollm2"
    """`smollm2` (the starter), a Hugging Face name such as `gpt2`, or a directory."""
    method: Literal["full", "lora"] | None = None
    """Train all weights or low-rank ones; chosen by the model's size when not given."""
    minutes: float | None = Field(None, gt=0)
    """Stop after this much training time."""
    epochs: float | None = Field(None, gt=0)
    """Stop after this many passes over the train split."""
    steps: int | None = Field(None, ge=1)
    """Stop after this many optimizer steps."""
    freeze: int = Field(0, ge=0)
    """Leave the embeddings and so many lower layers as they are: faster and smaller, learns less."""
    from_scratch: bool = False
    """Begin with an own tokenizer and random weights instead of `model`."""
    vocabulary: int = Field(8_192, ge=300, le=262_144)
    """Tokens of a model from scratch, at most."""
    width: int = Field(384, ge=64, le=8_192)
    """Width of a model from scratch."""
    layers: int = Field(6, ge=1, le=256)
    """Layers of a model from scratch."""
    learning_rate: float | None = Field(None, gt=0)
    """Peak learning rate; chosen by method when not given."""
    batch_tokens: int = Field(1_536, ge=16)
    """Token budget of one optimizer step."""
    condition_dropout: float = Field(0.5, ge=0, le=1)
    """Share of examples shown without their account, so that the model also writes unconditioned."""
    about: float = Field(0.15, ge=0, le=1)
    """Share of examples shown with one to three of their own words in front, so that the model can write about
    something; with 0 it learns no topics."""
    patience: int = Field(4, ge=1)
    """Evaluations without improvement before training stops."""
    max_copies: float = Field(0.1, ge=0, le=1)
    """Training stops when, twice running, more than this share of what the model writes copies a training post."""
    seed: int = 0
    """Seed of data order, dropout and sampling."""
    memory_gb: float | None = Field(None, gt=0)
    """Memory (10^9 bytes) that training may use; nine tenths of what is available when not given."""
    compile: bool = False
    """Compile the model (needs a C++ compiler, takes many minutes: for runs of hours)."""


class GenerateSettings(StageSettings):
    """[generate]"""

    stage = "generate"

    n: int = Field(1_000, ge=1, le=1_000_000)
    """Candidates wanted."""
    engine: str | None = None
    """`openvino`, `transformers`, or another installed engine; the fastest that can run the model when not given."""
    batch: int = Field(256, ge=1)
    """Sequences generated at a time, at most: the engine takes fewer when its cache is full."""
    temperature: float = Field(1.0, ge=0)
    """Scales the logits: 0 is greedy, 1 as learned."""
    top_k: int = Field(1000, ge=0)
    """Draw from this many likeliest tokens (0: all): looking at all costs time."""
    top_p: float = Field(0.98, gt=0, le=1)
    """Draw from the likeliest tokens that have this probability together (1: all)."""
    min_p: float = Field(0.0005, ge=0, lt=1)
    """Draw no token less likely than this share of the likeliest one (0: any)."""
    max_tokens: int = Field(128, ge=1)
    """Tokens before a completion is cut off (and rejected as incomplete)."""
    seed: int = Field(0, ge=0)
    """Same seed, same candidates."""
    min_characters: int = Field(10, ge=1)
    """Shorter candidates are rejected."""
    max_characters: int = Field(280, ge=1)
    """Longer candidates are rejected."""
    target: Literal["bluesky", "mastodon", "x"] | None = None
    """The network that candidates are for: what does not fit there, as it counts, is too long."""
    toxicity: float | None = Field(None, gt=0, le=1)
    """Candidates that score so much for swearing and insults are rejected; needs `pasquin[toxicity]`."""
    near_similarity: float = Field(0.8, gt=0, le=1)
    """Candidates this alike to a whole post are copies with edits."""
    near_window: float = Field(0.85, gt=0, le=1)
    """Candidates this alike to a piece of a longer post are copies."""
    near_short: float = Field(0.9, gt=0, le=1)
    """The same for candidates of fewer than 30 letters and digits, with a whole post."""
    long_run: int = Field(60, ge=30)
    """A run of so many characters shared with a post makes a candidate a copy, whatever else it says."""
    run_share: float = Field(0.6, gt=0, le=1)
    """A shared run of 30 characters or more that is this share of a candidate makes it a copy."""
    allow: tuple[str, ...] = ()
    """Of mention, link, personal, blocked and language: what does not speak against a candidate here."""
    base_url: str | None = None
    """With the engine `openai`: the server's address, for example `http://localhost:11434/v1`."""
    model: str | None = None
    """With the engine `openai`: the model's name on that server."""
    few_shot: int = Field(12, ge=1, le=200)
    """With the engine `openai`: posts of the train split shown with each request."""
    token_budget: int = Field(2_000_000, ge=1)
    """With the engine `openai`: tokens that one run may spend, prompts included."""

    @field_validator("allow", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return _words(value)


class CurateSettings(StageSettings):
    """[curate]"""

    stage = "curate"

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 lets others in."""
    port: int = Field(8000, ge=0, le=65_535)
    """Port to listen on; 0 takes any free one."""
    public_url: str | None = Field(None, pattern=r"^https?://[^\s/?#]+/?$")
    """Address by which others reach this server (`https://curate.example.org`), for invitations."""
    overlap: int = Field(10, ge=0, le=100)
    """Per cent of the candidates that every curator decides, to measure how far they agree."""
    session_days: float = Field(30.0, gt=0, le=365)
    """Days after which a curator has to sign in again."""
    networks: tuple[Literal["bluesky", "mastodon", "x"], ...] = ("bluesky", "mastodon", "x")
    """Networks whose lengths are counted; the first is the one that cards look like."""
    mastodon_characters: int = Field(500, ge=1)
    """What the Mastodon instance allows."""

    @field_validator("networks", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """In the environment several are separated by commas or spaces."""
        return value.replace(",", " ").split() if isinstance(value, str) else value


class PlaySettings(StageSettings):
    """[play]"""

    stage = "play"

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 lets others in."""
    port: int = Field(8000, ge=0, le=65_535)
    """Port to listen on; 0 takes any free one."""
    min_items: int = Field(8, ge=1)
    """A category needs this many human and this many model items before it is offered."""
    attention_every: int = Field(25, ge=0)
    """About so many cards from one attention check to the next; 0: none."""
    adapt: float = Field(0.5, ge=0, le=0.9)
    """Share of the cards, drawn anew for each player, that may be chosen by how hard they are: in classic to suit the
    player, in endless to be harder. They are in no rate, only the rest is; 0: no card is. Set it before people play."""
    fill: int = Field(0, ge=0)
    """While the game is served, models write on in the background until the keenest player has so many AI cards ahead;
    0: they do not."""
    player_rate: float = Field(4.0, gt=0)
    """Requests a second that one player may make in the long run; ten times as many at once."""
    address_rate: float = Field(400.0, gt=0)
    """The same for all players of one address prefix together (a school behind one address is many players)."""
    embed: tuple[Annotated[str, Field(pattern=r"^(\*|https?://[A-Za-z0-9.:\[\]*-]+)$")], ...] = ()
    """Sites (`https://blog.example.org`; `*`: any) whose pages may show `/embed` in an `<iframe>`."""

    @field_validator("embed", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return _words(value)


class ServeSettings(StageSettings):
    """[serve]"""

    stage = "serve"

    host: str = "127.0.0.1"
    """Address to listen on; anything but this machine's own requires API keys."""
    port: int = Field(8001, ge=0, le=65_535)
    """Port to listen on; 0 takes any free one."""
    require_key: bool = False
    """Ask for an API key on 127.0.0.1 too: behind a reverse proxy everybody comes from there."""
    engine: str | None = None
    """`openvino`, `transformers`, or another installed engine; the fastest that can run the model when not given."""
    batch: int = Field(32, ge=1, le=256)
    """Sequences that run at a time, for each model."""
    queue: int = Field(128, ge=0)
    """Sequences that wait for a place, for each model; who comes when it is full is told to come back (429)."""
    memory_mb: int = Field(2_000, ge=1)
    """Models that are not in use are unloaded when all together would take more than this (10^6 bytes)."""
    deadline_seconds: float = Field(120.0, gt=0)
    """A request that is not answered by then is given up (503)."""
    drain_seconds: int = Field(30, ge=0)
    """When told to end, finish what is under way for at most this long."""
    key_requests_per_minute: int = Field(600, ge=1)
    """Requests a minute of one API key, unless the key has a limit of its own."""
    key_sequences: int = Field(64, ge=1)
    """Sequences of one API key that wait or run at a time."""
    temperature: float = Field(1.0, ge=0, le=100)
    """What a request that does not say is drawn with, where tuning did not settle that for the model."""
    top_k: int = Field(1000, ge=0)
    """Draw from this many likeliest tokens (0: all)."""
    top_p: float = Field(0.98, gt=0, le=1)
    """Draw from the likeliest tokens that have this probability together (1: all)."""
    min_p: float = Field(0.0005, ge=0, lt=1)
    """Draw no token less likely than this share of the likeliest one (0: any)."""
    max_tokens: int = Field(128, ge=1)
    """Tokens before a text is cut off, where the request does not say."""


def _words(value: object) -> object:
    """In the environment, and on a flag, several values are separated by commas or spaces."""
    return value.replace(",", " ").split() if isinstance(value, str) else value


class MeasureSettings(StageSettings):
    """[measure]"""

    stage = "measure"

    fastest_ms: int = Field(500, ge=0)
    """Faster answers do not count: the text was not read."""
    most_guesses: int = Field(500, ge=1)
    """Later guesses of a player do not count."""


_Settings = TypeVar("_Settings", bound=StageSettings)


def read_toml(path: Path) -> dict[str, Any]:
    """The parsed `pasquin.toml`, empty when there is none.

    Raises UsageError when the file is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise UsageError(f"{path} is not valid TOML ({exc}). Mend that line, or run `pasquin init` elsewhere.") from exc


SAMPLING_FILE = "sampling.json"
"""Beside a model: how `pasquin tune --apply` found that it is best drawn from."""


def model_sampling(model_dir: Path) -> dict[str, object]:
    """What `generate` draws with by default from this model, where tuning settled that; else nothing.

    Raises UsageError for a file that is damaged.
    """
    path = model_dir / SAMPLING_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        values = None
    if not isinstance(values, dict) or not values.keys() <= {"temperature", "top_k", "top_p", "min_p"}:
        raise UsageError(f"{path} is damaged: remove it, or run `pasquin tune {model_dir.name} --apply` again.")
    return values


def load(
    settings: type[_Settings], toml: Path | None, defaults: Mapping[str, object] | None = None, **flags: object
) -> _Settings:
    """Settings of one stage from flags, environment, file and defaults, in that order.

    `flags` that are None count as not given; `defaults` stand in for the stage's own. Raises UsageError naming the
    value that makes no sense.
    """
    stage = settings.stage
    table = read_toml(toml).get(stage, {}) if toml else {}
    if not isinstance(table, dict):
        raise UsageError(f"[{stage}] in {toml} must be a table of settings.")
    from_environment = _environment(stage)
    given = {**(defaults or {}), **table}
    values = {key: value for key, value in given.items() if key not in from_environment}
    values.update({key: value for key, value in flags.items() if value is not None})
    try:
        return settings(**values)
    except ValidationError as exc:
        first = exc.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = ", ".join(settings.model_fields)
            raise UsageError(f"There is no setting `{name}` for {stage}; there are {known}.") from exc
        raise UsageError(
            f"The {stage} setting `{name}` makes no sense: {first['msg']} (it is {first['input']!r})."
        ) from exc


class PublishSettings(StageSettings):
    """[publish]"""

    stage = "publish"

    lease_seconds: float = Field(120.0, ge=5)
    """A publisher that is not heard of for so long has lost its claim, and another one takes over."""
    timeout_seconds: float = Field(20.0, gt=0)
    """How long a network may take to answer."""
    poll_seconds: float = Field(15.0, gt=0)
    """How often the daemon looks for what is due."""
    settle_minutes: float = Field(10.0, gt=0)
    """How long to wait before looking again for a post of which nobody knows whether it was published."""
    metrics_port: int | None = Field(None, ge=0, le=65_535)
    """Port on 127.0.0.1 at which the daemon tells Prometheus how its bots stand; none without it."""
    settle_times: int = Field(6, ge=1)
    """How often to look before the person is asked."""
    allow_private_hosts: tuple[str, ...] = ()
    """Hosts (`name` or `name:port`) that may be in a private network and without https: one's own servers."""

    @field_validator("allow_private_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return value.replace(",", " ").split() if isinstance(value, str) else value


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
            first = exc.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            if first["type"] == "extra_forbidden":
                known = ", ".join(BotSettings.model_fields)
                raise UsageError(f"The bot `{name}` has no setting `{field}`; there are {known}.") from exc
            raise UsageError(f"The setting `{field}` of the bot `{name}` makes no sense: {first['msg']}.") from exc
    return bots


BOT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def secret_prefix(bot: str) -> str:
    """What the names of a bot's secrets in the environment begin with: `PASQUIN_BOT_<NAME>_`."""
    return f"PASQUIN_BOT_{bot.upper().replace('-', '_')}_"
