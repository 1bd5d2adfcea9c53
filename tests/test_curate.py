"""Curation without the web: the order, agreement, shared runs, lengths, spreadsheets, the terminal."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from invented import add_candidates, make_game, texts
from pasquin.curate import Desk, Entry, Filters, SignInError, open_desk
from pasquin.curate.agreement import agreement, cohen_kappa, fleiss_kappa
from pasquin.curate.curators import Curator, curator_named, make_link, sign_in
from pasquin.curate.order import Order, _number, features
from pasquin.curate.shared_run import shared_run
from pasquin.curate.sheet import neutral, read_sheet, restored, write_sheet
from pasquin.curate.terminal import decide
from pasquin.errors import InputError
from pasquin.lengths import TARGETS, length_for
from pasquin.store import Store
from pasquin.store.decided import accepted_candidates
from pasquin.workspace import Workspace

Opened = tuple[Desk, Curator, Store]

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    workspace = Workspace.create(tmp_path)
    make_game(workspace, generated=80)
    with open_desk(workspace) as (desk, store):
        yield desk, curator_named(store), store


# The store


@pytest.mark.real
def test_the_same_on_postgresql(tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signing in, two curators at once, deciding, sending again, undoing, and what a publisher finds."""
    monkeypatch.setenv("PASQUIN_DATABASE_URL", postgres_url)
    workspace = Workspace.create(tmp_path / "w")
    make_game(workspace, generated=60)
    with open_desk(workspace) as (desk, store), open_desk(workspace) as (elsewhere, _):
        owner, ada = curator_named(store), curator_named(store, "Ada")
        token = make_link(store, ada)
        assert sign_in(store, token, timedelta(days=1))[0] == ada
        with pytest.raises(SignInError, match="used already"):
            sign_in(store, token, timedelta(days=1))
        cards = desk.cards(owner.id, Filters(), 60)
        made = [Entry(key=f"key-{card.id}", candidate=card.id, decision="accept") for card in cards]
        written = [desk.record(owner.id, [entry]) for entry in made[:30]]
        written += [elsewhere.record(ada.id, [entry]) for entry in made[30:]]
        assert [done.result() for done in written] == [["stored"]] * 60
        assert desk.record(owner.id, made[:3]).result() == ["known"] * 3
        undo = Entry(key="undo", candidate=cards[0].id, decision="undo", undoes=made[0].key)
        edit = Entry(key="edit", candidate=cards[1].id, decision="edit", text="By hand, with 👩‍🚀")
        assert desk.record(owner.id, [undo, edit]).result() == ["stored", "stored"]
        for each in (desk, elsewhere):
            each.refresh()
            totals = each.totals(owner.id)
            assert (totals.accepted, totals.rejected) == (59, 0)
        with store.read() as connection:
            found = {row["id"]: row["text"] for row in connection.execute(accepted_candidates()).mappings()}
        assert len(found) == 59
        assert found[cards[1].id] == "By hand, with 👩‍🚀"
    monkeypatch.delenv("PASQUIN_DATABASE_URL")


# Agreement, against textbooks


def test_cohens_kappa_is_the_textbooks() -> None:
    """50 proposals, two readers: 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no give 0.4."""
    one = ["yes"] * 25 + ["no"] * 25
    other = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    kappa = cohen_kappa(one, other)
    assert kappa.value == pytest.approx(0.4)
    assert kappa.observed == pytest.approx(0.7)
    assert kappa.low < 0.4 < kappa.high


def test_fleiss_kappa_is_the_textbooks() -> None:
    """Fleiss (1971), ten subjects rated by fourteen raters into five categories: 0.210."""
    table = (
        (0, 0, 0, 0, 14),
        (0, 2, 6, 4, 2),
        (0, 0, 3, 5, 6),
        (0, 3, 9, 2, 0),
        (2, 2, 8, 1, 1),
        (7, 7, 0, 0, 0),
        (3, 2, 6, 3, 0),
        (2, 5, 3, 2, 2),
        (6, 5, 2, 1, 0),
        (0, 2, 2, 3, 7),
    )
    ratings = [[category for category, count in enumerate(row) for _ in range(count)] for row in table]
    kappa = fleiss_kappa(ratings)
    assert kappa.value == pytest.approx(0.210, abs=0.0005)
    assert kappa.observed == pytest.approx(0.378, abs=0.0005)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_cohens_kappa_is_scikit_learns(pairs: list[tuple[bool, bool]]) -> None:
    from sklearn.metrics import cohen_kappa_score

    one, other = zip(*pairs, strict=True)
    ours = cohen_kappa(one, other).value
    if ours is None:
        assert len({*one, *other}) == 1
    else:
        assert ours == pytest.approx(cohen_kappa_score(one, other))


def test_agreement_where_there_is_nothing_to_agree_on() -> None:
    assert cohen_kappa([], []).value is None
    assert cohen_kappa([1, 1], [1, 1]).value is None
    assert fleiss_kappa([]).value is None
    with pytest.raises(ValueError, match="same subjects"):
        cohen_kappa([1], [])
    with pytest.raises(ValueError, match="same number"):
        fleiss_kappa([[1, 2], [1]])
    assert agreement({}).pairs == {}


def test_three_curators() -> None:
    labels = {str(n): {"ada": n % 2, "bo": n % 2, "cy": n % 3 == 0} for n in range(12)}
    labels["only two"] = {"ada": 1, "bo": 0}
    result = agreement(labels)
    assert result.pairs["ada", "bo"].n == 13
    assert result.everybody is not None
    assert result.everybody.n == 12
    assert "only two" in result.disagreements


# The order


def test_before_any_decision_whole_sentences_come_before_fragments() -> None:
    order = Order()
    sentence = "The committee for benches has decided that benches are, on the whole, a good idea."
    assert order.score(features(sentence)) > order.score(features("@bob lol"))
    assert order.score(features(sentence)) > order.score(features(sentence, similarity=0.7, longest_run=35))
    assert order.score(features(sentence)) < 0, "fewer than half are kept"


@pytest.mark.parametrize(
    ("whole", "garbled"),
    [
        ("The kettle has opinions about the moon.", "The kettle has opinions about the"),
        ("The kettle and the moon sing to the cat.", "The kettle and the moon and the moon and the moon."),
        ("The kettle (my own) is late.", "The kettle (my own is late."),
        ('They call it "progress" here.', 'They call it progress" here.'),
        ("It cost $5, the kettle, all told.", "It cost $, 5 the kettle, all told."),
    ],
)
def test_what_gives_a_small_model_away_comes_later(whole: str, garbled: str) -> None:
    order = Order()
    assert order.score(features(whole)) > order.score(features(garbled)) + 0.2


@pytest.mark.parametrize("text", ["Tea again :)", "1) buy a kettle", "No no no, not that very very late bus."])
def test_faces_points_and_emphasis_are_no_mistakes(text: str) -> None:
    marks = {_number(name) for name in ("says a run twice", "breaks off", "unbalanced", "garbled")}
    assert not marks.intersection(features(text).numbers)


def test_the_order_learns_what_is_kept() -> None:
    """After 200 decisions of somebody who likes pigeons, pigeons come first among texts never seen."""
    order, draw = Order(), random.Random(1)
    written = texts(800)
    draw.shuffle(written)
    for text in written[:200]:
        order.learn(features(text), "pigeon" in text)
    unseen = sorted(written[200:], key=lambda text: -order.score(features(text)))
    pigeons = sum("pigeon" in text for text in unseen)
    found = sum("pigeon" in text for text in unseen[:pigeons])
    assert pigeons > 20
    assert found / pigeons > 0.75, "by chance it would be one in twelve"


def test_the_order_learns_from_pairs() -> None:
    order = Order()
    for number in range(60):
        order.learn_pair(features(f"kettle number {number}"), features(f"umbrella number {number}"))
    assert order.score(features("a kettle")) > order.score(features("an umbrella"))


@given(st.text(max_size=300), st.booleans())
def test_any_text_has_features(text: str, kept: bool) -> None:
    order = Order()
    found = features(text)
    before = order.score(found)
    order.learn(found, kept)
    assert (order.score(found) > before) == kept


def test_the_desk_shows_what_was_learned_first(opened: Opened) -> None:
    """Somebody rejects all that exclaims or comes with a line break; what is left of it moves to the end."""
    desk, owner, _ = opened

    def disliked(text: str) -> bool:
        return "!" in text or "\n" in text

    for number, card in enumerate(sorted(desk.all_cards(), key=lambda card: card.id)[:40]):
        decision = "reject" if disliked(card.text) else "accept"
        desk.record(owner.id, [Entry(key=f"key-{number}", candidate=card.id, decision=decision)]).result()
    desk.refresh()
    left = desk.cards(owner.id, Filters(), 100)
    assert len(left) == 40
    bad = [place for place, card in enumerate(left) if disliked(card.text)]
    good = [place for place, card in enumerate(left) if not disliked(card.text)]
    assert sum(good) / len(good) + 10 < sum(bad) / len(bad)


# Shared runs


def test_a_shared_run_is_found_in_both_texts_as_they_are_written() -> None:
    found = shared_run("He said: “DON’T feed — the pigeons!” twice", "Please don't feed the pigeons, ever")
    assert found is not None
    assert "He said: “DON’T feed — the pigeons!” twice"[found.candidate.begin : found.candidate.end] == (
        "DON’T feed — the pigeons"
    )
    assert "Please don't feed the pigeons, ever"[found.post.begin : found.post.end] == "don't feed the pigeons"
    assert shared_run("nothing alike", "xyz") is None


@given(st.text(max_size=120), st.text(max_size=120))
def test_shared_runs_of_any_texts_lie_within_them(one: str, other: str) -> None:
    found = shared_run(f"{one} the same words {other}", f"{other} THE SAME WORDS {one}")
    assert found is not None
    assert 0 <= found.candidate.begin < found.candidate.end <= len(one) + len(other) + 16
    assert 0 <= found.post.begin < found.post.end <= len(one) + len(other) + 16


# Lengths


@pytest.mark.parametrize(
    ("text", "bluesky", "mastodon", "x"),
    [
        ("hello", 5, 5, 5),
        ("👩‍👩‍👧‍👦", 1, 1, 2),
        ("👩🏽‍🚀!", 2, 2, 3),
        ("日本語", 3, 3, 6),
        ("e\u0301", 1, 1, 1),
        ("https://example.com/" + "a" * 100, 120, 23, 23),
        ("see example.com now", 19, 31, 31),
        ("@someone@example.social hi", 26, 26, 26),
        ("“quoted” — …", 12, 12, 13),
        ("a@b.com", 7, 7, 7),
    ],
)
def test_each_network_counts_in_its_own_way(text: str, bluesky: int, mastodon: int, x: int) -> None:
    assert [length_for(target, text).length for target in TARGETS] == [bluesky, mastodon, x]


def test_a_text_of_few_graphemes_may_have_too_many_bytes() -> None:
    family = "👩‍👩‍👧‍👦" * 200
    assert length_for("bluesky", family).length == 200
    assert not length_for("bluesky", family).fits
    assert length_for("mastodon", "x" * 600, 1_000).fits


# Spreadsheets


@given(st.text(max_size=40))
def test_what_looks_like_a_formula_is_neutralised_and_restored(text: str) -> None:
    assert restored(neutral(text)) == text
    assert not neutral(text).startswith(("=", "+", "-", "@", "\t", "\r"))


def test_a_sheet_goes_out_and_comes_in_again(opened: Opened) -> None:
    desk, owner, store = opened
    add_candidates(store, "formulas", ["=1+1 is three", "@mention me", "-5 degrees"], accounts=("=cmd",))
    with_formulas = Desk(desk.workspace, store)
    rows = list(csv.DictReader(io.StringIO(write_sheet(with_formulas, {}).decode("utf-8-sig"), newline="")))
    assert len(rows) == 83
    assert not any(cell.startswith(("=", "@", "-", "+")) for row in rows for cell in row.values())
    for number, row in enumerate(rows):
        row["decision"] = ("accept", "reject", "skip", "")[number % 4]
    rows[0]["text"] += " (by hand)"
    filled = io.StringIO(newline="")
    writer = csv.DictWriter(filled, fieldnames=list(rows[0]), delimiter=";")
    writer.writeheader()
    writer.writerows(rows)
    content = filled.getvalue().encode("utf-16")
    imported = read_sheet(with_formulas, owner.id, content)
    assert imported.broken == []
    assert (imported.stored, imported.undecided) == (63, 20)
    again = read_sheet(with_formulas, owner.id, content)
    assert (again.stored, again.unchanged) == (0, 63)
    accepted = with_formulas.cards(owner.id, Filters(status="accepted"), 100)
    assert len(accepted) == 21
    edited = with_formulas.card(rows[0]["id"])
    assert edited is not None
    assert edited.standing is not None
    assert edited.standing.text == restored(rows[0]["text"])
    with_formulas.close()


BROKEN = (
    b"no decision at all",
    b'"a quote that is never closed,ada,accept',
    b"unknown text that no model wrote,ada,accept",
    b"\xff\xfe not utf-8,ada,accept",
    b",ada,accept",
    b'"closed" and more",ada,accept',
    b"nul \x00 inside,ada,accept",
)


def test_ten_thousand_rows_of_which_37_are_broken(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path)
    store = Store.of(workspace)
    written = texts(9_963)
    add_candidates(store, "village", written, accounts=("ada",))
    draw = random.Random(7)
    lines = []
    for number, text in enumerate(written):
        row = io.StringIO(newline="")
        csv.writer(row, lineterminator="\n").writerow([text, "ada", ("accept", "reject")[number % 2]])
        lines.append(row.getvalue().removesuffix("\n").encode())
    wrong = [BROKEN[number % len(BROKEN)] for number in range(36)] + [lines[3].replace(b"accept", b"perhaps not")]
    wrong[-1] = wrong[-1].replace(b"reject", b"perhaps not")
    for bad in wrong:
        lines.insert(draw.randrange(len(lines)), bad)
    at, places = 2, []
    for line in lines:
        if line in wrong:
            places.append(at)
        at += 1 + line.count(b"\n")
    with open_desk(workspace) as (desk, opened_store):
        owner = curator_named(opened_store)
        imported = read_sheet(desk, owner.id, b"tweet,account,keep\n" + b"\n".join(lines))
        assert imported.rows == 10_000
        assert [line for line, _ in imported.broken] == places
        assert len(imported.broken) == 37
        assert imported.stored == 9_963
        assert desk.totals(owner.id).open == 0


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00\x01\x02", b"text,account\nx,y", b"\xff\xfe", b'"'])
def test_what_is_no_sheet_is_a_sentence(opened: Opened, content: bytes) -> None:
    desk, owner, _ = opened
    with pytest.raises(InputError, match="--export"):
        read_sheet(desk, owner.id, content)


@given(content=st.binary(max_size=400))
def test_any_bytes_are_read_or_reported(content: bytes) -> None:
    desk = _NoCandidates()
    imported = read_sheet(desk, "nobody", b"text,decision\n" + content)  # type: ignore[arg-type]
    assert imported.rows == len(imported.broken) + imported.undecided


class _NoCandidates:
    def all_cards(self) -> list[object]:
        return []

    def card(self, _: str) -> None:
        return None


# The terminal


def test_deciding_in_a_terminal(opened: Opened) -> None:
    desk, owner, store = opened
    add_candidates(store, "hostile", ["\x1b[2Jcleared \x07 and [bold]marked[/bold] up, a text long enough to be read."])
    desk.refresh()
    output = io.StringIO()
    console = Console(file=output, width=100, force_terminal=False)
    keys = iter([*"arse", "u", "?", *"a" * 90, "q"])
    result = decide(
        desk, owner, console=console, read_key=lambda: next(keys), read_line=lambda text: f"{text} (by hand)"
    )
    shown = output.getvalue()
    assert "\x1b[2J" not in shown
    assert "\x07" not in shown
    assert "[bold]marked" in shown
    assert "Nearest real post" in shown
    assert "bluesky" in shown
    assert "Everything is decided." in shown
    assert result["open"] == 0
    assert desk.tally(owner.id).counts["edit"] == 0, "the edit was undone"
    assert desk.tally(owner.id).counts["reject"] == 1
    assert result["kept"] == 80


def test_quitting_a_terminal_keeps_what_was_decided(opened: Opened) -> None:
    desk, owner, _ = opened
    keys = iter("aaq")
    console = Console(file=io.StringIO())
    assert decide(desk, owner, console=console, read_key=lambda: next(keys)) == {"decided": 2, "kept": 2, "open": 78}
