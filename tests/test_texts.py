"""Characters: what is mended, what is left alone, and what any string at all does."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasquin.texts import comparable, normalise, remove_links, text_key

PIECES = (
    "&amp;", "&amp", ";", "&#0;", "&#xD800;", "â€™", "Ã©", "http://", "https://a.b/c", "t.co/x", "www.", "bit.ly/",
    "pic.twitter.com/a", "(", ")", "…", "'", "a", "é", "İ", "ß", "ﬁ", "\ud83d", "\ude00", "\u200d", "\u202e", "\r\n",
    "\n", " ", "\x00",
    "\U0001f3f4\U000e0067\U000e007f", "\ufe0f",
)  # fmt: skip
anything = st.text(st.characters(codec=None), max_size=60) | st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        ("Q&amp;A &lt;3 &#39;ok&#39; &amp;amp; R&D", "Q&A <3 'ok' & R&D"),
        ("itâ€™s cafÃ© time", "it’s café time"),
        ("a\u00a0b\u2003c\td", "a b c d"),
        ("one\r\ntwo\u2028three\n\n\n\n four ", "one\ntwo\nthree\n\nfour"),
        ("\ud83d\ude00 and half \ud83d", "😀 and half"),
        ("a\u202eevil\u202c\u0000 b\ufeff", "aevil b"),
        ("hid\U000e0041\U000e0042den", "hidden"),
    ],
)
def test_what_transport_broke_is_mended(broken: str, mended: str) -> None:
    assert normalise(broken) == mended


@pytest.mark.parametrize(
    "text",
    [
        "“Curly” quotes — and dashes…",
        "👩‍👩‍👧‍👦 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f ❤️ 🇫🇷",
        "日本語のテキスト、そのまま。",
        "می‌خواهم بنویسم",
        "Съешь же ещё этих мягких булок",
        "हिन्दी में लिखा",
        "two\n\nparagraphs\nand a line",
        "AT&T, R&D; x < y > z",
        "½ ™ № ﬁne 𝓯𝓪𝓷𝓬𝔂",
    ],
)
def test_what_the_writer_chose_stays(text: str) -> None:
    assert normalise(text) == text
    assert remove_links(text) == text


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("Read this https://example.com/a?b=c#d now", "Read this now"),
        ("Look (https://t.co/abc), it is good", "Look, it is good"),
        ("glued pichttps://t.co/abc pic.twitter.com/xyz", "glued pic"),
        ("photopic.twitter.com/abc123", "photo"),
        ("See www.example.org/x. And bit.ly/2abc!", "See. And!"),
        ("first\nhttp://example.com/\nlast", "first\n\nlast"),
        ("and/or 24/7 w.r.t. e.g. 3.5/5 me@example.com/x", "and/or 24/7 w.r.t. e.g. 3.5/5 me@example.com/x"),
    ],
)
def test_links_go_and_the_sentence_stays(text: str, without: str) -> None:
    assert remove_links(text) == without


@given(anything)
def test_normalising_is_idempotent_and_leaves_nothing_unprintable(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    once.encode("utf-8")
    assert not any(unicodedata.category(character) in {"Cc", "Cs"} for character in once.replace("\n", ""))
    assert not set(once) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u00a0\ufeff")
    assert once == once.strip()
    assert unicodedata.is_normalized("NFC", once)


@given(anything)
def test_removing_links_is_idempotent(text: str) -> None:
    once = remove_links(normalise(text))
    assert remove_links(once) == once
    assert normalise(once) == once
    assert "pic.twitter.com/" not in once.casefold()


@given(anything)
def test_comparable_is_idempotent_and_never_empty_for_a_text(text: str) -> None:
    text = normalise(text)
    once = comparable(text)
    assert comparable(once) == once
    assert bool(once) == bool(text)


def test_case_punctuation_and_spacing_do_not_make_a_text_another() -> None:
    assert text_key("Don’t  PANIC!\n(ever)") == text_key("dont panic ever")
    assert text_key("Straße №5") == text_key("STRASSE NO5")
    assert text_key("hello 🎉") != text_key("hello 🎈")
    assert text_key("...") != text_key("!!!")
