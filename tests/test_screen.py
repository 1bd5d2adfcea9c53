"""The screen: what is no candidate, and why; what counts as a copy, and what is everybody's."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invented import texts
from pasquin.errors import ResourceError
from pasquin.records import Completion, Post
from pasquin.screen import REASONS, Fit, NoveltyIndex, Screen, Thresholds, open_screen
from pasquin.screen.novelty import longest_shared_run
from pasquin.texts import normalise, text_key
from pasquin.workspace import Workspace
from pasquin.workspace.shards import open_shards

POSTS = [(f"file:{number}", text) for number, text in enumerate(texts(2_000))]
OWN = (
    "The lighthouse keeper counted seventeen ships before breakfast and told nobody but the dog",
    "Nobody warns you how loud an empty office is on the first Monday of the year, printers and all",
    "Good morning!",
    "Thank you so much for having me",
    "灯台守は朝食の前に十七隻の船を数えて、犬のほかには誰にも言わなかった。そして静かに笑って手帳を閉じた。",
)
INDEX = NoveltyIndex([*POSTS, *((f"own:{number}", text) for number, text in enumerate(OWN))])


def completion(text: str, finish: str = "stop") -> Completion:
    return Completion(index=0, text=text, tokens=5, finish=finish)  # type: ignore[arg-type]


@pytest.fixture
def screen() -> Screen:
    return Screen(INDEX, Fit(10, 280))


@pytest.mark.parametrize(
    "text",
    [
        OWN[0],
        OWN[0].upper() + "!!!",
        "“" + OWN[0].replace(" ", "  ") + "…”",
        OWN[0] + " https://t.co/abc",
        OWN[0] + ". Just saying.",
        OWN[1][:60],
        "Good morning",
        OWN[4].removesuffix("。"),
    ],
)
def test_copies_are_verbatim(text: str) -> None:
    certificate = INDEX.certificate(text)
    assert certificate.kind == "verbatim"
    assert certificate.similarity == 1.0
    assert certificate.nearest_uri is not None
    assert certificate.nearest_uri.startswith("own:")


@pytest.mark.parametrize(
    "text",
    [
        OWN[0].replace("seventeen", "eleven"),
        OWN[0].replace("before", "befroe").replace("keeper", "keepr"),
        OWN[0].replace("nobody but the dog", "only her old dog"),
        "The lighthouse keeper counted seventeen ships before breakfast, and then she went home",
        "Somebody said that the lighthouse keeper counted seventeen ships before breakfast and told her mother",
        "how loud an empty offcie is on the first Monday of a year",
        OWN[4].replace("十七隻", "二十隻").replace("静かに", ""),
    ],
)
def test_edited_copies_and_long_shared_runs_are_near(text: str) -> None:
    certificate = INDEX.certificate(text)
    assert certificate.kind == "near"
    assert certificate.nearest_uri is not None
    assert certificate.nearest_uri.startswith("own:")


@pytest.mark.parametrize(
    "text",
    [
        "Good morning everyone, what a week",
        "Thank you so much for having me at the conference, I learned a lot about bees",
        "A lighthouse is a tower with opinions",
        "I counted the ships and told the dog about it",
        "zq xj",
        "🎉🎉🎉",
        "完全に新しい文章です。",
    ],
)
def test_common_phrases_are_everybodys(text: str) -> None:
    assert INDEX.certificate(text).kind == "novel"


def test_nothing_shared_has_no_nearest_post() -> None:
    certificate = INDEX.certificate("Ωμέγα ξ ψυχή")
    assert (certificate.kind, certificate.nearest_uri, certificate.similarity) == ("novel", None, 0.0)
    empty = NoveltyIndex([])
    assert empty.certificate(OWN[0]).kind == "novel"
    assert NoveltyIndex([("a", "hi")]).certificate("hi!").kind == "verbatim"


def test_every_post_is_found_again_after_an_edit() -> None:
    draw = random.Random(2)
    long = [(uri, text) for uri, text in POSTS if len(text) >= 60]
    for uri, text in draw.sample(long, 200):
        words = text.split(" ")
        words[draw.randrange(len(words))] = "kumquat"
        certificate = INDEX.certificate(" ".join(words))
        assert certificate.kind != "novel", uri


@given(st.text(st.characters(codec=None), max_size=80))
def test_any_text_gets_a_certificate(text: str) -> None:
    certificate = INDEX.certificate(text)
    assert 0 <= certificate.similarity <= 1
    assert 0 <= certificate.longest_run <= len(text) * 18  # a compatibility form can be 18 characters
    assert certificate == INDEX.certificate(text)


@given(st.text("ab c", max_size=12), st.text("ab c", max_size=12))
def test_longest_shared_run_is_the_longest(one: str, other: str) -> None:
    run = longest_shared_run(one, other)
    assert run in one
    assert run in other
    every = {one[i:j] for i in range(len(one) + 1) for j in range(i, len(one) + 1)}
    assert len(run) == max(len(part) for part in every if part in other)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \n\u200b ", "empty"),
        ("too short", "too_short"),
        ("long enough to be cut off " * 12, "repetitive"),
        ("word " + " ".join(f"number{n}" for n in range(60)), "too_long"),
        ("This one leaks <|im_end|> a marker", "garbled"),
        ("This one ends</s> badly", "garbled"),
        ("This one has half a charac\ufffd", "garbled"),
        ("I think that it is, I think that it is, I think that it is, I think that it is, I think", "repetitive"),
        (OWN[0], "verbatim"),
        (OWN[0].replace("seventeen", "eleven"), "near"),
    ],
)
def test_unfit_completions_are_rejected_with_the_reason(screen: Screen, text: str, reason: str) -> None:
    screen = Screen(INDEX, Fit(10, 330))
    assert screen.judge(completion(text))[0] == reason
    assert reason in REASONS


def test_a_cut_off_completion_is_incomplete_whatever_it_says(screen: Screen) -> None:
    assert screen.judge(completion("A perfectly fine text about turnips", "length"))[0] == "incomplete"


@pytest.mark.parametrize(
    "text",
    [
        "hahahahahahahahahahahahahahahahaha that is so good",
        "🔥🔥🔥🔥🔥🔥🔥🔥🔥🔥🔥🔥 what a match",
        "No. No. No. No. No. Absolutely not. I said no to the turnip parade",
        "Nooooooooooooooooooooooooooooooooooo",
        "One fish &amp; two\n\nfish’s turnips: x < 3",
    ],
)
def test_laughter_and_shouting_may_pass(screen: Screen, text: str) -> None:
    reason, certificate, normalised = screen.judge(completion(text))
    assert reason is None
    assert certificate is not None
    assert normalised == normalise(text)


def test_the_prefix_is_part_of_the_text_but_not_enough_of_it(screen: Screen) -> None:
    reason, _, text = screen.judge(completion(" like turnips in the rain"), prefix="Startups are")
    assert (reason, text) == (None, "Startups are like turnips in the rain")
    assert screen.judge(completion("  "), prefix="Startups are like turnips")[0] == "empty"


def test_a_second_one_alike_is_a_duplicate(screen: Screen) -> None:
    assert screen.judge(completion("A turnip a day keeps the mayor away"))[0] is None
    assert screen.judge(completion("a turnip a day  keeps the mayor away!"))[0] == "duplicate"
    known = Screen(INDEX, Fit(10, 280), seen={text_key("Turnips: an apology in nine parts")})
    assert known.judge(completion("Turnips: an apology in nine parts."))[0] == "duplicate"


def test_all_collected_posts_count_whether_in_a_corpus_or_not(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path)
    nothing = open_screen(workspace, min_characters=10, max_characters=280)
    assert nothing.judge(completion(OWN[0]))[0] is None
    reply = Post(uri="x:1", network="x", account="1", handle="a", text="@b &quot;" + OWN[0] + "&quot;", reply_to="x:0")
    with open_shards(workspace) as shards:
        shards.append([reply], "x:a")
    screen = open_screen(workspace, min_characters=10, max_characters=280)
    assert screen.judge(completion(OWN[0]))[0] == "verbatim"


def test_certificates_are_the_same_in_every_process() -> None:
    wanted = [OWN[0].replace("seventeen", "eleven"), *texts(2_020)[2_000:]]
    program = (
        "import sys, json; sys.path.insert(0, 'tests'); from test_screen import INDEX\n"
        "print(json.dumps([str(INDEX.certificate(text)) for text in json.loads(sys.argv[1])]))"
    )
    root = Path(__file__).parents[1]
    output = subprocess.run(
        [sys.executable, "-c", program, json.dumps(wanted)], cwd=root, check=True, capture_output=True, text=True
    ).stdout
    assert json.loads(output) == [str(INDEX.certificate(text)) for text in wanted]


def test_thresholds_move_the_line_between_near_and_novel() -> None:
    text = OWN[0].replace("seventeen", "eleven").replace("before breakfast", "after the long dinner")
    usual = INDEX.certificate(text)
    assert usual.kind == "near"
    strict = NoveltyIndex(enumerate_own(), Thresholds(near_similarity=usual.similarity - 0.01))
    lenient = NoveltyIndex(enumerate_own(), Thresholds(1.0, 1.0, 1.0, long_run=500, run_share=1.0))
    assert strict.certificate(text).kind == "near"
    assert lenient.certificate(text).kind == "novel"
    assert lenient.certificate(OWN[0]).kind == "verbatim"  # a copy is a copy


def enumerate_own() -> list[tuple[str, str]]:
    return [(f"own:{number}", text) for number, text in enumerate(OWN)]


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("a" * 280, {"x", "bluesky", "mastodon"}),
        ("a" * 290, {"bluesky", "mastodon"}),
        ("灯" * 150, {"bluesky", "mastodon"}),  # X counts each of them twice
        ("👨‍👩‍👧‍👦" * 130, {"x", "mastodon", "bluesky"} - {"bluesky"}),  # 130 to a person, 3,250 bytes to Bluesky
        ("a" * 301, {"mastodon"}),
    ],
)
def test_a_text_must_fit_its_network(text: str, fits: set[str]) -> None:
    for target in ("bluesky", "mastodon", "x"):
        reason, _ = Fit(1, 2_000, target).judge(completion(text))  # type: ignore[arg-type]
        assert (reason != "too_long") == (target in fits), target


def test_what_is_toxic_is_rejected_where_somebody_asks(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "bot")
    insult = completion("You are a stupid fucking idiot and I hate you")
    asked = open_screen(workspace, min_characters=5, max_characters=280, toxicity=0.9)
    assert asked.judge(insult)[0] == "toxic"
    assert asked.judge(completion("The kettle sings to nobody but the dog."))[0] is None
    assert open_screen(workspace, min_characters=5, max_characters=280).judge(insult)[0] is None


def test_toxicity_without_its_package_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace.create(tmp_path / "bot")
    monkeypatch.setitem(sys.modules, "profanity_check", None)
    with pytest.raises(ResourceError, match=r"pasquin\[toxicity\]"):
        open_screen(workspace, min_characters=5, max_characters=280, toxicity=0.9)
