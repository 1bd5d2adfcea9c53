"""Generate: as many candidates as were asked for, each once, whatever happens on the way."""

from __future__ import annotations

import csv
import errno
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import pasquin.generate as stage
from invented import make_corpus, posts
from invented import texts as invented_texts
from pasquin.config import GenerateSettings, load
from pasquin.errors import Interrupted, ModelError, ResourceError, UsageError, WorkspaceError
from pasquin.generate import generate, writers
from pasquin.generate.candidates import stored
from pasquin.generate.plan import Plan, read_blend
from pasquin.post_format import PostFormat, load_tokenizer
from pasquin.records import Completion, Prompt, Sampling
from pasquin.store import Store
from pasquin.workspace import Workspace
from pasquin.workspace.files import write_manifest

TEXTS = invented_texts(400, start=3_000)


class Parrot:
    """An engine that says the invented text its seed points at, sometimes badly, and in no particular order."""

    name = "parrot"
    context = 64

    def __init__(self, bad: float = 0.2, stop_after: int | None = None, kill: bool = False) -> None:
        self.bad, self.stop_after, self.kill = bad, stop_after, kill
        self.said = 0
        self.prompts: list[Prompt] = []
        self.opened = self.closed = 0

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, batch: int = 128
    ) -> Generator[Completion, None, None]:
        self.prompts += prompts
        self.opened += 1
        try:
            for first in range(0, len(prompts), batch):
                together = range(len(prompts))[first : first + batch]
                for index in random.Random(first).sample(together, len(together)):
                    if self.said == self.stop_after:
                        if self.kill:
                            os.kill(os.getpid(), signal.SIGKILL)
                        raise KeyboardInterrupt
                    self.said += 1
                    yield self.say(index, prompts[index])
        finally:
            self.closed += 1

    def say(self, index: int, prompt: Prompt) -> Completion:
        draw = random.Random(prompt.seed)
        cut = draw.random() < self.bad
        text = f"{draw.choice(TEXTS)} {draw.randrange(10**6)}"
        return Completion(index=index, text=text, tokens=9, finish="length" if cut else "stop")


@pytest.fixture
def workspace(tmp_path: Path, tiny_model: Path) -> Workspace:
    place = Workspace.create(tmp_path / "ws")
    make_corpus(place, "village", posts(240))
    add_model(place, "village", tiny_model, ("ada", "bo"))
    return place


def add_model(place: Workspace, name: str, tiny_model: Path, accounts: tuple[str, ...] = ()) -> None:
    folder = place.model_dir(name)
    folder.mkdir(parents=True)
    for file in ("config.json", "model.safetensors", "tokenizer.json"):
        (folder / file).symlink_to(tiny_model / file)
    PostFormat(1, 2, accounts=accounts).save(folder)
    write_manifest(folder, {"kind": "model", "corpus": name, "hash": "f" * 64, "accounts": list(accounts)})


def use(monkeypatch: pytest.MonkeyPatch, engine: Any) -> Any:
    monkeypatch.setattr(writers, "choose_engine", lambda *_: (engine.name, SimpleNamespace(open=lambda _: engine)))
    return engine


def settings(**values: Any) -> GenerateSettings:
    return GenerateSettings(**{"n": 50, "batch": 8, **values})


def all_rows(place: Workspace, generation: str) -> list[dict[str, Any]]:
    store = Store.of(place)
    try:
        return stored(store, generation)
    finally:
        store.close()


def test_as_many_candidates_as_asked_for_with_their_provenance(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = use(monkeypatch, Parrot())
    result = generate(workspace, "village", settings=settings(temperature=0.9, seed=4))
    assert result["candidates"] == 50
    assert result["rejected"] == {"incomplete": result["completions"] - 50}
    assert result["tokens"] == 9 * result["completions"]
    rows = all_rows(workspace, result["generation"])
    assert [row["position"] for row in rows] == sorted({row["position"] for row in rows})
    assert len({row["text_key"] for row in rows}) == len(rows) == 50
    row = rows[7]
    assert row["seed"] == engine.prompts[row["position"]].seed
    assert row["text"] in engine.say(0, engine.prompts[row["position"]]).text
    assert (row["model"], row["corpus"], row["engine"], row["model_hash"]) == ("village", "village", "parrot", "f" * 64)
    assert row["sampling"]["temperature"] == 0.9
    assert row["novelty"] == "novel"
    assert engine.closed == engine.opened >= 1


def test_the_same_command_again_does_nothing_more_and_a_larger_n_goes_on(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Parrot())
    first = generate(workspace, "village", output=workspace.root / "a.txt", settings=settings())
    again = use(monkeypatch, Parrot())
    second = generate(workspace, "village", output=workspace.root / "b.txt", settings=settings())
    assert (second["completions"], again.said, second["candidates"]) == (0, 0, 50)
    assert (workspace.root / "a.txt").read_text() == (workspace.root / "b.txt").read_text()
    more = generate(workspace, "village", settings=settings(n=80))
    assert more["generation"] == first["generation"]
    assert more["candidates"] == 80
    other = use(monkeypatch, Parrot())
    generate(workspace, "village", settings=settings(seed=1))
    seeds = {row["seed"] for row in all_rows(workspace, first["generation"])}
    assert not seeds & {prompt.seed for prompt in other.prompts}


def whole_run(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of a run that nothing disturbed, in a workspace of its own."""
    place = Workspace.create(tmp_path / "undisturbed")
    make_corpus(place, "village", posts(240))
    add_model(place, "village", tiny_model, ("ada", "bo"))
    use(monkeypatch, Parrot())
    return [row["text"] for row in all_rows(place, generate(place, "village", settings=settings())["generation"])]


@pytest.mark.parametrize("after", [0, 3, 30, 58])
def test_ctrl_c_keeps_what_was_done_and_the_next_run_goes_on(
    after: int, workspace: Workspace, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Parrot(stop_after=after))
    with pytest.raises(Interrupted, match="Run the same command again"):
        generate(workspace, "village", settings=settings())
    use(monkeypatch, Parrot())
    result = generate(workspace, "village", settings=settings())
    texts = [row["text"] for row in all_rows(workspace, result["generation"])]
    assert texts == whole_run(tmp_path, tiny_model, monkeypatch)


def test_a_killed_run_repeats_nothing_and_loses_nothing(
    workspace: Workspace, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "import pytest, pasquin.generate as stage\n"
        "from pathlib import Path\n"
        "from test_generate import Parrot, settings, use\n"
        "from pasquin.workspace import Workspace\n"
        "stage._CHUNK = 10\n"
        "use(pytest.MonkeyPatch(), Parrot(stop_after=35, kill=True))\n"
        "stage.generate(Workspace.open(Path(sys.argv[1])), 'village', settings=settings())\n"
    )
    here = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", script, str(workspace.root), here], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    use(monkeypatch, Parrot())
    result = generate(workspace, "village", settings=settings())
    assert 0 < result["completions"] < 60, "the killed run had stored some"
    texts = [row["text"] for row in all_rows(workspace, result["generation"])]
    assert texts == whole_run(tmp_path, tiny_model, monkeypatch)


def test_accounts_share_the_candidates_as_they_shared_the_posts(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pasquin.generate.plan as plan

    shares = [SimpleNamespace(handle="ada")] * 30 + [SimpleNamespace(handle="bo")] * 10
    monkeypatch.setattr(plan, "read_corpus", lambda *_: shares)
    use(monkeypatch, Parrot(bad=0))
    result = generate(workspace, "village", settings=settings(n=100))
    counts = Counter(row["account"] for row in all_rows(workspace, result["generation"]))
    assert abs(counts["ada"] - 75) <= 2
    one = generate(workspace, "village", account="bo", settings=settings(n=5))
    assert {row["account"] for row in all_rows(workspace, one["generation"])} == {"bo"}
    nobody = generate(workspace, "village", account="anybody", settings=settings(n=5))
    assert {row["account"] for row in all_rows(workspace, nobody["generation"])} == {None}
    with pytest.raises(UsageError, match="does not know the account `eve`; it knows ada, bo and `anybody`"):
        generate(workspace, "village", account="eve", settings=settings())


def test_a_blend_reaches_the_engine_that_can_and_is_told(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = use(monkeypatch, Parrot(bad=0))
    asked = []
    monkeypatch.setattr(
        writers,
        "choose_engine",
        lambda _, name: asked.append(name) or ("parrot", SimpleNamespace(open=lambda _: engine)),
    )
    result = generate(workspace, "village", blend="ada:3, bo:1", settings=settings(n=5))
    assert asked == ["transformers"]
    rows = all_rows(workspace, result["generation"])
    assert {row["account"] for row in rows} == {None}
    assert rows[0]["sampling"]["blend"] == {"ada": 0.75, "bo": 0.25}
    [(one, first), (other, second)] = engine.prompts[0].blend
    assert (first, second) == (0.75, 0.25)
    assert one != other
    assert engine.prompts[0].token_ids in (one, other)


@pytest.mark.parametrize(
    ("blend", "word"),
    [
        ("ada:0.5,eve:0.5", "does not know the account `eve`"),
        ("ada", "two accounts or more"),
        ("ada:1", "two accounts or more"),
        ("ada:x,bo:1", "accounts and shares"),
        ("ada:-1,bo:2", "accounts and shares"),
        ("ada:nan,bo:1", "accounts and shares"),
        ("ada:inf,bo:1", "accounts and shares"),
        ("ada:1,ada:2", "twice"),
        (":1,bo:1", "accounts and shares"),
        (",", "two accounts or more"),
    ],
)
def test_a_blend_that_is_none_is_a_sentence(blend: str, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        read_blend(blend, ("ada", "bo"))


def test_names_with_colons_and_equal_shares_blend() -> None:
    assert read_blend("a:b, bo", ("a:b", "bo")) == (("a:b", 0.5), ("bo", 0.5))
    assert read_blend("a:b:3,bo:1", ("a:b", "bo")) == (("a:b", 0.75), ("bo", 0.25))


def test_who_cannot_blend_says_so(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="Only the engine `transformers`"):
        generate(workspace, "village", blend="ada,bo", settings=settings(engine="openvino"))
    with pytest.raises(UsageError, match="exclude each other"):
        generate(workspace, "village", blend="ada,bo", account="ada", settings=settings())
    on_server = settings(engine="openai", base_url="http://127.0.0.1:9", model="m")
    with pytest.raises(UsageError, match="server"):
        generate(workspace, "village", blend="ada,bo", settings=on_server)


def test_greed_has_one_text_a_voice_and_says_so_first(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = use(monkeypatch, Parrot(bad=0))
    with pytest.raises(UsageError, match="2 candidates at most"):
        generate(workspace, "village", settings=settings(n=3, temperature=0))
    assert not engine.opened
    assert generate(workspace, "village", settings=settings(n=2, temperature=0))["candidates"] == 2


@pytest.mark.parametrize(
    ("flag", "value"), [("n", 0), ("n", 10**7), ("top_p", 2.0), ("top_p", 0.0), ("temperature", -1.0), ("min_p", 1.0)]
)
def test_settings_that_make_no_sense_are_sentences(flag: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"generate setting `{flag}` makes no sense"):
        load(GenerateSettings, None, **{flag: value})


def test_copies_of_posts_and_of_earlier_candidates_are_rejected(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pasquin.collect import collect

    source = workspace.root / "posts.txt"
    source.write_text("\n%\n".join(TEXTS[:200]))
    collect(workspace, [f"fortune:{source}"])

    class Copycat(Parrot):
        def say(self, index: int, prompt: Prompt) -> Completion:
            text = TEXTS[prompt.seed % 300].upper() + "!"
            return Completion(index=index, text=text, tokens=5, finish="stop")

    use(monkeypatch, Copycat())
    result = generate(workspace, "village", settings=settings(n=30))
    assert result["rejected"]["verbatim"] > 30
    rows = all_rows(workspace, result["generation"])
    assert all(row["text"][:-1] not in {text.upper() for text in TEXTS[:200]} for row in rows)
    other = generate(workspace, "village", settings=settings(n=30, seed=9))
    assert other["rejected"]["duplicate"] > 0


def test_what_is_unsafe_is_rejected_and_can_be_looked_at(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    class Unsafe(Parrot):
        def say(self, index: int, prompt: Prompt) -> Completion:
            said = super().say(index, prompt)
            return replace(said, text="@ada " + said.text if prompt.seed % 2 else said.text)

    use(monkeypatch, Unsafe())
    result = generate(workspace, "village", settings=settings(n=30))
    rejected = [json.loads(line) for line in Path(result["rejected_output"]).read_text().splitlines()]
    assert Counter(row["reason"] for row in rejected) == result["rejected"]
    assert all(row["text"].startswith("@ada ") for row in rejected if row["reason"] == "mention")
    assert not any("@" in row["text"] for row in all_rows(workspace, result["generation"]))
    allowed = generate(workspace, "village", settings=settings(n=30, allow="mention, link"))
    assert "mention" not in allowed["rejected"]
    assert any(row["text"].startswith("@ada ") for row in all_rows(workspace, allowed["generation"]))
    with pytest.raises(UsageError, match="`rudeness` cannot be allowed"):
        generate(workspace, "village", settings=settings(n=30, allow=("rudeness",)))


def test_a_run_that_gets_nowhere_stops_and_says_why(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = use(monkeypatch, Parrot(bad=1.0))
    with pytest.raises(ModelError, match=r"None of 400 completions was a candidate \(rejected: incomplete 400\)"):
        generate(workspace, "village", settings=settings())
    assert engine.said == 400
    said: list[str] = []

    class Listener(stage.Silent):
        def say(self, text: str) -> None:
            said.append(text)

    use(monkeypatch, Parrot(bad=0.95))
    result = generate(workspace, "village", settings=settings(seed=2), progress=Listener())
    assert 0 < result["candidates"] < 50
    assert f"Gave up at {result['candidates']} of 50 candidates" in said[-1]


def test_the_prefix_is_part_of_the_prompt_and_if_wanted_of_the_text(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = use(monkeypatch, Parrot(bad=0))
    with_prefix = generate(workspace, "village", prefix="The cat \ud83d", settings=settings(n=3))
    assert len(engine.prompts[0].token_ids) > 3
    rows = all_rows(workspace, with_prefix["generation"])
    assert all(row["text"].startswith("The cat") and row["prefix"] == "The cat" for row in rows)
    without = generate(workspace, "village", prefix="The cat", include_prefix=False, settings=settings(n=3))
    assert not any(row["text"].startswith("The cat") for row in all_rows(workspace, without["generation"]))
    with pytest.raises(UsageError, match="prefix is too long"):
        generate(workspace, "village", prefix="the cat " * 60, settings=settings())


def test_files_hold_every_candidate(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    class Formula(Parrot):
        def say(self, index: int, prompt: Prompt) -> Completion:
            text = f"{'=@-x'[prompt.seed % 4]}cmd, said “{prompt.seed}”\n\nand left 😀"
            return Completion(index=index, text=text, tokens=5, finish="stop")

    use(monkeypatch, Formula())
    folder = workspace.root
    paths = {ending: folder / f"out.{ending}" for ending in ("txt", "csv", "jsonl")}
    for path in paths.values():
        result = generate(workspace, "village", output=path, settings=settings(n=12))
        assert result["output"] == str(path)
    texts = [row["text"] for row in all_rows(workspace, result["generation"])]
    assert paths["txt"].read_text(encoding="utf-8").split("\n" + "=" * 20 + "\n")[:-1] == texts
    assert [json.loads(line)["text"] for line in paths["jsonl"].read_text(encoding="utf-8").splitlines()] == texts
    with paths["csv"].open(newline="", encoding="utf-8") as handle:
        cells = [row["text"] for row in csv.DictReader(handle)]
    assert [cell.removeprefix("'") for cell in cells] == texts
    assert not [cell for cell in cells if cell[0] in "=@-+"]


def test_without_a_name_the_file_says_model_and_time(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Parrot())
    path = Path(generate(workspace, "village", settings=settings(n=2))["output"])
    assert path.parent == workspace.root / "generated"
    datetime.strptime(path.name, "village_%Y%m%d_%H%M%S.txt")


@pytest.mark.parametrize("name", ["out.docx", "nowhere/out.txt", "."])
def test_a_place_that_cannot_be_written_is_said_before_any_work(
    name: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = use(monkeypatch, Parrot())
    with pytest.raises(UsageError):
        generate(workspace, "village", output=workspace.root / name, settings=settings())
    assert engine.said == 0


def test_a_full_disk_loses_no_candidate(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Parrot())
    with monkeypatch.context() as full:

        def refuse(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        full.setattr(os, "replace", refuse)
        with pytest.raises(ResourceError, match="disk is full"):
            generate(workspace, "village", output=workspace.root / "out.txt", settings=settings())
    assert not (workspace.root / "out.txt").exists()
    engine = use(monkeypatch, Parrot())
    assert generate(workspace, "village", settings=settings())["candidates"] == 50
    assert engine.said == 0


def test_missing_unfinished_and_busy_models_are_sentences(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Parrot())
    with pytest.raises(ModelError, match="There is no model `other`"):
        generate(workspace, "other", settings=settings())
    with workspace.lock("generate-village"), pytest.raises(WorkspaceError, match="busy"):
        generate(workspace, "village", settings=settings())
    (workspace.model_dir("village") / "manifest.json").unlink()
    with pytest.raises(ModelError, match="unfinished"):
        generate(workspace, "village", settings=settings())


def test_stop_texts_reach_the_engine(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Sampling] = []

    class Listening(Parrot):
        def generate(
            self, prompts: Sequence[Prompt], sampling: Sampling, batch: int = 128
        ) -> Generator[Completion, None, None]:
            seen.append(sampling)
            return super().generate(prompts, sampling, batch)

    use(monkeypatch, Listening())
    generate(workspace, "village", stop=["\n", ""], truncate="##", settings=settings(n=3, max_tokens=500))
    assert seen[0].stop == ("\n", "##")
    assert seen[0].max_tokens < Parrot.context


def test_voices_keep_their_shares_over_every_stretch() -> None:
    plan = Plan("m", "h", "c", "e", Sampling(), "", True, (("a", 6.0), ("b", 3.0), ("c", 1.0)), (1, 9), (), 0)
    for start in (0, 777):
        counts = Counter(plan.voice_of(position) for position in range(start, start + 50))
        assert abs(counts["a"] - 30) <= 2
        assert abs(counts["b"] - 15) <= 2
    assert plan.id == Plan(**{field: getattr(plan, field) for field in plan.__dataclass_fields__}).id
    assert len({plan.seed_of(position) for position in range(5_000)}) == 5_000


@pytest.mark.parametrize("engine_name", ["openvino", "transformers"])
def test_real_engines_and_a_real_screen(engine_name: str, tmp_path: Path, tiny_model: Path) -> None:
    """A random model, so the texts are nonsense; where they end is left to chance and a stop text."""
    place = Workspace.create(tmp_path)
    make_corpus(place, "tiny", posts(60))
    add_model(place, "tiny", tiny_model)
    chosen = settings(n=5, engine=engine_name, max_tokens=24, min_characters=1)
    result = generate(place, "tiny", stop=["e", "a"], settings=chosen)
    assert result["candidates"] == 5
    assert result["engine"] == engine_name
    assert sum(result["rejected"].values()) + 5 == result["completions"]
    smile = chosen.model_copy(update={"n": 2})
    said = generate(place, "tiny", prefix="😀👩‍👩‍👧", stop=["e", "a"], settings=smile)
    assert all(row["text"].startswith("😀👩‍👩‍👧") for row in all_rows(place, said["generation"]))


@pytest.mark.real
def test_kills_at_any_moment_lose_nothing_and_double_nothing() -> None:
    """Some of the two hundred of `make soak`."""
    script = Path(__file__).parents[1] / "benchmarks" / "generate_kills.py"
    run = subprocess.run([sys.executable, script, "--kills", "6"], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-2000:]
    figures = json.loads(run.stdout.splitlines()[-1])
    assert figures["kills"] >= 6
    assert (figures["twice"], figures["lost"], figures["changed"]) == (0, 0, 0)


def test_what_texts_are_about_is_in_the_prompt_and_in_their_provenance(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = use(monkeypatch, Parrot(bad=0))
    plain = generate(workspace, "village", settings=settings(n=3))
    with pytest.raises(UsageError, match="learned no topics"):
        generate(workspace, "village", about="tea", settings=settings(n=3))
    PostFormat(1, 2, about=" #").save(workspace.model_dir("village"))
    told = generate(workspace, "village", about="Tea, night trains", settings=settings(n=3))
    assert told["generation"] != plain["generation"]
    assert (
        load_tokenizer(workspace.model_dir("village")).decode(list(engine.prompts[-1].token_ids[1:]))
        == " # tea night trains\n"
    )
    assert {tuple(row["sampling"]["about"]) for row in all_rows(workspace, told["generation"])} == {
        ("tea", "night", "trains")
    }
    with pytest.raises(UsageError, match="up to 5 words"):
        generate(workspace, "village", about="one two three four five six", settings=settings(n=3))
