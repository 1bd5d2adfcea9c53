"""Every sample beside the repository gives what its INDEX states: one table, a row a file.

`number_of_posts` counts what is in a file: posts, and what is none for a stated reason (boosts, messages of the
service, posts of others). Both have to come out of our reader, and nothing else. Where the two count differently, a row
of `DIFFERS` says why.
"""

from __future__ import annotations

import csv
import json
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from pasquin.config import CollectSettings
from pasquin.errors import InputError
from pasquin.networks import Page, open_source
from pasquin.networks.files.guess import guess_source
from pasquin.networks.mastodon.profile import Owner, host_of
from pasquin.networks.mastodon.statuses import Unreadable, status_post
from pasquin.records import Post

SAMPLES = Path(__file__).parents[2] / "shared" / "data" / "samples"
NO_POSTS = {
    "conformance": "tests of other projects",
    "lexicons": "schemas",
    "human_judgments": "guesses of people",
    "format": "the head of the table",
}
SOURCES = {
    "ap_outbox": "mastodon-archive",
    "bluesky_api": "bluesky-archive",
    "bluesky_car": "bluesky-archive",
    "bluesky_events": "bluesky-archive",
    "gallery_dl": "gallery-dl",
    "rss_atom": "feed",
    "snscrape": "snscrape",
    "twscrape": "twscrape",
    "x_api_v1": "x-api-file",
    "x_api_v2": "x-api-file",
    "x_graphql": "x-api-file",
    "reddit": "reddit",
}
BY_NAME = {
    "whatsapp": "whatsapp",
    "discord": "discord",
    "telegram": "telegram",
    "minimaxir_355M.txt": "text",
    "validation.csv": "csv",
    "twint_csv_half.csv": "csv",
    "twint": "twint",
}
API = ("mastodon_api", "pleroma_misskey")
ARCHIVES = ("x_archive_new", "x_archive_old", "x_archive_grailbird")
IN_ARCHIVES = {"x_archive_new": "data/", "x_archive_old": "data/", "x_archive_grailbird": "data/js/tweets/"}
NOT_TWEETS = (
    "account",
    "profile",
    "article",
    "manifest",
    "tweet-headers",
    "payload_details",
    "tweet_index",
    "user_det",
)

DIFFERS = {
    "telegram_DM_2A_7M.json": (8, "INDEX has the number of the file's name, which leaves out 'joined Telegram'"),
    "discord_GC_3A_5M.json": (6, "INDEX has the number of the file's name, to which a call was added later"),
    "getPostThread_72827.json": (4, "INDEX counts the one thread: it has four posts, all of one author"),
    "fakermaker.repo.car": (41, "INDEX counts posts; 15 reposts are in the repository, too"),
    "index-19086921194__jetstream.jsonl": (3, "INDEX counts posts; a block and a like are in the file, too"),
    "whatsapp_4A_11M.txt": (14, "INDEX counts messages; 3 lines are of WhatsApp itself"),
    "raw_user_tweets.json": (21, "INDEX counts four quoted posts of others, which are no rows of the timeline"),
    "note-tweet.js": (10, "30 of 40 long texts become the text of their tweets, 10 have none"),
}
POSTS = {
    "hawksworx.com__outbox.json": (162, {"not public": 27, "boost": 26, "empty": 1}),
    "getAuthorFeed_925c2.json": (15, {"repost": 10}),
    "getPostThread_72827.json": (4, {}),
    "repost.bsky.json": (0, {"repost": 1}),
    "telegram_DM_2A_7M.json": (4, {"service message": 2, "empty": 2}),
    "discord_GC_3A_5M.json": (3, {"service message": 3}),
    "firehose_commit_4621317030.json": (0, {"repost": 1}),
    "nitter_user.rss.xml": (0, {"repost": 2}),
    "twscrape__user_tweets.jsonl": (21, {"by somebody else": 4}),
    "user_tweets_and_replies.jsonl": (21, {"by somebody else": 6}),
    "raw_user_tweets.json": (21, {}),
    "account_statuses_5pages.json": (99, {"boost": 1}),
}
"""Where not all that is counted are posts: how many are, and what the rest is."""

DAMAGED = {
    "streaming_output_with_error.jsonl": 1,  # its last line is cut off
    "repo_slice.car": 4,  # the proof of one record, without the rest of its repository
}
"""How many pieces of a sample cannot be read."""

needs_samples = pytest.mark.skipif(not SAMPLES.exists(), reason="the sample exports are not beside the repository")


def index() -> list[tuple[str, str, int]]:
    """(format, file, posts) of each row; empty where there are no samples."""
    if not SAMPLES.exists():
        return []
    with (SAMPLES / "INDEX.tsv").open(encoding="utf-8", newline="") as handle:
        rows = csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [(row["format"], row["file"], int(row["number_of_posts"])) for row in rows]


def ending(file: str, table: dict[str, object]) -> object | None:
    return next((value for end, value in table.items() if file.endswith(end)), None)


def counted(file: str, posts: int) -> int:
    """What a reader has to account for in a file."""
    differs = next((count for end, (count, _) in DIFFERS.items() if file.endswith(end)), None)
    return posts if differs is None else differs


def read(name: str, path: Path, **options: object) -> Page:
    pages = list(open_source(name, CollectSettings(**options)).posts(str(path), None))  # type: ignore[arg-type]
    skipped: Counter[str] = Counter()
    for page in pages:
        skipped.update(page.skipped)
    quarantined = tuple(piece for page in pages for piece in page.quarantined)
    return Page(tuple(post for page in pages for post in page.posts), None, dict(skipped), quarantined)


def statuses(path: Path) -> Page:
    """Saved answers of the Mastodon API, which no source reads from files, through the reader of the network."""
    found: list[Post | str | Unreadable] = []
    for item in json.loads(path.read_text()):
        about, host = item["account"], host_of(item["uri"])
        acct = about["acct"] if "@" in about["acct"] else f"{about['acct']}@{host}"
        owner = Owner(about["id"], about.get("uri") or about["url"], f"@{acct}", f"https://{host}")
        found.append(status_post(item, owner))
    assert not any(isinstance(one, Unreadable) for one in found)
    posts = tuple(one for one in found if isinstance(one, Post))
    return Page(posts, None, dict(Counter(one for one in found if isinstance(one, str))))


def test_every_row_of_the_index_is_tested() -> None:
    for format, file, _ in index():
        assert (format in NO_POSTS) + (format in (*SOURCES, *API, *ARCHIVES)) + bool(
            format not in SOURCES and [name for name in BY_NAME if name in file and format not in NO_POSTS]
        ) == 1, file


ROWS = [row for row in index() if row[0] not in (*NO_POSTS, *ARCHIVES)]


@needs_samples
@pytest.mark.parametrize(("format", "file", "posts"), ROWS, ids=[file for _, file, _ in ROWS])
def test_a_sample_gives_what_its_index_states(format: str, file: str, posts: int) -> None:
    path = SAMPLES / file
    if format in API:
        page = statuses(path)
    else:
        source = SOURCES.get(format) or next(name for part, name in BY_NAME.items() if part in file)
        if not path.stat().st_size:
            with pytest.raises(InputError, match="is empty"):
                read(source, path)
            assert posts == 0
            return
        page = read(source, path)
    skipped = sum(page.skipped.values())
    expected = counted(file, posts)
    assert len(page.posts) + skipped == expected, (page.skipped, page.quarantined)
    assert len(page.quarantined) == next((n for end, n in DAMAGED.items() if file.endswith(end)), 0)
    identities = Counter(post.uri for post in page.posts)
    assert max(identities.values(), default=1) == 1 or "file:" in page.posts[0].uri  # plain texts may repeat
    known = next((value for end, value in POSTS.items() if file.endswith(end)), None)
    if known is not None:
        assert (len(page.posts), page.skipped) == known
    elif ".repo.car" not in file and "whatsapp" not in file and "jetstream" not in file:
        assert (len(page.posts), page.skipped) == (expected, {})


@needs_samples
def test_saved_answers_of_x_are_recognised_so_that_their_rights_are_those_of_the_api() -> None:
    for format, file, posts in index():
        if format in ("x_api_v1", "x_api_v2", "x_graphql") and posts:
            assert guess_source(str(SAMPLES / file), CollectSettings()) == "x-api-file", file
        elif format in ("twscrape", "gallery_dl", "snscrape", "twint", "reddit"):
            assert guess_source(str(SAMPLES / file), CollectSettings()) != "x-api-file", file


@needs_samples
@pytest.mark.parametrize("format", ARCHIVES)
def test_an_archive_of_x_gives_what_the_index_states_of_its_files(tmp_path: Path, format: str) -> None:
    rows = [(Path(file), posts) for kind, file, posts in index() if kind == format]
    whose = {path.name.rpartition("__")[0] for path, _ in rows}
    for owner in whose:
        mine = {path: posts for path, posts in rows if path.name.startswith(owner) and path.suffix == ".js"}
        archive = tmp_path / f"{owner}.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as written:
            for path in mine:
                inside = IN_ARCHIVES[format] + path.name.removeprefix(f"{owner}__")
                written.write(SAMPLES / path, inside)
            if not any(part in path.name for path in mine for part in ("__tweet.js", "__tweets.js", "__20")):
                written.writestr("data/tweets.js", "window.YTD.tweets.part0 = [ ]")
        page = read("x-archive", archive, account="36823" if "anil" in owner else "42" if "milahu" in owner else None)
        tweets = {
            path: n for path, n in mine.items() if not path.name.removeprefix(f"{owner}__").startswith(NOT_TWEETS)
        }
        assert len(page.posts) + sum(page.skipped.values()) == sum(counted(str(p), n) for p, n in tweets.items()), owner
        assert not page.quarantined


@needs_samples
def test_the_table_of_an_old_archive_of_x_has_as_many_rows() -> None:
    for format, file, posts in index():
        if format == "x_archive_grailbird" and file.endswith(".csv"):
            assert len(read("x-archive", SAMPLES / file, account="36823").posts) == posts
