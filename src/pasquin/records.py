"""The plain, frozen records that stages hand to each other: see docs/glossary.md for the words.

Records carry data and nothing else: no I/O, no imports from the rest of Pasquin, no heavy packages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Rights = str
"""Why a post may be used: `own-archive`, `consented`, `licence:<name>`, `public-network`, `provided` (given as a file
by the owner of the workspace, who answers for it), `x-api` or `unknown`."""

SplitName = Literal["train", "validation", "test"]
Origin = Literal["human", "model"]
Novelty = Literal["verbatim", "near", "novel"]
FinishReason = Literal["stop", "length"]
Mode = Literal["classic", "pair", "daily", "endless"]
Confidence = Literal["sure", "unsure"]
GuessReason = Literal["sense", "style", "facts", "feeling", "knew"]
Arm = Literal["screened", "curated", "edited"]
Drawn = Literal["evenly", "by_difficulty"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One short published text by one account, as collected (not yet cleaned).

    `uri` identifies the post for ever and wherever it was read from: `https://x.com/i/status/<id>` for X,
    `at://…` for Bluesky, the ActivityPub id for Mastodon, `file:<hash>` for files that carry no identity.
    `account` is the stable identifier of its author (DID, actor URI, numeric id), `handle` the name it had then.
    `created_at` is timezone-aware UTC; `url` is where a person can look at the post.
    """

    uri: str
    network: str
    account: str
    handle: str
    text: str
    created_at: datetime | None = None
    lang: str | None = None
    reply_to: str | None = None
    is_repost: bool = False
    likes: int | None = None
    reposts: int | None = None
    url: str | None = None
    rights: Rights = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who posts: `id` is stable (DID, actor URI, numeric id), the `handle` may change."""

    network: str
    id: str
    handle: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusPost:
    """One cleaned post of a corpus, in the split it belongs to. `cluster` numbers its group of near-duplicates."""

    uri: str
    account: str
    handle: str
    text: str
    split: SplitName
    cluster: int
    created_at: datetime | None = None
    lang: str | None = None
    likes: int | None = None
    reposts: int | None = None
    url: str | None = None
    rights: Rights = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How an engine draws tokens.

    `temperature` > 0 scales the logits (0 means greedy); `top_k` keeps that many most likely tokens (0: all);
    `top_p` keeps the smallest set with that probability mass (1: all); `min_p` drops tokens less likely than this share
    of the likeliest token's probability (0: none); `max_tokens` bounds a completion's length;
    `stop` are texts that end a completion and are not part of it.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    max_tokens: int = 128
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What one completion starts from: token ids of the boundary, condition and prefix, and the seed of its draws.

    Engines behind somebody's server are asked in words, `text`; their token ids are not ours to know. `blend` are
    several beginnings with their shares (of sum 1): each token is then drawn from what they say together, and
    `token_ids` is the longest of them. Only the engine `transformers` blends.
    """

    token_ids: tuple[int, ...]
    seed: int
    text: str = ""
    blend: tuple[tuple[tuple[int, ...], float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """Raw text out of an engine, without the prompt, for the prompt at `index`.

    `finish` is `stop` when the model ended the text itself (or a stop text was met), `length` when it was cut off.
    `tokens` counts generated tokens, the end token included.
    """

    index: int
    text: str
    tokens: int
    finish: FinishReason


@dataclass(frozen=True, slots=True, kw_only=True)
class NoveltyCertificate:
    """How far a text is from every collected post.

    `similarity` is between 0 and 1 against the nearest post; `longest_run` is the length in characters of the longest
    run of text shared with any one post. `nearest_uri` is None only when nothing at all is shared.
    """

    kind: Novelty
    nearest_uri: str | None
    similarity: float
    longest_run: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A completion that passed the screen, with its provenance."""

    id: str
    model: str
    model_hash: str
    corpus: str
    account: str | None
    text: str
    created_at: datetime
    generation: str
    position: int
    seed: int
    engine: str
    sampling: Mapping[str, object]
    prefix: str
    tokens: int
    novelty: NoveltyCertificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What a network says of a text it has published: its `uri` there for ever, and a page to look at it.

    `published_at` is timezone-aware UTC; `details` are facts of the network worth keeping (a revision, a hash).
    """

    uri: str
    published_at: datetime
    url: str | None = None
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a network shows of an account. `bot` is its automation flag, None where the network has none to read.

    `avatar` are the bytes of its picture, None when it has none.
    """

    handle: str
    name: str
    bio: str
    bot: bool | None = None
    avatar: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A text that can be shown in the game. `key` is a post's uri or a candidate's id, never sent before the guess."""

    key: str
    origin: Origin
    category: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One item shown to one player; `id` is random and says nothing about the item.

    `check` is set on attention checks only, which show no item: it is the answer to give.
    """

    id: str
    player: str
    category: str
    text: str
    shown_at: datetime
    mode: Mode = "classic"
    position: int | None = None
    check: Origin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """A player's answer to a trial. `response_ms` is measured by the player's browser from showing to answering."""

    trial: str
    player: str
    guess: Origin
    correct: bool
    response_ms: int
    created_at: datetime
    details: Mapping[str, object] = field(default_factory=dict)
