"""Which posts are left out and why, and what is left of the others."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from pasquin.config import PrepareSettings
from pasquin.prepare.clean import REASONS
from pasquin.prepare.clean import clean as clean_text
from pasquin.records import Post


def clean(post: Post, settings: PrepareSettings, own: Collection[str] = ()) -> tuple[str, str | None]:
    is_reply = post.reply_to is not None and post.reply_to not in own
    return clean_text(post.text, settings, is_repost=post.is_repost, is_reply=is_reply)


def post(text: str, *, reply_to: str | None = None, is_repost: bool = False) -> Post:
    return Post(uri="x:1", network="x", account="1", handle="one", text=text, reply_to=reply_to, is_repost=is_repost)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("RT @someone: their words", "repost"),
        ("so true RT @someone: their words", "repost"),
        ("@someone thanks for that", "leading_at"),
        ("“@someone: their words” quoted", "leading_at"),
        ("https://t.co/abcdef", "link_only"),
        ("📷 … https://example.com/a pic.twitter.com/b", "link_only"),
        ("The first half of a long thought that goes… https://t.co/abc", "truncated"),
        ("w" * 60 + " " + "v" * 77 + "…", "truncated"),
        ("broken \ufffd\ufffd text", "garbled"),
        ("\u200b \n", "empty"),
        ("ok", "too_short"),
        ("long " * 400, "too_long"),
        ("x" * 20_000_000, "too_long"),
    ],
)
def test_posts_nobody_should_learn_from_are_dropped(text: str, reason: str) -> None:
    assert clean(post(text), PrepareSettings())[1] == reason
    assert reason in REASONS


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        (".@someone is right about this", ".@someone is right about this"),
        ("START @someone now", "START @someone now"),
        ("Well… that went fine…", "Well… that went fine…"),
        ("New post: things I learned https://example.com/x", "New post: things I learned"),
        ("Tom &amp; Jerry\u00a0forever\n\n🎉 ça va", "Tom & Jerry forever\n\n🎉 ça va"),
    ],
)
def test_good_posts_keep_their_words(text: str, cleaned: str) -> None:
    assert clean(post(text), PrepareSettings()) == (cleaned, None)


def test_replies_to_others_go_and_threads_stay() -> None:
    settings = PrepareSettings()
    assert clean(post("I think so too", reply_to="x:9"), settings, {"x:1"})[1] == "reply"
    assert clean(post("2/ And another thing", reply_to="x:0"), settings, {"x:0", "x:1"})[1] is None


def test_each_rule_can_be_switched_off() -> None:
    assert clean(post("@a hello there", reply_to="x:9"), PrepareSettings(include_replies=True))[1] is None
    assert clean(post("RT @a: words", is_repost=True), PrepareSettings(include_reposts=True))[1] is None
    assert clean(post("https://t.co/abc"), PrepareSettings(include_links=True)) == ("https://t.co/abc", None)
    assert clean(post("ok"), PrepareSettings(min_characters=1))[1] is None


def test_other_languages_and_private_data_are_dropped_where_that_is_asked() -> None:
    english = "The quick brown fox jumps over the lazy dog and then it sleeps"
    german = "Der schnelle braune Fuchs springt über den faulen Hund und schläft dann ein"
    only = PrepareSettings(languages=("en",))
    assert clean(post(english), only) == (english, None)
    assert clean(post(german), only)[1] == "language"
    assert clean(post("zu kurz"), only)[1] is None
    assert clean(post("write to jane.doe@example.com"), PrepareSettings(drop_personal=True))[1] == "personal"
    assert clean(post("write to jane.doe@example.com"), PrepareSettings())[1] is None


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Thanks @some_one, and @b@example.social! #win", "Thanks, and! #win"),
        ("hello @name.bsky.social. Bye", "hello. Bye"),
        ("mail me@example.com", "mail me@example.com"),
    ],
)
def test_usertags_are_stripped_whole(text: str, cleaned: str) -> None:
    assert clean(post(text), PrepareSettings(strip_usertags=True)) == (cleaned, None)


def test_hashtags_are_stripped_but_numbers_are_not() -> None:
    assert clean(post("We are #1 #winning\n#日本"), PrepareSettings(strip_hashtags=True)) == ("We are #1", None)
