"""The screen: what makes a completion a candidate. Complete, safe, in the corpus's language, no copy.

    screen = open_screen(workspace, min_characters=10, max_characters=280)
    reason, certificate, text = screen.judge(completion, prefix)

`fit`, `safety` and `language` look at the text alone, `novelty` compares it with every collected post of the workspace.
The rejection reasons are `REASONS`, tried in that order. Not covered: whether a text is true, sensible, or about a
person.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from pasquin.lengths import Target
from pasquin.records import Completion, NoveltyCertificate
from pasquin.screen.fit import Fit
from pasquin.screen.language import Languages
from pasquin.screen.novelty import USUAL, NoveltyIndex, Thresholds
from pasquin.screen.safety import SAFETY_REASONS, Safety
from pasquin.screen.toxicity import Toxicity
from pasquin.texts import text_key
from pasquin.workspace import Workspace
from pasquin.workspace.corpora import read_corpus
from pasquin.workspace.shards import fetch_posts

__all__ = [
    "REASONS",
    "SAFETY_REASONS",
    "USUAL",
    "Fit",
    "Languages",
    "NoveltyIndex",
    "Safety",
    "Screen",
    "Thresholds",
    "open_screen",
]

LANGUAGE: Final = "language"
TOXIC: Final = "toxic"
REASONS: Final = (
    "incomplete",
    "garbled",
    "empty",
    "too_short",
    "too_long",
    "repetitive",
    *SAFETY_REASONS,
    LANGUAGE,
    "duplicate",
    "verbatim",
    "near",
    TOXIC,
)
"""Why a completion is no candidate, in the order in which it is looked at."""
_LANGUAGE_SAMPLE: Final = 2_000


class Screen:
    """Judges completions one after the other, and remembers those it let pass: a second one alike is a duplicate."""

    def __init__(
        self,
        index: NoveltyIndex,
        fit: Fit,
        seen: Iterable[str] = (),
        *,
        safety: Safety | None = None,
        languages: Languages | None = None,
        toxicity: Toxicity | None = None,
    ) -> None:
        """`seen` are `text_key`s of candidates that are there already. Without `languages` any language will do."""
        self.index = index
        self.fit = fit
        self.safety = safety or Safety()
        self._languages = languages or Languages(())
        self._toxicity = toxicity
        self._seen = set(seen)

    def forget(self) -> None:
        """Forget what passed, so that it may pass again."""
        self._seen.clear()

    def judge(self, completion: Completion, prefix: str = "") -> tuple[str | None, NoveltyCertificate | None, str]:
        """Why `prefix` + completion is rejected (None: it is a candidate), its novelty, and the normalised text.

        The certificate is there for candidates and for what was rejected as `verbatim` or `near`. A text that is cut
        off (`finish` is `length`) is `incomplete`, whatever it says.
        """
        reason, text = self.fit.judge(completion, prefix)
        reason = reason or self.safety.judge(text) or self._languages.judge(text)
        if reason is not None:
            return reason, None, text
        key = text_key(text)
        if key in self._seen:
            return "duplicate", None, text
        certificate = self.index.certificate(text)
        if certificate.kind != "novel":
            return certificate.kind, certificate, text
        if self._toxicity is not None and (reason := self._toxicity.judge(text)):
            return reason, certificate, text
        self._seen.add(key)
        return None, certificate, text


def open_screen(
    workspace: Workspace,
    *,
    min_characters: int,
    max_characters: int,
    seen: Iterable[str] = (),
    allow: Collection[str] = (),
    corpus: str | None = None,
    target: Target | None = None,
    thresholds: Thresholds = USUAL,
    toxicity: float | None = None,
) -> Screen:
    """The screen of a workspace: against every post ever collected there, whichever corpus it is in or not.

    Lengths are in characters (code points) of the normalised text; with `target` it must also fit that network, by the
    network's own count. `thresholds` say from where on a text is near a post, `toxicity` from
    which score on one is toxic (None: that is not looked at). Without any post every text is novel.
    `allow` are those of `SAFETY_REASONS` (and `language`) that do not matter here. With `corpus`, texts must be in one
    of its languages. Raises WorkspaceError or CorpusError when the posts cannot be read, UsageError for a block list
    that is no text, ResourceError when toxicity is asked for and its model is not installed.
    """
    safety = Safety.of(workspace.root, set(allow) - {LANGUAGE})
    languages = None
    if corpus is not None and LANGUAGE not in allow:
        texts = [post.text for post in read_corpus(workspace, corpus, "train")]
        languages = Languages(texts[:: max(1, len(texts) // _LANGUAGE_SAMPLE)])
    index = NoveltyIndex(fetch_posts(workspace, "SELECT uri, text FROM {posts} ORDER BY uri"), thresholds)
    fit = Fit(min_characters, max_characters, target)
    return Screen(
        index,
        fit,
        seen,
        safety=safety,
        languages=languages,
        toxicity=None if toxicity is None else Toxicity(toxicity),
    )
