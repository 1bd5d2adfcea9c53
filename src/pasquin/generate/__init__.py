"""Generate: candidates by the thousand from a trained model, each screened before it counts.

    result = generate(workspace, "vc", settings=GenerateSettings(n=1000))

Completions are numbered by position, screened in that order, and stored in chunks, each a transaction. The same
command run again finds what is stored and goes on behind it (see `plan`), so a killed run repeats and loses nothing.
Not covered here: what makes a candidate (`pasquin.screen`), how tokens are drawn (`pasquin.engines`).
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pasquin.config import GenerateSettings, load, model_sampling
from pasquin.counts import counted
from pasquin.engines import Engine
from pasquin.errors import Interrupted, ModelError, UsageError
from pasquin.generate.candidates import add, candidate_row, stored, text_keys
from pasquin.generate.output import add_rejected, output_path, write_output
from pasquin.generate.plan import Plan, Wish
from pasquin.generate.writers import CONTESTANT, Prompts, contestant, trained
from pasquin.progress import Progress, Silent
from pasquin.records import Completion, NoveltyCertificate
from pasquin.screen import Screen, open_screen
from pasquin.store import Store
from pasquin.texts import normalise
from pasquin.workers import check_place, open_workers
from pasquin.workspace import Workspace

__all__ = ["generate"]

_FACTOR: Final = 4
_SPARE: Final = 200
"""A run gives up after `_FACTOR` completions a candidate wanted, and `_SPARE` more."""
_FIRST_GUESS: Final = 0.9
"""Share of completions expected to become candidates before anything is known."""
_LEAST_ROUND: Final = 16
_MOST_ROUND: Final = 20_000
"""Completions asked for at once: a million prompts at a time would only fill memory."""
_CHUNK: Final = 100
_CHUNK_SECONDS: Final = 2.0


def generate(
    workspace: Workspace,
    model: str,
    *,
    output: Path | None = None,
    account: str | None = None,
    blend: str = "",
    about: str = "",
    prefix: str = "",
    stop: Sequence[str] = (),
    truncate: str | None = None,
    include_prefix: bool = True,
    settings: GenerateSettings | None = None,
    on: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Generate until `settings.n` candidates of this generation are in the store, and write them to a file.

    `account` is one the model knows, `anybody` for no one's voice, or None for all in proportion to their posts;
    `blend` (`a:0.7,b:0.3`) mixes several in every text.
    `about` are words, apart by commas or spaces, that every text is about (a model that learned topics tries).
    `prefix` begins every text and belongs to the candidate unless `include_prefix` is False. `stop` (and `truncate`,
    its name in the tools of 2020) are texts at which a completion ends. `on` a Ray cluster (see `workers.open_workers`)
    every node draws a part of the completions; they are screened and stored here, in order. Returns {model, candidates,
    rejected: {reason: n}, completions, tokens, seconds, tokens_per_second, output, generation, engine,
    rejected_output}: `candidates` is how many are in the file, the rest is about this run; the rejected stand in
    `rejected_output`. Raises UsageError, ModelError, ResourceError, StoreError, or Interrupted on Ctrl-C; what was
    stored by then stays.
    """
    began = time.perf_counter()
    progress = progress or Silent()
    settings = settings or load(GenerateSettings, workspace.toml, defaults=model_sampling(workspace.model_dir(model)))
    path = output_path(workspace, model, output, datetime.now())
    stops = tuple(text for text in (*stop, *([truncate] if truncate else [])) if text)
    wish = Wish(account, blend, normalise(prefix), include_prefix, stops, about)
    if settings.engine == CONTESTANT:
        if on is not None:
            raise UsageError("A model behind a server is asked from here: leave out --on.")
        writer = contestant(workspace, model, wish, settings)
    else:
        if on is not None:
            check_place(on)
        writer = trained(workspace, model, wish, settings, on_cluster=on is not None)
    plan = writer.plan
    if settings.temperature == 0 and plan.engine != CONTESTANT and settings.n > len(plan.voices):
        raise UsageError(
            "At temperature 0 a voice always writes the same text: that makes "
            f"{counted(len(plan.voices), 'candidate')} at most. Ask for no more (-n {len(plan.voices)}), "
            "or give a temperature above 0."
        )
    with workspace.lock(f"generate-{model}"), closing(Store.of(workspace)) as store:
        rejected = workspace.root / "generated" / "rejected" / f"{model}_{plan.id}.jsonl"
        run = _Run(plan, store, settings, progress, rejected)
        if run.have < settings.n:
            screen = open_screen(
                workspace,
                min_characters=settings.min_characters,
                max_characters=settings.max_characters,
                seen=text_keys(store, plan.model),
                allow=settings.allow,
                target=settings.target,
                thresholds=plan.thresholds,
                toxicity=plan.toxicity,
                corpus=plan.corpus if plan.corpus in workspace.corpora() else None,
            )
            if writer.costs:
                progress.say(writer.costs)
            with open_workers(on, 1):
                run.go(*writer.open(), screen)
        rows = stored(store, plan.id, settings.n)
    write_output(path, rows)
    return {
        "model": plan.model,
        "candidates": len(rows),
        "rejected": dict(run.rejected.most_common()),
        "completions": run.completions,
        "tokens": run.tokens,
        "seconds": round(time.perf_counter() - began, 2),
        "tokens_per_second": round(run.tokens / run.seconds, 1) if run.seconds else 0.0,
        "output": str(path),
        "generation": plan.id,
        "engine": plan.engine,
        "rejected_output": str(rejected) if rejected.exists() else None,
    }


class _Run:
    """One run of a generation: where it stands, what it counted."""

    def __init__(
        self, plan: Plan, store: Store, settings: GenerateSettings, progress: Progress, rejected_output: Path
    ) -> None:
        self.plan, self.store, self.wanted, self.batch, self.progress = (
            plan,
            store,
            settings.n,
            settings.batch,
            progress,
        )
        there = stored(store, plan.id)
        self.have = len(there)
        self.position = int(str(there[-1]["position"])) + 1 if there else 0
        self.rejected: Counter[str] = Counter()
        self.completions = self.accepted = self.tokens = 0
        self.seconds = 0.0
        self._rows: list[dict[str, object]] = []
        self._rejected_output = rejected_output
        self._rejects: list[dict[str, object]] = []
        self._committed = 0.0

    def go(self, engine: Engine, prompts: Prompts, screen: Screen) -> None:
        """Generate and screen until there are enough candidates, or too many completions were none."""
        limit = _FACTOR * (self.wanted - self.have) + _SPARE
        sampling = self.plan.sampling
        sampling = replace(sampling, max_tokens=min(sampling.max_tokens, engine.context - prompts.longest))
        began = time.perf_counter()
        try:
            with self.progress.task("Generating", self.wanted, "candidates") as task:
                task.advance(self.have)
                while self.have < self.wanted and self.completions < limit:
                    size = self._round(limit)
                    batch = [prompts(self.position + offset) for offset in range(size)]
                    with closing(engine.generate(batch, sampling, self.batch)) as finished:
                        for completion in _in_order(finished):
                            if self._judge(completion, screen):
                                task.advance()
                            if self.have == self.wanted:
                                break
                    self._commit()
        except KeyboardInterrupt:
            self._commit()
            raise Interrupted(
                f"Stopped; {counted(len(stored(self.store, self.plan.id)), 'candidate is', 'candidates are')} stored. "
                "Run the same command again to go on."
            ) from None
        except ModelError:
            self._commit()  # what a server was paid for is not thrown away
            raise
        finally:
            self.seconds = time.perf_counter() - began
        self._verdict()

    def _round(self, limit: int) -> int:
        """How many completions to ask for next: what the share of candidates so far makes likely to be enough."""
        rate = max(self.accepted / self.completions, 0.02) if self.completions else _FIRST_GUESS
        size = max(_LEAST_ROUND, math.ceil((self.wanted - self.have) / rate * 1.03))
        return min(size, limit - self.completions, _MOST_ROUND)

    def _judge(self, completion: Completion, screen: Screen) -> bool:
        """Screen the completion at the next position; whether it is a candidate."""
        self.completions += 1
        self.tokens += completion.tokens
        reason, certificate, text = screen.judge(completion, self.plan.prefix if self.plan.include_prefix else "")
        position, self.position = self.position, self.position + 1
        if reason is not None or certificate is None:
            self._reject(position, reason or "garbled", text, certificate)
            return False
        self._rows.append(candidate_row(self.plan, position, completion, text, certificate))
        self.accepted += 1
        self.have += 1
        if len(self._rows) >= _CHUNK or time.perf_counter() - self._committed > _CHUNK_SECONDS:
            self._commit()
        return True

    def _reject(self, position: int, reason: str, text: str, certificate: NoveltyCertificate | None) -> None:
        self.rejected[reason] += 1
        row: dict[str, object] = {
            "position": position,
            "account": self.plan.voice_of(position),
            "reason": reason,
            "text": text,
        }
        if certificate is not None:
            row |= {"nearest_uri": certificate.nearest_uri, "similarity": certificate.similarity}
        self._rejects.append(row)

    def _commit(self) -> None:
        rows, self._rows = self._rows, []
        rejects, self._rejects = self._rejects, []
        add(self.store, rows)
        add_rejected(self._rejected_output, rejects)
        self._committed = time.perf_counter()

    def _verdict(self) -> None:
        """Say so when it was not enough; raise ModelError when it was nothing."""
        if self.have >= self.wanted:
            return
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in self.rejected.most_common(3))
        if not self.have:
            raise ModelError(
                f"None of {counted(self.completions, 'completion')} was a candidate (rejected: {reasons}). "
                "Train the model longer, or loosen the limits that reject them."
            )
        self.progress.say(
            f"Gave up at {self.have:,} of {counted(self.wanted, 'candidate')} after "
            f"{counted(self.completions, 'completion')} (rejected: {reasons}). "
            "Run again to go on, train longer, or loosen the limits."
        )


def _in_order(completions: Iterator[Completion]) -> Iterator[Completion]:
    """Completions by index from 0, each as soon as all before it are there."""
    early: dict[int, Completion] = {}
    following = 0
    for completion in completions:
        early[completion.index] = completion
        while following in early:
            yield early.pop(following)
            following += 1
