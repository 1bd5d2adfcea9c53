"""Engines: what runs a model. One protocol, one method wide, and one table.

Built-in and third-party engines register alike, by the entry point group `pasquin.engines`: each entry is a class with
`supports(model_dir) -> str | None` (None when it can run the model, else why not, in a sentence) and
`open(model_dir) -> Engine`. Batch generation and the HTTP endpoint use the same engine: both feed its `Session`,
`generate` with all it has (`batches.complete`), the endpoint as requests come.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

from pasquin.errors import ModelError, UsageError
from pasquin.records import Completion, Prompt, Sampling

GROUP = "pasquin.engines"
PREFERENCE = ("vllm", "openvino", "transformers")
"""Which engine is tried first when none is named: the fastest that can run the model here."""

COLDEST = 1e-6
"""At this temperature and below the likeliest token is drawn: in float32 nothing would be left of the others, or of the
temperature."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Tokens that a sequence of a session has drawn since it was last told of; `ended` when there will be no more.

    The end token is among `token_ids` when it came. `log_probs` (natural logarithms, one a token, by the model itself:
    before temperature, top-k and top-p) are there when they were asked for.
    """

    number: int
    token_ids: tuple[int, ...]
    log_probs: tuple[float, ...]
    ended: bool


class Session(Protocol):
    """A running batch: sequences join it and leave it between any two steps of the model. For one thread."""

    def fits(self, prompt: Prompt, sampling: Sampling) -> bool:
        """Whether the prompt can join now. When nothing is running, any prompt within the context fits."""

    def add(self, prompt: Prompt, sampling: Sampling, *, follow: bool = False, log_probs: bool = False) -> int:
        """Let a prompt that fits join, and return its number. With `follow`, `step` tells of it at every token."""

    def step(self) -> list[Drawn]:
        """Draw a token for every sequence; what followed ones drew, and the whole of those that ended.

        Stop texts are the caller's business: it cancels. Nothing to do is no error. Raises ModelError.
        """

    def cancel(self, number: int) -> None:
        """Drop a sequence and free its place; nothing more is told of it. Unknown numbers are ignored."""

    def close(self) -> None:
        """Drop everything."""


class Engine(Protocol):
    """A loaded model that completes prompts."""

    name: str
    context: int
    """Tokens, prompt and completion together, that the model can hold."""

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, batch: int = 128
    ) -> Generator[Completion, None, None]:
        """One completion for each prompt, in whatever order they finish; `Completion.index` says whose.

        At most `batch` sequences run at a time. The same prompt, seed, sampling, model and engine give the same text,
        whatever else is in `prompts`, as far as the engine's arithmetic allows: each says how far that is.
        Closing the iterator early frees everything. Raises ModelError when the model cannot be run.
        """


class LocalEngine(Engine, Protocol):
    """An engine that holds the model itself, so that it can be served."""

    def session(self, batch: int = 128) -> Session:
        """An empty running batch of at most `batch` sequences. An engine has one session at a time."""


class EngineEntry(Protocol):
    """What an engine registers: how to ask whether it can run a model here, and how to open it."""

    @staticmethod
    def supports(model_dir: Path) -> str | None:
        """None when this engine can run the model on this machine, else a sentence saying why not."""

    @staticmethod
    def open(model_dir: Path, batch: int | None = None) -> LocalEngine:
        """Load the model. With `batch` it is loaded to serve: for so many short sequences at a time at most.

        Then little memory and a quick answer to a single prompt come before texts that repeat to the letter.
        """


def engines() -> dict[str, EngineEntry]:
    """Every registered engine that can be imported, preferred ones first."""
    found: dict[str, EngineEntry] = {}
    for entry in entry_points(group=GROUP):
        try:
            found[entry.name] = entry.load()
        except ImportError:  # somebody else's engine, whose packages are not here
            continue
    order = [name for name in PREFERENCE if name in found] + sorted(set(found) - set(PREFERENCE))
    return {name: found[name] for name in order}


def choose_engine(model_dir: Path, name: str | None = None) -> tuple[str, EngineEntry]:
    """The engine called `name`, or the first that can run the model in `model_dir`; the model is not loaded yet.

    Raises UsageError for an unknown name and ModelError, with every engine's reason, when none can run the model.
    """
    table = engines()
    if name is not None and name not in table:
        raise UsageError(f"There is no engine `{name}`; there are {', '.join(table)}.")
    reasons = []
    for candidate in [name] if name is not None else list(table):
        reason = table[candidate].supports(model_dir)
        if reason is None:
            return candidate, table[candidate]
        reasons.append(f"{candidate}: {reason}")
    raise ModelError(f"No engine can run {model_dir.name} here ({'; '.join(reasons)}).")


def open_engine(model_dir: Path, name: str | None = None) -> LocalEngine:
    """Load the model in `model_dir` with the engine that `choose_engine` chooses; raises what that raises."""
    return choose_engine(model_dir, name)[1].open(model_dir)
