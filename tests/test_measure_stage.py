"""`pasquin measure`, its report, its export and `/stats`: from guesses in the store to what people read."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

import pasquin
from invented import make_game
from pasquin.config import MeasureSettings
from pasquin.errors import CorpusError, UsageError, WorkspaceError
from pasquin.measure import FEW_PLAYERS, measure, printed, public_figures
from pasquin.measure.arrays import Guesses
from pasquin.measure.detectors import matched
from pasquin.measure.exclusions import rules
from pasquin.measure.figures import breakdowns, pair_figures, without_pairs
from pasquin.measure.reading import read_guesses, trial_numbers
from pasquin.measure.report import render, summary
from pasquin.measure.simulation import World
from pasquin.server.app import create_app
from pasquin.store import Store
from pasquin.store.schema import candidates, curators, decisions, guesses, trials
from pasquin.workspace import Workspace
from played import START, make_played, put
from test_cli import pasquin as program

WORLD = World(players=40, guesses=15, items=60)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "workspace")


@pytest.fixture
def store(workspace: Workspace) -> Iterator[Store]:
    opened = Store.of(workspace)
    yield opened
    opened.close()


def decide(store: Store, verdicts: list[str]) -> None:
    """A curator's decisions on the first candidates."""
    with store.write() as connection:
        ids = connection.execute(sa.select(candidates.c.id).order_by(candidates.c.id)).scalars().all()
        connection.execute(sa.insert(curators).values(id="c", name="Cora", owner=True, created_at=START))
        for number, (candidate, verdict) in enumerate(zip(ids, verdicts, strict=False)):
            row = {"key": str(number), "candidate": candidate, "curator": "c", "decision": verdict}
            connection.execute(sa.insert(decisions).values(seconds=1.0, via="card", created_at=START, **row))


def test_figures_are_those_of_the_guesses(workspace: Workspace, store: Store) -> None:
    number = make_played(workspace, WORLD)
    result = pasquin.measure(workspace, ["village"])
    with store.read() as connection:
        right = connection.execute(sa.select(sa.func.count()).where(guesses.c.correct)).scalar_one()
    assert (result["players"], result["guesses"]) == (40, number)
    assert result["accuracy"]["value"] == pytest.approx(right / number)
    for name in ("fool_rate", "human_pass_rate", "accuracy", "auc"):
        figure = result[name]
        assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1
    assert result["d_prime"]["low"] < result["d_prime"]["value"] < result["d_prime"]["high"]
    assert result["fool_rate"]["n"] + result["human_pass_rate"]["n"] == number
    for groups in (result["by"]["experience"], result["by"]["response_time"], result["by"]["category"]):
        assert sum(group["guesses"] for group in groups) == number
    assert json.loads(json.dumps(result)) == result


def test_only_the_named_corpus_is_measured_with_its_accounts(workspace: Workspace, store: Store) -> None:
    number = make_played(workspace, WORLD)
    put(store, [(at, f"other{at}", "x", True, True) for at in range(7)], "villages", 900)
    put(store, [(at, f"guest{at}", "y", True, True) for at in range(5)], "village/ada", 900)
    assert measure(workspace, ["village"])["guesses"] == number + 5
    assert measure(workspace)["guesses"] == number + 12
    with pytest.raises(CorpusError):
        measure(workspace, ["villages"])


def test_curators_decisions_are_arms(workspace: Workspace, store: Store) -> None:
    make_played(workspace, WORLD)
    decide(store, ["accept"] * 8 + ["edit"] * 6 + ["reject"] * 5 + ["skip"] * 3)
    read = read_guesses(store)
    arms = {name: len(set(read.item[read.arm == at].tolist())) for at, name in enumerate(read.arms)}
    assert arms == {"curated": 8, "edited": 6, "rejected": 5, "screened": 11}
    assert (read.arm[~read.from_model] == -1).all()
    assert {group["name"] for group in measure(workspace)["by"]["arm"]} == set(arms)


def test_two_models_are_ranked_and_their_difference_adjusted(workspace: Workspace) -> None:
    make_played(workspace, WORLD, models=("village", "town"))
    result = measure(workspace)
    assert {row["name"] for row in result["ranking"]} == {"village", "town"}
    (pair,) = result["model_differences"]
    assert pair["p"] == pair["p_adjusted"]
    assert "Models beside each other" in render(result)


def test_exclusions_follow_the_rules_and_are_told(workspace: Workspace, store: Store) -> None:
    number = make_played(workspace, WORLD)
    hasty = [(at, "hasty", f"h{at}", at % 2 == 0, False) for at in range(20)]
    same = [(100 + at, "same", f"s{at}", at % 2 == 0, True) for at in range(31)]
    put(store, hasty, "fast", 120)
    put(store, same, "slow", 3000)
    result = measure(workspace)
    rules = {rule["rule"]: (rule["guesses"], rule["players"]) for rule in result["exclusions"]["rules"]}
    assert rules == {"too_fast": (20, 1), "hasty_player": (20, 1), "too_many": (0, 0), "one_answer": (31, 1)}
    assert (result["guesses"], result["exclusions"]["guesses"]) == (number, 51)
    assert result["exclusions"]["changed_settings"] == []
    page = render(result)
    assert "Had all counted, the fool rate would be" in page
    strict = measure(workspace, settings=MeasureSettings(most_guesses=3))
    assert strict["guesses"] < number
    assert "changed from Pasquin’s own: most_guesses" in render(strict)


def test_no_guess_and_one_origin_only_are_told_in_words(workspace: Workspace, store: Store, tmp_path: Path) -> None:
    empty = measure(workspace, html=tmp_path / "r.html", export=tmp_path / "g.parquet")
    assert (empty["players"], empty["guesses"], empty["fool_rate"], empty["d_prime"]) == (0, 0, None, None)
    assert "No guesses yet" in (tmp_path / "r.html").read_text()
    assert printed(empty) == ["No guesses yet. Let people play first: pasquin play"]
    put(store, [(at, f"p{at}", f"i{at}", True, at % 2 == 0) for at in range(6)], "village", 900)
    none = measure(workspace, settings=MeasureSettings(fastest_ms=5_000))
    assert printed(none)[0] == summary(none)
    assert "leave out all 6 guesses" in summary(none)
    one = measure(workspace)
    assert one["human_pass_rate"] is None
    assert one["d_prime"] is None
    assert "there are no human items yet" in summary(one)
    assert "there are no human items yet" in render(one)
    printed(one)


@pytest.mark.parametrize("judged", [True, False])
@pytest.mark.parametrize("people", [1, 12])
def test_all_right_all_wrong_and_a_single_player(workspace: Workspace, store: Store, judged: bool, people: int) -> None:
    rows = [(at, f"p{at % people}", f"i{at}", at % 4 < 2, (at % 4 < 2) == judged) for at in range(48)]
    put(store, rows, "village", 900)
    result = measure(workspace)
    assert result["accuracy"]["value"] == float(judged)
    for name in ("fool_rate", "human_pass_rate", "accuracy"):
        assert 0 <= result[name]["low"] <= result[name]["value"] <= result[name]["high"] <= 1
    if people == 1:
        assert result["d_prime"]["low"] is None
        assert "One player says nothing about others" in render(result)
    else:
        assert np.sign(result["d_prime"]["value"]) == (1 if judged else -1)
    printed(result)


class _Checked(HTMLParser):
    """Fails on what the content security policy would not let through, and on tags left open."""

    VOID = frozenset({"meta", "line", "path", "rect", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "iframe", "img", "link"), tag
        assert not [name for name, _ in attrs if name == "style" or name.startswith("on")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        return None

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_is_one_sound_page_and_names_are_harmless(workspace: Workspace, tmp_path: Path) -> None:
    make_played(workspace, WORLD, models=("<script>alert(1)</script>", "town"), category="<img src=x onerror=alert(1)>")
    page_file = tmp_path / "report.html"
    result = measure(workspace, html=page_file)
    page = page_file.read_text(encoding="utf-8")
    checked = _Checked()
    checked.feed(page)
    assert checked.open == []
    assert "http" not in re.sub(r"http-equiv", "", page)
    for source in ("Bell and McCaffrey", "Macmillan and Creelman", "Waudby-Smith", "Bock and Aitkin", "Cochran"):
        assert source in page
    assert page.count("95% interval") >= 3
    assert result["item_response"]["players"] == 40
    with pytest.raises(WorkspaceError, match="Could not write"):
        measure(workspace, html=tmp_path / "nowhere" / "report.html")


def test_the_export_has_every_guess_and_no_way_back(workspace: Workspace, store: Store, tmp_path: Path) -> None:
    number = make_played(workspace, WORLD)
    put(store, [(at, "hasty", f"h{at}", True, False) for at in range(20)], "=cmd|x", 120)
    result = measure(workspace, export=tmp_path / "g.csv")
    with (tmp_path / "g.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == number + 20
    assert sum(row["excluded"] == "" for row in rows) == result["guesses"]
    assert {row["excluded"] for row in rows} == {"", "too_fast+hasty_player"}
    counted = [row for row in rows if not row["excluded"] and row["origin"] == "model"]
    assert sum(row["guess"] == "human" for row in counted) / len(counted) == result["fool_rate"]["value"]
    text = (tmp_path / "g.csv").read_text()
    assert "player1" not in text
    assert "posts.invalid" not in text
    assert "2026-" not in text
    assert "'=cmd|x" in text
    book = (tmp_path / "g.codebook.md").read_text()
    assert all(f"`{column}`" in book for column in rows[0])


def test_parquet_says_the_same_and_other_kinds_are_refused(workspace: Workspace, tmp_path: Path) -> None:
    import duckdb

    number = make_played(workspace, WORLD)
    target = tmp_path / "it's guesses.parquet"
    result = measure(workspace, export=target)
    (found,) = duckdb.execute(
        "SELECT count(*), avg((guess = 'human')::int) FILTER (origin = 'model') FROM read_parquet(?)", [str(target)]
    ).fetchall()
    assert found == (number, pytest.approx(result["fool_rate"]["value"]))
    assert {file.name for file in tmp_path.iterdir() if file.is_file()} == {
        "it's guesses.parquet",
        "it's guesses.codebook.md",
    }
    with pytest.raises(UsageError, match=r"\.csv or \.parquet"):
        measure(workspace, export=tmp_path / "guesses.xlsx")


def test_detectors_learn_what_differs_and_nothing_from_length(workspace: Workspace, store: Store) -> None:
    make_game(workspace, n=400, generated=200)
    alike = measure(workspace, detectors=True)["detectors"]
    assert [row["name"].split()[0] for row in alike] == ["words", "length"]
    assert alike[1]["auc"]["low"] < 0.5 < alike[1]["auc"]["high"]
    with store.write() as connection:
        connection.execute(sa.update(candidates).values(text=candidates.c.text + " indeed"))
    assert measure(workspace, detectors=True)["detectors"][0]["auc"]["value"] > 0.95


def test_matching_uses_each_text_once_and_lengths_are_near() -> None:
    human, model = ["a" * n for n in range(20, 60)], ["b" * n for n in range(40, 140)]
    ours, theirs = matched(human, model)
    assert len(ours) == len(theirs) >= 20
    assert len(set(ours)) == len(ours)
    assert all(
        abs(len(one) - len(other)) <= max(2, 0.1 * len(other) + 1e-9) for one, other in zip(ours, theirs, strict=True)
    )


def test_too_few_texts_for_a_detector_are_told(workspace: Workspace) -> None:
    make_game(workspace, n=20, generated=4)
    with pytest.raises(CorpusError, match="25 pairs"):
        measure(workspace, detectors=True)


@pytest.mark.real
def test_postgresql_gives_the_same_figures(
    workspace: Workspace, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_played(workspace, WORLD, models=("village", "town"))
    here = measure(workspace, ["village"])
    monkeypatch.setenv("PASQUIN_DATABASE_URL", postgres_url)
    make_played(workspace, WORLD, models=("village", "town"))
    assert measure(workspace, ["village"]) == here


def _guesses(n: int = 240) -> Guesses:
    """Made-up guesses of 12 players, in turn on single texts and, for every third player, between two."""
    random = np.random.default_rng(10)
    player, pair = np.arange(n) // 20, (np.arange(n) // 20) % 3 == 0
    from_model = np.arange(n) % 2 == 0
    right = random.random(n) < 0.7
    right[1::2] = np.where(pair[1::2], right[::2], right[1::2])  # both texts of a pair are right or wrong together
    return Guesses(
        player=player,
        item=np.arange(n) % 60,
        from_model=from_model,
        judged_model=from_model == right,
        trial=trial_numbers(player),
        response_ms=np.full(n, 3000),
        day=np.zeros(n, dtype=int),
        model=np.where(from_model, 0, -1),
        category=np.zeros(n, dtype=int),
        arm=np.where(from_model, 0, -1),
        models=("village",),
        categories=("village",),
        arms=("screened",),
        mode=np.where(pair, 1, 0),
        modes=("classic", "pair"),
        confidence=np.where(np.arange(n) % 5 == 0, -1, right.astype(int)),
        confidences=("unsure", "sure"),
        marks=np.stack([player == 11, np.arange(n) == 25], axis=1),
        mark_names=("inattentive", "clock"),
    )


def test_choices_between_two_texts_count_once_and_apart() -> None:
    single, choices = without_pairs(_guesses())
    assert (len(single), len(choices)) == (160, 40)
    found = pair_figures(choices)
    assert found is not None
    share = found["right"]["value"]
    assert share == choices.correct.mean()
    assert found["d_prime"]["value"] == pytest.approx(2**0.5 * NormalDist().inv_cdf((40 * share + 0.5) / 41))
    assert found["d_prime"]["low"] < found["d_prime"]["value"] < found["d_prime"]["high"]


def test_cards_chosen_by_difficulty_are_in_no_rate_and_on_the_scale(workspace: Workspace, store: Store) -> None:
    make_played(workspace, WORLD)
    with store.write() as connection:  # every third guess on a card that was chosen, a ninth in a game of before
        ids = connection.execute(sa.select(trials.c.id).order_by(trials.c.id)).scalars().all()
        connection.execute(sa.update(trials).values(drawn="evenly"))
        connection.execute(sa.update(trials).where(trials.c.id.in_(ids[::3])).values(drawn="by_difficulty"))
        connection.execute(sa.update(trials).where(trials.c.id.in_(ids[::9])).values(drawn=None, mode="endless"))
    before, found = read_guesses(store), measure(workspace, ["village"])
    assert before.by_difficulty is not None
    assert before.by_difficulty.sum() == len(ids[::3])
    assert found["guesses"] == len(ids) - len(ids[::3])
    even = before.where(before.from_model & ~before.by_difficulty)
    assert found["fool_rate"]["value"] == pytest.approx(even.judged_human.mean())
    assert {row["name"]: row["guesses"] for row in found["by"]["drawn"]} == {
        "drawn evenly": found["guesses"],
        "by difficulty": len(ids[::3]),
    }
    assert found["item_response"]["guesses"] == len(ids)
    assert "chosen by difficulty, and in no rate" in " ".join(printed(found))
    assert "no fair sample" in render(found)
    with store.write() as connection:
        connection.execute(sa.update(trials).values(drawn="evenly", mode="classic"))
    assert measure(workspace, ["village"])["by"]["drawn"] == []


def test_confidence_has_groups_and_the_games_marks_exclude() -> None:
    played = _guesses()
    groups = {group["name"]: group for group in breakdowns(played)["confidence"]}
    assert set(groups) == {"unsure", "sure", "not said"}
    assert groups["sure"]["accuracy"]["value"] > groups["unsure"]["accuracy"]["value"]
    found = {rule.name: int(rule.excluded.sum()) for rule in rules(played, MeasureSettings())}
    assert (found["inattentive"], found["clock"], found["slow"], found["regular"]) == (20, 1, 0, 0)


# In public


def test_public_figures_never_show_a_group_of_few(workspace: Workspace, store: Store) -> None:
    make_played(workspace, WORLD)
    for category in ("a", "b"):
        put(store, [(at, f"{category}{at % 2}", f"{category}{at}", True, True) for at in range(8)], category, 2000)
    result = public_figures(store, (), MeasureSettings())
    assert result["players"] == 44
    names = {group["name"] for group in result["by"]["category"]}
    assert names == {"groups of few players"}  # two and two are still four: the next smallest goes with them
    figures = [figure for groups in result["by"].values() for group in groups for figure in group.values()]
    assert all(figure["players"] >= FEW_PLAYERS for figure in figures if isinstance(figure, dict))
    assert "item_response" not in result
    assert "examples" not in result
    lone = [(at, f"q{at}", f"q{at}", True, True) for at in range(9)] + [(50, "q0", "human", False, True)]
    put(store, lone, "c", 2000)
    assert {group["name"] for group in public_figures(store, (), MeasureSettings())["by"]["category"]} == names
    assert public_figures(store, ("c",), MeasureSettings())["few_players"] == FEW_PLAYERS
    whole = read_guesses(store)
    assert {group["name"] for group in breakdowns(whole)["category"]} == {"village", "a", "b", "c"}


@pytest.fixture
def client(workspace: Workspace) -> Iterator[TestClient]:
    make_game(workspace)
    with TestClient(create_app(workspace)) as opened:
        yield opened


def test_stats_of_an_unplayed_game_and_of_one_with_few_players(client: TestClient, store: Store) -> None:
    page = client.get("/stats")
    assert page.status_code == 200
    assert "No guesses yet" in page.text
    nonce = re.search(r"style-src 'self' 'nonce-([^']+)'", page.headers["Content-Security-Policy"])
    assert nonce is not None
    assert f'<style nonce="{nonce[1]}">' in page.text
    assert "http-equiv" not in page.text
    put(store, [(at, f"p{at}", f"i{at}", True, True) for at in range(4)], "village", 900)
    client.app.state.figures._until = 0
    told = client.get("/stats.json").json()
    assert told == {"corpora": ["village"], "players": 4, "guesses": 4, "few_players": 5}
    assert "from 5 players on" in client.get("/stats").text


def test_stats_are_kept_a_while_and_then_follow_the_game(client: TestClient, store: Store) -> None:
    rows = [(at, f"p{at % 10}", f"i{at}", at % 2 == 0, at % 3 == 0) for at in range(60)]
    put(store, rows[:50], "village", 900)
    assert client.get("/stats.json").json()["guesses"] == 50
    put(store, rows[50:], "village", 900)
    assert client.get("/stats.json").json()["guesses"] == 50
    client.app.state.figures._until = 0
    assert client.get("/stats.json").json()["guesses"] == 60
    assert "Human pass rate" in client.get("/stats").text


# The command


def test_the_command_prints_figures_or_one_json_object(workspace: Workspace) -> None:
    make_played(workspace, WORLD)
    run = program("measure", "village", "--html", "r.html", cwd=workspace.root)
    assert run.returncode == 0, run.stderr
    assert re.search(r"fool rate +\d+% \(\d+–\d+%\)", run.stdout)
    assert (workspace.root / "r.html").exists()
    run = program("measure", "--json", cwd=workspace.root)
    assert json.loads(run.stdout)["players"] == 40
    run = program("measure", "nothing", cwd=workspace.root)
    assert (run.returncode, "Traceback" in run.stderr) == (1, False)


def test_detectors_need_no_players_and_read_with_the_model(
    workspace: Workspace, store: Store, tiny_model: Path
) -> None:
    from test_generate import add_model

    make_game(workspace, n=400, generated=200)
    add_model(workspace, "village", tiny_model)
    with store.write() as connection:
        connection.execute(sa.update(candidates).values(model_hash="f" * 64))
        generation = connection.execute(sa.select(candidates.c.generation)).scalars().first()
    rejected = workspace.root / "generated" / "rejected" / f"village_{generation}.jsonl"
    rejected.parent.mkdir(parents=True)
    reasons = ["near", "verbatim", "incomplete", "near"]
    lines = [json.dumps({"position": 900 + at, "reason": reason}) for at, reason in enumerate(reasons)]
    rejected.write_text("\n".join([*lines, lines[0], '{"position": 9']))
    result = measure(workspace, detectors=True)
    assert [row["name"].split()[0] for row in result["detectors"]] == ["words", "likelihood", "length"]
    assert 0 <= result["detectors"][1]["auc"]["value"] <= 1
    written = result["copies"]["n"] - 3
    assert result["copies"] == {"verbatim_rate": 1 / (written + 3), "near_rate": 2 / (written + 3), "n": written + 3}
    words = " ".join(printed(result))
    assert "No guesses yet" in words
    assert "MAUVE" in words
    assert "likelihood" in render(result)
