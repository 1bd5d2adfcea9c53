"""Tune: which decoding settings give a model's most human, most varied candidates, and what each gains and loses.

    result = tune(workspace, "vc", minutes=10, apply=True)

Every setting of `GRID` writes texts that are screened as candidates are, and set beside held-out posts. Truncation
makes texts sensible and tells them apart by what they lack, the whole tail does the opposite: both sides are measured.

- `detector_auc`, `likelihood_auc`: how well programs tell the texts from posts (`measure.detectors`; 0.5 is chance);
- `unknown_words`: share of words that no training post has, beside the posts' own: the cheapest sign of nonsense;
- `kept` (candidates over completions), `distinct_2` beside the posts' own, and `copied`.

`score` is their product, each as a part of what would be perfect (see `_score`). It is an order among settings measured
here, with some hundred texts each: near ties are ties. Not covered: whether a text makes sense. Read some.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from pasquin.config import SAMPLING_FILE, GenerateSettings, load
from pasquin.counts import counted
from pasquin.engines import LocalEngine, choose_engine
from pasquin.errors import CorpusError, Interrupted, UsageError, disk_errors
from pasquin.post_format import PostFormat, load_tokenizer
from pasquin.progress import Progress, Silent
from pasquin.records import CorpusPost, Prompt, Sampling
from pasquin.screen import open_screen
from pasquin.texts import comparable
from pasquin.tune.draws import Drawn, draw, human_losses
from pasquin.tune.page import write_page
from pasquin.workspace import Workspace
from pasquin.workspace.corpora import read_corpus
from pasquin.workspace.files import write_atomically

__all__ = ["GRID", "tune"]


class Setting(NamedTuple):
    """How tokens are drawn: see `records.Sampling`."""

    temperature: float
    top_k: int
    top_p: float
    min_p: float


GRID: Final = tuple(
    Setting(*values)
    for values in (
        (1.0, 1000, 0.98, 0.0005),
        (1.0, 0, 1.0, 0.0),
        (1.0, 0, 1.0, 0.001),
        (1.0, 200, 0.95, 0.0),
        (0.9, 1000, 0.98, 0.0005),
        (1.0, 0, 1.0, 0.002),
        (1.1, 1000, 0.98, 0.002),
        (1.0, 200, 0.98, 0.0),
        (0.95, 0, 1.0, 0.0),
        (1.1, 200, 0.95, 0.0),
        (1.0, 200, 1.0, 0.02),
        (0.9, 200, 0.95, 0.0),
        (1.1, 200, 1.0, 0.05),
        (0.8, 200, 0.95, 0.0),
    )
)
"""Settings in the order they are tried: what is best on tweets early, so that little time is well spent."""
TABLE: Final = "tuning.json"
PAGE: Final = "tuning.html"
_FEWEST: Final = 60
"""Texts a setting, at least, or nothing can be told."""


def tune(
    workspace: Workspace,
    model: str,
    *,
    n: int = 200,
    minutes: float = 10.0,
    max_copies: float = 0.02,
    apply: bool = False,
    engine: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Try settings of `GRID`, `n` completions each, for as many `minutes`; leave table and page beside the model.

    Of those whose completions copy posts at a rate of `max_copies` at most, the one of the highest score is
    recommended; with `apply`, `generate` uses it from now on where nobody says otherwise. Returns {model, settings,
    human, recommended, applied, tried, of, seconds, page}. Nothing else is stored: no text becomes a candidate. Raises
    UsageError, ModelError, CorpusError (too few held-out posts), ResourceError, Interrupted (what was measured stays).
    """
    if n < _FEWEST or minutes <= 0:
        raise UsageError(f"Tuning needs {_FEWEST} texts a setting and some minutes; give more.")
    began, progress = time.perf_counter(), progress or Silent()
    manifest, folder = workspace.model_manifest(model), workspace.model_dir(model)
    posts = read_corpus(workspace, str(manifest["corpus"]))
    engine_name, opener = choose_engine(folder, engine)
    with workspace.lock(f"generate-{model}"):
        bench = _Bench(workspace, folder, str(manifest["corpus"]), posts, n, seed, progress)
        opened, stopped = opener.open(folder), False
        rows: list[dict[str, Any]] = []
        with progress.task("Tuning", len(GRID), "settings") as task:
            for setting in GRID:
                if rows and time.perf_counter() - began > minutes * 60:
                    break
                try:
                    rows.append(bench.measure(opened, setting, max_copies))
                except KeyboardInterrupt:
                    stopped = True
                    break
                task.advance()
        if stopped and not rows:
            raise Interrupted(f"Stopped after 0 of {len(GRID)} settings; nothing was written.")
        result = _settle(folder, model, engine_name, rows, bench, apply and not stopped)
    if stopped:
        raise Interrupted(
            f"Stopped after {len(rows)} of {len(GRID)} settings; what they gave is in {folder / TABLE}. "
            "Nothing was applied."
        )
    return {**result, "seconds": round(time.perf_counter() - began, 1)}


def _settle(
    folder: Path, model: str, engine: str, rows: list[dict[str, Any]], bench: _Bench, apply: bool
) -> dict[str, Any]:
    """Recommend, and write the files."""
    fit = [row for row in rows if row["score"] is not None]
    best = max(fit, key=lambda row: row["score"], default=None)
    names = Setting._fields
    result = {
        "model": model,
        "engine": engine,
        "settings": rows,
        "human": bench.human_row,
        "recommended": {name: best[name] for name in names} if best is not None else None,
        "applied": apply and best is not None,
        "tried": len(rows),
        "of": len(GRID),
        "page": str(folder / PAGE),
    }
    with disk_errors(f"write {folder}"):
        write_atomically(folder / TABLE, json.dumps(result, ensure_ascii=False, indent=2) + "\n")
        write_page(folder / PAGE, result)
        if result["applied"]:
            write_atomically(folder / SAMPLING_FILE, json.dumps(result["recommended"], indent=2) + "\n")
    return result


class _Bench:
    """What every setting is measured with: prompts, screen, posts."""

    def __init__(
        self,
        workspace: Workspace,
        folder: Path,
        corpus: str,
        posts: Sequence[CorpusPost],
        n: int,
        seed: int,
        progress: Progress,
    ) -> None:
        """Raises CorpusError when there are too few held-out posts."""
        from pasquin.measure.likeness import distinct

        held_out = [post.text for post in posts if post.split == "test"]
        if len(held_out) < _FEWEST:
            raise CorpusError(
                f"The corpus {corpus} holds out {counted(len(held_out), 'post')}, tuning compares with {_FEWEST} at "
                "least. Collect more, or prepare with a larger test_share."
            )
        pick = random.Random(seed)
        self.human = pick.sample(held_out, min(len(held_out), 3 * n))
        self.settings = load(GenerateSettings, workspace.toml)
        self.context = (folder, PostFormat.load(folder), load_tokenizer(folder))
        self.known = {word for post in posts if post.split == "train" for word in comparable(post.text).split()}
        self._prompts = self._choose(posts, n, pick)
        self.screen = open_screen(
            workspace,
            min_characters=self.settings.min_characters,
            max_characters=self.settings.max_characters,
            allow=self.settings.allow,
            corpus=corpus,
        )
        progress.say(f"Reading {len(self.human):,} held-out posts with the model.")
        self.losses = human_losses(folder, self.human)
        few = self.human[:n]
        self.human_row = {"unknown_words": _unknown(few, self.known), "distinct_2": distinct(few)}

    def _choose(self, posts: Sequence[CorpusPost], n: int, pick: random.Random) -> list[Prompt]:
        """Prompts in the voices of the training posts, in their proportion."""
        _, post_format, tokenizer = self.context
        voices: list[str | None] = [post.handle for post in posts if post.split == "train"]
        known: list[str | None] = [voice if voice in post_format.accounts else None for voice in voices] or [None]
        chosen = pick.choices(known, k=n)
        ids = {voice: post_format.prompt_ids(tokenizer, voice) for voice in set(chosen)}
        return [Prompt(token_ids=ids[voice], seed=pick.getrandbits(32)) for voice in chosen]

    def measure(self, engine: LocalEngine, setting: Setting, max_copies: float) -> dict[str, Any]:
        """The row of one setting."""
        from pasquin.measure.detectors import FEWEST_PAIRS, matched, scorecard
        from pasquin.measure.likeness import distinct

        _, post_format, tokenizer = self.context
        most = min(self.settings.max_tokens, engine.context - max(len(prompt.token_ids) for prompt in self._prompts))
        sampling = Sampling(**setting._asdict(), max_tokens=most)
        began = time.perf_counter()
        drawn = draw(engine, self._prompts, sampling, self.settings.batch, post_format.end_id, tokenizer)
        seconds = time.perf_counter() - began
        texts, rejected = self._screened(drawn)
        compared = len(texts) + rejected["verbatim"] + rejected["near"]
        copied = (rejected["verbatim"] + rejected["near"]) / compared if compared else 0.0
        row: dict[str, Any] = {
            **setting._asdict(),
            "completions": len(drawn),
            "kept": len(texts) / len(drawn),
            "rejected": dict(rejected.most_common()),
            "copied": copied,
            "tokens_per_second": round(sum(one.completion.tokens for one in drawn) / seconds, 1),
            "unknown_words": _unknown(list(texts), self.known),
            "distinct_2": distinct(list(texts)),
            "detector_auc": None,
            "likelihood_auc": None,
            "example": next(iter(texts), ""),
            "score": None,
        }
        if len(matched(self.human, list(texts))[0]) >= FEWEST_PAIRS:
            found = scorecard(self.human, list(texts), losses=self._losses(texts))
            row["detector_auc"] = found[0]["auc"]["value"]
            row["likelihood_auc"] = found[1]["auc"]["value"] if len(found) == 3 else None
            if copied <= max_copies:
                row["score"] = _score(row, self.human_row)
        return row

    def _screened(self, drawn: Sequence[Drawn]) -> tuple[dict[str, Any], Counter[str]]:
        """Texts that pass the screen with their token losses, and why the others don't."""
        self.screen.forget()
        texts: dict[str, Any] = {}
        rejected: Counter[str] = Counter()
        for one in drawn:
            reason, _, text = self.screen.judge(one.completion)
            if reason is None:
                texts[text] = one.losses
            else:
                rejected[reason] += 1
        return texts, rejected

    def _losses(self, texts: dict[str, Any]) -> Any:
        if self.losses is None:
            return None
        known = {**dict(zip(self.human, self.losses, strict=True)), **texts}
        return lambda wanted: [known[text] for text in wanted]


def _unknown(texts: Sequence[str], known: set[str]) -> float:
    """Share of words that are not among `known`; numbers are known."""
    words = [word for text in texts for word in comparable(text).split() if not word.isnumeric()]
    return sum(word not in known for word in words) / len(words) if words else 0.0


def _score(row: dict[str, Any], human: dict[str, Any]) -> float:
    """Between 0 and 1: candidates a completion, times how near each other figure comes to the posts' own.

    A detector's part is 1 at an AUC of 0.5 and 0 at 1, the mean of both where there are two. Words unknown and pairs of
    words count as ratios to the posts', no better than 1.
    """
    areas = [area for area in (row["detector_auc"], row["likelihood_auc"]) if area is not None]
    human_like = sum(min(1.0, 2 * (1 - area)) for area in areas) / len(areas)
    sense = (human["unknown_words"] + 0.01) / (max(row["unknown_words"], human["unknown_words"]) + 0.01)
    varied = min(1.0, (row["distinct_2"] or 0.0) / (human["distinct_2"] or 1.0))
    return float(row["kept"] * human_like * sense * varied)
