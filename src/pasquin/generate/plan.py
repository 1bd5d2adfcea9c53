"""What a generation is, before anything runs: whose voices, which seeds, and its identity.

A generation is an endless numbered row of completions, settled by the model, the engine, the sampling, the prefix, the
voices, the limits and the seed. Position 17 has the same seed, voice and prompt whenever it is run, so a generation
that was interrupted, or of which more is wanted, goes on at the next position and repeats nothing.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Final

from pasquin.config import GenerateSettings
from pasquin.errors import CorpusError, UsageError
from pasquin.records import Sampling
from pasquin.screen import USUAL, Thresholds
from pasquin.workspace import Workspace
from pasquin.workspace.corpora import read_corpus

ANYBODY: Final = "anybody"
"""How one asks for texts in no account's voice (unless an account has that very name)."""
MOST_WORDS: Final = 5
_MOST_LETTERS: Final = 120
_GOLDEN: Final = 0.6180339887498949


@dataclass(frozen=True)
class Plan:
    """A generation: `voices` are accounts (None: nobody's in particular) with the share of positions each gets.

    `blend` are accounts that write every text together, with their shares of each word; its texts are nobody's.
    """

    model: str
    model_hash: str
    corpus: str
    engine: str
    sampling: Sampling
    prefix: str
    include_prefix: bool
    voices: tuple[tuple[str | None, float], ...]
    limits: tuple[int, int]
    allowed: tuple[str, ...]
    seed: int
    blend: tuple[tuple[str, float], ...] = ()
    target: str | None = None
    thresholds: Thresholds = USUAL
    toxicity: float | None = None
    about: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """32 hexadecimal digits that settle every text of the generation."""
        values = {key: value for key, value in asdict(self).items() if key != "about" or value}
        parts = json.dumps(values, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(parts.encode()).hexdigest()[:32]

    def seed_of(self, position: int) -> int:
        """The 32-bit seed of a position. Hashed, so that neighbouring base seeds have no texts in common."""
        return int.from_bytes(hashlib.sha256(f"{self.seed}:{position}".encode()).digest()[:4], "big")

    def voice_of(self, position: int) -> str | None:
        """The account of a position. Shares hold over any stretch of positions, by multiples of the golden ratio."""
        goal = (position + 0.5) * _GOLDEN % 1.0 * sum(share for _, share in self.voices)
        bounds = accumulate(share for _, share in self.voices)
        return next((voice for (voice, _), bound in zip(self.voices, bounds, strict=True) if goal < bound), None)


@dataclass(frozen=True)
class Wish:
    """What a person asked of this generation: whose voice, how a text begins and ends."""

    account: str | None = None
    blend: str = ""
    prefix: str = ""
    include_prefix: bool = True
    stop: tuple[str, ...] = ()
    about: str = ""


def make_plan(
    workspace: Workspace,
    wish: Wish,
    settings: GenerateSettings,
    *,
    model: str,
    model_hash: str,
    corpus: str,
    engine: str,
    known: Sequence[str],
) -> Plan:
    """The generation that these settings mean, by a model that knows the accounts `known`.

    Raises UsageError for an account the model does not know, and a blend that is none.
    """
    if wish.blend and wish.account is not None:
        raise UsageError("--as and --account exclude each other; give one of them.")
    return Plan(
        model=model,
        model_hash=model_hash,
        corpus=corpus,
        engine=engine,
        sampling=Sampling(
            temperature=settings.temperature,
            top_k=settings.top_k,
            top_p=settings.top_p,
            min_p=settings.min_p,
            max_tokens=settings.max_tokens,
            stop=wish.stop,
        ),
        prefix=wish.prefix,
        include_prefix=wish.include_prefix,
        voices=((None, 1.0),) if wish.blend else _voices(workspace, corpus, known, wish.account),
        blend=read_blend(wish.blend, known) if wish.blend else (),
        limits=(settings.min_characters, settings.max_characters),
        allowed=tuple(sorted(set(settings.allow))),
        target=settings.target,
        thresholds=Thresholds(
            near_similarity=settings.near_similarity,
            near_window=settings.near_window,
            near_short=settings.near_short,
            long_run=settings.long_run,
            run_share=settings.run_share,
        ),
        toxicity=settings.toxicity,
        seed=settings.seed,
        about=read_about(wish.about),
    )


def read_blend(words: str, known: Sequence[str]) -> tuple[tuple[str, float], ...]:
    """`a:0.7,b:0.3` as accounts and shares of sum 1; without any share all have the same.

    Raises UsageError unless it names two accounts at least, all `known` and each once, with positive shares.
    """
    parts = [part.strip() for part in words.split(",") if part.strip()]
    bare = all(part in known for part in parts)
    found: dict[str, float] = {}
    for part in parts:
        account, _, number = (part, ":", "1") if bare else part.rpartition(":")
        try:
            share = float(number)
        except ValueError:
            share = 0.0
        if not account or not 0 < share < math.inf:
            raise UsageError(f"--as wants accounts and shares, such as `ada:0.7,bo:0.3`; it got `{part}`.")
        if account not in known:
            raise _unknown(account, known)
        if account in found:
            raise UsageError(f"--as names `{account}` twice; give each account once.")
        found[account] = share
    if len(found) < 2:
        raise UsageError("--as blends two accounts or more, such as `ada:0.7,bo:0.3`; for one there is --account.")
    total = sum(found.values())
    return tuple((account, share / total) for account, share in found.items())


def _unknown(account: str, known: Sequence[str]) -> UsageError:
    names = f"{', '.join(known[:20])}{' and more' if len(known) > 20 else ''}" if known else "one voice only"
    return UsageError(f"The model does not know the account `{account}`; it knows {names} and `{ANYBODY}`.")


def read_about(words: str) -> tuple[str, ...]:
    """`coffee, night trains` as lower-case words, each once. Raises UsageError for more than a post is ever about."""
    found = tuple(dict.fromkeys(word for word in words.lower().replace(",", " ").split()))
    if len(found) > MOST_WORDS or sum(map(len, found)) > _MOST_LETTERS:
        raise UsageError(f"--about takes up to {MOST_WORDS} words of usual length (there are {len(found)}).")
    return found


def _voices(
    workspace: Workspace, corpus: str, known: Sequence[str], account: str | None
) -> tuple[tuple[str | None, float], ...]:
    if account is not None:
        if account in known:
            return ((account, 1.0),)
        if account == ANYBODY:
            return ((None, 1.0),)
        raise _unknown(account, known)
    if not known:
        return ((None, 1.0),)
    try:
        counts = Counter(post.handle for post in read_corpus(workspace, corpus, "train"))
    except CorpusError:  # the corpus was removed since: the model still writes
        counts = Counter()
    return tuple((voice, float(counts[voice] or 1)) for voice in known)
