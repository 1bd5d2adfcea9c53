"""Who writes: a model of this workspace, or a contestant behind somebody's server.

A writer is a plan (what the generation is) and a way to open what runs it: the engine, and the prompt of any position.
A contestant was not trained on the corpus; it is shown posts of its train split and asked for one more in that voice.
Screen, provenance and game are the same for both, so that they can be compared.
"""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from pasquin.config import GenerateSettings
from pasquin.counts import counted
from pasquin.engines import Engine, choose_engine
from pasquin.engines.openai import CHARACTERS_A_TOKEN, OpenAIServer
from pasquin.engines.spread import Spread
from pasquin.engines.vocabulary import has_output_tokens, write_output_tokens
from pasquin.errors import UsageError
from pasquin.generate.plan import Plan, Wish, make_plan
from pasquin.post_format import PostFormat, load_tokenizer
from pasquin.records import Prompt
from pasquin.workspace import Workspace
from pasquin.workspace.corpora import read_corpus

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CONTESTANT: Final = "openai"
"""The engine whose models live behind a server."""
_BLENDS: Final = "transformers"
"""The engine that can mix what several prompts say next."""
_DIVIDER: Final = "=" * 8


class Prompts(Protocol):
    """The prompt of any position; `longest` in tokens (0 where only the server counts)."""

    longest: int

    def __call__(self, position: int) -> Prompt:
        """The prompt of `position`."""


@dataclass(frozen=True)
class Writer:
    """A generation's plan, and how to open the engine and the prompts; `costs` says beforehand what that may spend."""

    plan: Plan
    open: Callable[[], tuple[Engine, Prompts]]
    costs: str | None = None


def trained(
    workspace: Workspace, model: str, wish: Wish, settings: GenerateSettings, on_cluster: bool = False
) -> Writer:
    """A model of the workspace, `on_cluster` on every node of the Ray cluster.

    Raises ModelError when it is missing, unfinished or runs nowhere; UsageError.
    """
    manifest = workspace.model_manifest(model)
    folder = workspace.model_dir(model)
    post_format = PostFormat.load(folder)
    if wish.blend and settings.engine not in (None, _BLENDS):
        raise UsageError(f"Only the engine `{_BLENDS}` can blend voices: leave out --engine.")
    engine_name, opener = choose_engine(folder, _BLENDS if wish.blend else settings.engine)
    plan = make_plan(
        workspace,
        wish,
        settings,
        model=model,
        model_hash=str(manifest["hash"]),
        corpus=str(manifest["corpus"]),
        engine=engine_name,
        known=post_format.accounts,
    )

    if plan.about and not post_format.about:
        raise UsageError(
            f"The model `{model}` learned no topics, so it cannot write about one: train it again, or use --prefix."
        )

    def opened() -> tuple[Engine, Prompts]:
        tokenizer = load_tokenizer(folder)
        if engine_name == "openvino" and not has_output_tokens(folder, plan.model_hash):
            _list_output_tokens(workspace, plan, tokenizer, post_format.end_id)
        engine: Engine = Spread(folder, engine_name) if on_cluster else opener.open(folder)

        def begin(voice: str | None) -> tuple[int, ...]:
            return post_format.prompt_ids(tokenizer, voice, plan.prefix, plan.about)

        ids = {voice: begin(voice) for voice, _ in plan.voices}
        blend = tuple((begin(name), share) for name, share in plan.blend)
        prompts = _TokenPrompts(plan, ids, blend)
        if prompts.longest >= engine.context:
            raise UsageError(
                f"The prefix is too long: it fills {prompts.longest:,} of the {engine.context:,} tokens that this "
                "model and this engine can hold. Shorten it."
            )
        return engine, prompts

    return Writer(plan, opened)


def _list_output_tokens(workspace: Workspace, plan: Plan, tokenizer: Tokenizer, end_id: int) -> None:
    """Leave beside the model which tokens its corpus uses; all are needed where that corpus is gone."""
    known = plan.corpus in workspace.corpora()
    texts = [post.text for post in read_corpus(workspace, plan.corpus, "train")] if known else []
    write_output_tokens(workspace.model_dir(plan.model), plan.model_hash, tokenizer, texts, [end_id])


def contestant(workspace: Workspace, corpus: str, wish: Wish, settings: GenerateSettings) -> Writer:
    """A model on a server that imitates `corpus`.

    Raises UsageError when address or model are not named, CorpusError when the corpus is missing or damaged.
    """
    if not settings.base_url or not settings.model:
        raise UsageError(
            "--engine openai needs --base-url (such as http://localhost:11434/v1) and --model (a name on that server)."
        )
    if wish.blend:
        raise UsageError("Voices cannot be blended on a server: ask for one with --account.")
    server = OpenAIServer(settings.base_url, settings.model, token_budget=settings.token_budget, prefix=wish.prefix)
    posts = defaultdict(list)
    for post in read_corpus(workspace, corpus, "train"):
        posts[post.handle].append(post.text)
    plan = make_plan(
        workspace,
        wish,
        settings,
        model=f"{CONTESTANT}:{settings.model}"[:64],
        model_hash=hashlib.sha256(f"{settings.base_url}\n{settings.model}\n{settings.few_shot}".encode()).hexdigest(),
        corpus=corpus,
        engine=CONTESTANT,
        known=tuple(sorted(posts)) if len(posts) > 1 else (),
    )
    prompts = _FewShotPrompts(plan, dict(posts), settings.few_shot)
    each = len(prompts(0).text) // CHARACTERS_A_TOKEN + settings.max_tokens
    costs = (
        f"Each completion may take about {each:,} tokens of {settings.model}, {counted(settings.n, 'candidate')} about "
        f"{each * settings.n:,}; no more than {settings.token_budget:,} will be spent (token_budget)."
    )
    return Writer(plan, lambda: (server, prompts), costs)


class _TokenPrompts:
    """Prompts in tokens; the few different ones are tokenised once."""

    def __init__(
        self, plan: Plan, ids: dict[str | None, tuple[int, ...]], blend: tuple[tuple[tuple[int, ...], float], ...]
    ) -> None:
        self.plan, self.ids, self.blend = plan, ids, blend
        if blend:
            self.ids = {None: max((begin for begin, _ in blend), key=len)}
        self.longest = max(map(len, self.ids.values()))

    def __call__(self, position: int) -> Prompt:
        ids = self.ids[self.plan.voice_of(position)]
        return Prompt(token_ids=ids, seed=self.plan.seed_of(position), blend=self.blend)


class _FewShotPrompts:
    """Prompts in words: posts of the voice, drawn by the position's seed, and the wish for one more."""

    longest = 0

    def __init__(self, plan: Plan, posts: dict[str, list[str]], shots: int) -> None:
        self.plan, self.posts, self.shots = plan, posts, shots
        self.all = [text for texts in posts.values() for text in texts]

    def __call__(self, position: int) -> Prompt:
        seed, voice = self.plan.seed_of(position), self.plan.voice_of(position)
        texts = self.posts[voice] if voice is not None else self.all
        examples = random.Random(seed).sample(texts, min(self.shots, len(texts)))
        whose = f"by {voice}" if voice is not None else "from one collection"
        shown = "\n".join(f"{_DIVIDER}\n{text}" for text in examples)
        start = f" It begins with exactly these words: {self.plan.prefix}" if self.plan.prefix else ""
        about = f" about {', '.join(self.plan.about)}" if self.plan.about else ""
        text = (
            f"These are short posts {whose}, apart by lines of {_DIVIDER}:\n\n{shown}\n{_DIVIDER}\n\n"
            f"Write one new post{about} that could stand among them: the same subjects, tone, length, spelling and "
            "habits of punctuation, but nothing copied. Shorter than "
            f"{self.plan.limits[1]} characters.{start} Answer with the text of that post and nothing else."
        )
        return Prompt(token_ids=(), seed=seed, text=text)
