"""Learning from people: what they liked becomes likelier than what they did not, also where it was not learned from."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from invented import candidate_rows, make_corpus, posts
from pasquin.config import TrainSettings
from pasquin.errors import CorpusError, ModelError, UsageError
from pasquin.post_format import PostFormat
from pasquin.store import Store
from pasquin.store.schema import candidates, curators, decisions, guesses, players, trials
from pasquin.train import train
from pasquin.train.feedback import area
from pasquin.train.opinions import FEWEST, Opinion, read_opinions
from pasquin.workspace import Workspace
from pasquin.workspace.files import file_hash, write_manifest
from tiny_model import make_tiny_model

NOW = datetime(2026, 2, 1, tzinfo=UTC)
LIKED, DISLIKED = ["cat", "mat", "warm", "red"], ["sea", "noon", "hills", "quiet"]


def written(words: list[str], count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    texts: dict[str, None] = {}
    while len(texts) < count:
        texts[" ".join(draw.choices([*words, "the", "and", "over"], k=8))] = None
    return list(texts)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A corpus, a finished model of it, and candidates about cats and about the sea."""
    workspace = Workspace.create(tmp_path / "bot")
    held_out = [replace(post, split="validation") for post in posts(140)[120:]]
    make_corpus(workspace, "village", [*posts(120), *held_out])
    folder = make_tiny_model(workspace.model_dir("village"))
    PostFormat(1, 2).save(folder)
    write_manifest(
        folder,
        {
            "kind": "model", "name": "village", "base": "tiny", "corpus": "village", "corpus_hash": "0" * 64,
            "method": "full", "settings": {}, "seed": 0, "accounts": [], "versions": {},
            "hash": file_hash(folder / "model.safetensors"), "created_at": "2026-01-01",
        },
    )  # fmt: skip
    return workspace


def decide(workspace: Workspace, count: int) -> list[str]:
    """`count` accepted texts, as many rejected, one of each kind edited; the ids of candidates nobody decided on."""
    good, bad = written(LIKED, count, 1), written(DISLIKED, count, 2)
    rows = list(candidate_rows("village", [*good, *bad, "the cat and the sea", "the warm cat over the mat", "noon"]))
    store = Store.of(workspace)
    with store.write() as connection:
        connection.execute(sa.insert(candidates), rows)
        connection.execute(sa.insert(curators).values(id="ada", name="ada", owner=True, created_at=NOW))
        verdicts = [("accept", None)] * count + [("reject", None)] * count + [("edit", "the cat and the mat")]
        connection.execute(
            sa.insert(decisions),
            [
                {"key": str(at), "candidate": row["id"], "curator": "ada", "decision": verdict, "text": text,
                 "seconds": 1.0, "via": "card", "created_at": NOW}
                for at, (row, (verdict, text)) in enumerate(zip(rows, verdicts, strict=False))
            ],
        )  # fmt: skip
    store.close()
    return [str(row["id"]) for row in rows[-2:]]


def guess(store: Store, item: str, judged: list[str]) -> None:
    with store.write() as connection:
        for at, answer in enumerate(judged):
            who = f"{item[:20]}{at}"
            connection.execute(sa.insert(players).values(id=who, token_hash=who, created_at=NOW))
            connection.execute(
                sa.insert(trials).values(
                    id=who, player=who, category="village", origin="model", item_key=item, shown_at=NOW
                )
            )
            connection.execute(
                sa.insert(guesses).values(
                    trial=who, player=who, guess=answer, correct=answer == "model", response_ms=900, server_ms=900,
                    created_at=NOW,
                )
            )  # fmt: skip


def test_opinions_are_decisions_and_what_most_players_took_for_human(workspace: Workspace) -> None:
    fooled, seen_through = decide(workspace, FEWEST)
    store = Store.of(workspace)
    guess(store, fooled, ["human", "human", "model"])
    guess(store, seen_through, ["model", "model", "human"])
    opinions = read_opinions(store, "village")
    store.close()
    assert [(one.text, one.liked) for one in opinions if one.text.startswith("the cat and the ")] == [
        ("the cat and the mat", True),
        ("the cat and the sea", False),
    ]
    assert [one.candidate for one in opinions if not one.decided] == [fooled]
    assert not any(one.held_out for one in opinions if not one.decided)
    assert 0 < sum(one.held_out for one in opinions) < len(opinions) / 2


def test_too_few_opinions_are_a_sentence(workspace: Workspace) -> None:
    decide(workspace, FEWEST // 2)
    with pytest.raises(CorpusError, match="pasquin curate village"):
        train(workspace, "village", from_feedback=True)


def test_the_model_that_is_learned_from_stays(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="another name"):
        train(workspace, "village", name="village", from_feedback=True)


@pytest.mark.parametrize(
    ("settings", "how", "says"),
    [
        (TrainSettings(method="lora"), {}, "--lora"),
        (TrainSettings(from_scratch=True), {}, "--from-scratch"),
        (TrainSettings(compile=True), {}, "--no-compile"),
        (TrainSettings(), {"on": "ray"}, "--on"),
        (TrainSettings(), {"resume": True}, "--resume"),
    ],
)
def test_what_would_be_passed_over_is_refused(
    settings: TrainSettings, how: dict[str, Any], says: str, workspace: Workspace
) -> None:
    with pytest.raises(UsageError, match=says):
        train(workspace, "village", from_feedback=True, settings=settings, **how)


def test_the_base_in_the_settings_is_not_the_model_that_learns(workspace: Workspace) -> None:
    with pytest.raises(CorpusError, match="pasquin curate"):
        train(workspace, "village", from_feedback=True, settings=TrainSettings(model="gpt2"))
    with pytest.raises(ModelError, match="no model `other`"):
        train(workspace, "village", from_feedback="other")


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_the_library_learns_the_tokens_that_generation_sees(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows and ours are the same for plain texts; special tokens spelled out in a text stay text in ours only."""
    from trl.trainer.kto_trainer import KTOTrainer

    from pasquin.train.feedback import _learner, _trained

    folder = make_tiny_model(tmp_path / "model", kind)
    PostFormat(*((1, 2) if kind == "llama" else (0, 0)), accounts=("ada",)).save(folder)
    made: list[list[dict[str, Any]]] = []

    def keep(self: Any, *_: object, **__: object) -> None:
        made.append(list(self.train_dataset))

    prepare = KTOTrainer._prepare_dataset

    def prepared(self: Any, *args: Any) -> Any:
        rows = prepare(self, *args)
        made.append(list(rows))
        return rows

    monkeypatch.setattr(KTOTrainer, "_prepare_dataset", prepared)
    monkeypatch.setattr(KTOTrainer, "train", keep)
    learner = _learner(folder)
    texts = ["The cat sat", "\n\non a mat", "naïve café 😀", " two birds ", *written(LIKED, 8, 3)]
    plain = [Opinion(str(at), "ada" if at % 2 else None, text, at % 3 > 0, True) for at, text in enumerate(texts)]
    _trained(learner, plain, TrainSettings())
    theirs, ours = made
    assert [{key: row[key] for key in ours[0]} for row in theirs] == ours
    made.clear()
    spelled = [replace(opinion, text=f"{opinion.text} <|endoftext|> <|im_end|>") for opinion in plain]
    _trained(learner, spelled, TrainSettings())
    assert all(row["completion_ids"].count(learner.post_format.end_id) == 1 for row in made[1])
    assert all(0 not in row["completion_ids"][:-1] for row in made[1])


def test_area_is_the_chance_that_a_liked_one_scores_higher() -> None:
    assert area([3, 2, 1, 0], [True, True, False, False]) == 1
    assert area([0, 1, 1, 2], [True, True, False, False]) == 0.125


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Threads that wait for each other at every step of a tiny model are slow on a busy machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.real
@pytest.mark.usefixtures("one_thread")
def test_what_people_like_becomes_likelier(workspace: Workspace) -> None:
    decide(workspace, 60)
    before = (workspace.model_dir("village") / "model.safetensors").read_bytes()
    settings = TrainSettings(learning_rate=2e-3, epochs=4)
    result = train(workspace, "village", from_feedback=True, settings=settings)
    assert result["model"] == "village-liked"
    assert result["auc"]["reward"] > 0.9
    assert result["auc"]["after"] > result["auc"]["before"]
    assert (workspace.model_dir("village") / "model.safetensors").read_bytes() == before
    manifest = workspace.model_manifest("village-liked")
    assert manifest["parent"]["name"] == "village"
    assert manifest["hash"] != manifest["parent"]["hash"]
    assert result["best_step"] > 10
    card = (workspace.model_dir("village-liked") / "README.md").read_text()
    assert f"before | {result['auc']['before']:.0%} |" in card
    assert "Made of the model `village`" in card


@pytest.mark.real
@pytest.mark.usefixtures("one_thread")
def test_minutes_end_it_and_frozen_layers_stay(workspace: Workspace) -> None:
    from safetensors.torch import load_file

    decide(workspace, FEWEST)
    settings = TrainSettings(learning_rate=2e-3, minutes=1e-6, freeze=1)
    result = train(workspace, "village", from_feedback=True, settings=settings)
    assert result["best_step"] == 1
    old, new = (load_file(workspace.model_dir(name) / "model.safetensors") for name in ("village", "village-liked"))
    changed = {name for name in old if not old[name].equal(new[name].to(old[name].dtype))}
    assert any(name.startswith("model.layers.1.") for name in changed)
    assert not any(name.startswith(("model.layers.0.", "model.embed_tokens")) for name in changed)
