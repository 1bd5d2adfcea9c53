"""X's API: what is read, what it costs, and what is said when X refuses; saved answers as files."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pasquin.collect import collect
from pasquin.config import CollectSettings
from pasquin.errors import InputError, NetworkError, PasquinError, Refused, UsageError
from pasquin.networks import Page
from pasquin.networks.transport import Transport
from pasquin.networks.x_api import XSource
from pasquin.networks.x_saved import x_api_file
from pasquin.records import Post
from pasquin.workspace import Workspace

SAMPLES = Path(__file__).parents[2] / "shared" / "data" / "samples"
METRICS = ("reply_count", "quote_count", "bookmark_count", "impression_count")
SECRET = "canary-AAAA%2Bsecret"


@dataclass
class FakeX:
    """Enough of X's API v2 to read timelines from; it checks what it is asked, and counts what it would charge."""

    posts: list[dict[str, Any]] = field(default_factory=list)
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    includes: dict[str, Any] = field(default_factory=dict)
    charged: int = 0
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    """Given instead of real answers, once each."""
    url: str = ""

    def answer(self, path: str, query: dict[str, str], token: str | None) -> tuple[int, dict[str, str], bytes]:
        self.requests.append((path, query))
        if self.answers:
            return self.answers.pop(0)
        if token != f"Bearer {SECRET}":
            return 401, {}, b'{"title": "Unauthorized", "status": 401}'
        parts = path.strip("/").split("/")
        assert parts[:2] == ["2", "users"]
        if parts[-1] != "tweets":
            user = self.users.get(parts[-1].lower())
            self.charged += 1
            missing = {"errors": [{"title": "Not Found Error", "detail": f"Could not find user {parts[-1]}"}]}
            return 200, {}, json.dumps({"data": user} if user else missing).encode()
        most = int(query["max_results"])
        assert 5 <= most <= 100
        assert {"post.fields", "expansions"} <= set(query)
        found = [
            post
            for post in sorted(self.posts, key=lambda post: -int(post["id"]))[:3_200]
            if int(query.get("since_id", 0)) < int(post["id"]) < int(query.get("until_id", 2**63))
        ]
        page, rest = found[:most], found[most:]
        self.charged += len(page)
        meta = {"result_count": len(page)} | ({"next_token": "t"} if rest else {})
        return (
            200,
            {},
            json.dumps(({"data": page} if page else {}) | {"includes": self.includes, "meta": meta}).encode(),
        )


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeX]:
    service = FakeX(users={"ada": {"id": "7", "username": "Ada", "protected": False}})
    service.users["7"] = service.users["ada"]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            status, headers, body = service.answer(parts.path, query, self.headers.get("Authorization"))
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    service.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("PASQUIN_X_TOKEN", SECRET)
    yield service
    server.shutdown()
    server.server_close()


def settings(fake: FakeX, **values: Any) -> CollectSettings:
    host = urlsplit(fake.url).netloc
    return CollectSettings(**({"x_api": fake.url, "allow_private_hosts": (host,), "max_cost": 20.0} | values))


def source(fake: FakeX, **values: Any) -> XSource:
    chosen = settings(fake, **values)
    return XSource(chosen, Transport(chosen, backoff=0.001))


def status(id: int, text: str = "", **values: Any) -> dict[str, Any]:
    return {
        "id": str(id),
        "author_id": "7",
        "text": text or f"post {id}",
        "created_at": "2026-01-02T03:04:05.000Z",
        "lang": "en",
        "public_metrics": dict.fromkeys(METRICS, 1) | {"like_count": 3, "repost_count": 2},
        "edit_history_post_ids": [str(id)],
    } | values


def ids(pages: list[Page]) -> list[int]:
    return [int(post.uri.rpartition("/")[2]) for page in pages for post in page.posts]


def test_a_timeline_is_read_once_and_paid_once(fake: FakeX) -> None:
    fake.posts = [status(number) for number in range(1, 251)]
    pages = list(source(fake).posts("@Ada", None))
    assert ids(pages) == list(range(250, 0, -1))
    assert fake.charged == 251
    assert pages[0].posts[0].rights == "x-api"
    assert pages[0].posts[0].account == "7"
    fake.posts += [status(number) for number in range(251, 256)]
    later = list(source(fake).posts("@Ada", pages[-1].cursor))
    assert ids(later) == [255, 254, 253, 252, 251]
    assert fake.charged == 256
    assert ids(list(source(fake).posts("@Ada", later[-1].cursor))) == []
    assert ids(list(source(fake).posts("7", None))) == list(range(255, 0, -1))


@pytest.mark.parametrize("killed_after", [1, 2, 3])
def test_what_a_killed_run_left_is_read_later_and_nothing_twice(fake: FakeX, killed_after: int) -> None:
    fake.posts = [status(number) for number in range(1, 351)]
    reading = source(fake).posts("@ada", None)
    first = [next(reading) for _ in range(killed_after)]
    reading.close()
    fake.posts += [status(number) for number in range(351, 601)]
    reading = source(fake).posts("@ada", first[-1].cursor)
    second = [next(reading)]
    reading.close()
    third = list(source(fake).posts("@ada", second[-1].cursor))
    assert sorted(ids([*first, *second, *third])) == list(range(1, 601))


def test_what_a_post_is(fake: FakeX) -> None:
    long = "word " * 100 + "https://t.co/abc"
    fake.includes = {
        "posts": [{"id": "1", "author_id": "9", "text": "their whole text &amp; more"}],
        "users": [{"id": "9", "username": "bo"}],
    }
    links = {"urls": [{"url": "https://t.co/abc", "expanded_url": "https://shop.example/?a=1&b=2"}]}
    picture = {"urls": [{"url": "https://t.co/pic", "expanded_url": "https://x.com/a/photo/1", "media_key": "3_1"}]}
    fake.posts = [
        status(10, "cut…", note_post={"text": long, "entities": links}),
        status(11, "RT @bo: their who…", referenced_posts=[{"type": "retweeted", "id": "1"}]),
        status(12, "@bo yes", referenced_posts=[{"type": "replied_to", "id": "1"}], in_reply_to_user_id="9"),
        status(13, "and so", referenced_posts=[{"type": "replied_to", "id": "12"}], in_reply_to_user_id="7"),
        status(14, "look https://t.co/pic", entities=picture),
        status(15, "corrected", edit_history_post_ids=["9", "15"]),
        status(16, " "),
        {"id": "17", "text": "nobody's"},
    ]
    (page,) = source(fake).posts("@ada", None)
    posts = {int(post.uri.rpartition("/")[2]): post for post in page.posts}
    assert posts[10].text.endswith("https://shop.example/?a=1&amp;b=2")
    assert (posts[11].text, posts[11].is_repost) == ("RT @bo: their whole text &amp; more", True)
    assert (posts[12].reply_to, posts[13].reply_to) == ("https://x.com/i/status/1", None)
    assert posts[14].text == "look"
    assert (posts[15].likes, posts[15].reposts, posts[15].handle) == (3, 2, "Ada")
    assert page.deleted == ("https://x.com/i/status/9",)
    assert (page.skipped, len(page.quarantined)) == ({"empty": 1}, 1)


def test_nothing_is_asked_before_the_cost_is_agreed_to(fake: FakeX, monkeypatch: pytest.MonkeyPatch) -> None:
    for cost, word in ((None, r"at most \$16.01.*--max-cost 16"), (0.01, "too low")):
        with pytest.raises(UsageError, match=word):
            list(source(fake, max_cost=cost).posts("@ada", None))
    monkeypatch.delenv("PASQUIN_X_TOKEN")
    with pytest.raises(UsageError, match="PASQUIN_X_TOKEN"):
        list(source(fake).posts("@ada", None))
    with pytest.raises(UsageError, match="no account on X"):
        list(source(fake).posts("ada/../lists", None))
    assert fake.requests == []


def test_never_more_is_spent_than_was_agreed_to(fake: FakeX) -> None:
    fake.posts = [status(number) for number in range(1, 1_001)]
    pages: list[Page] = []
    with pytest.raises(NetworkError, match="is spent"):
        pages.extend(source(fake, max_cost=1.0).posts("@ada", None))
    assert fake.charged == 200
    assert ids(pages) == list(range(1_000, 801, -1))
    rest = list(source(fake).posts("@ada", pages[-1].cursor))
    assert sorted(ids([*pages, *rest])) == list(range(1, 1_001))


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ((401, {"title": "Unauthorized"}), "does not take the token"),
        ((402, {"title": "CreditsDepleted"}), "wants credit"),
        ((403, {"title": "Client Forbidden", "reason": "client-not-enrolled"}), "does not allow this token"),
        (
            (403, {"errors": [{"title": "Forbidden", "detail": "User has been suspended: [ada]."}]}),
            "has suspended @ada",
        ),
        ((404, {}), "no account @ada"),
        ((200, {"errors": [{"title": "Not Found Error", "detail": "Could not find user"}]}), "no account @ada"),
        ((200, {"errors": [{"title": "Forbidden", "detail": "User has been suspended: [ada]."}]}), "suspended @ada"),
        ((200, {"data": {"id": "7", "username": "ada", "protected": True}}), "is protected"),
        ((200, {"errors": "x"}), "gives nothing"),
        ((200, ["x"]), "makes no sense"),
        ((200, {"data": {"id": "x"}}), "makes no sense"),
    ],
)
def test_refusals_are_a_sentence(fake: FakeX, answer: tuple[int, Any], word: str) -> None:
    fake.answers = [(answer[0], {"Content-Type": "application/json"}, json.dumps(answer[1]).encode())]
    with pytest.raises(PasquinError, match=word) as caught:
        list(source(fake).posts("@ada", None))
    assert SECRET not in str(caught.value)
    assert len(fake.requests) == 1


def test_a_protected_timeline_and_partial_errors(fake: FakeX) -> None:
    fake.posts = [status(1)]
    user = (200, {}, json.dumps({"data": fake.users["ada"]}).encode())
    closed = {"errors": [{"title": "Authorization Error", "detail": "Sorry, you are not authorized to see the user"}]}
    fake.answers = [user, (200, {}, json.dumps(closed).encode())]
    with pytest.raises(Refused, match="is protected"):
        list(source(fake).posts("@ada", None))
    partial = {"data": [status(5)], "errors": [{"title": "Not Found Error"}], "meta": {"result_count": 1}}
    fake.answers = [user, (200, {}, json.dumps(partial).encode())]
    (page,) = source(fake).posts("@ada", None)
    assert len(page.posts) == 1
    assert sum(page.skipped.values()) == 1


def test_a_server_that_repeats_itself_is_left(fake: FakeX) -> None:
    same = {"data": [status(5)], "meta": {"result_count": 1, "next_token": "again"}}
    user = (200, {}, json.dumps({"data": fake.users["ada"]}).encode())
    fake.answers = [user, *[(200, {}, json.dumps(same).encode())] * 50]
    assert ids(list(source(fake).posts("@ada", None))) == [5]
    assert len(fake.requests) == 3


def test_the_token_is_kept_nowhere(fake: FakeX, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fake.posts = [status(number) for number in range(1, 8)]
    workspace = Workspace.create(tmp_path / "bot")
    result = collect(workspace, ["x:@ada"], settings=settings(fake))
    assert result["new"] == 7
    assert collect(workspace, ["x:@ada"], settings=settings(fake))["new"] == 0
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(kept) > 3
    assert not any(SECRET.encode() in content for content in kept)


def test_requests_are_those_of_x_s_own_client(fake: FakeX, monkeypatch: pytest.MonkeyPatch) -> None:
    xdk = pytest.importorskip("xdk", reason="X's own SDK, made from its OpenAPI description, is not here")
    fake.posts = [status(number) for number in range(1, 8)]
    list(source(fake).posts("@ada", None))
    ours = list(fake.requests)
    fake.requests.clear()
    client = xdk.Client(base_url=fake.url, bearer_token=SECRET)
    client.users.get_by_username("ada", user_fields=["protected", "username", "public_metrics"])
    _, asked = ours[1]
    (page,) = client.users.get_posts(
        "7",
        max_results=100,
        post_fields=asked["post.fields"].split(","),
        expansions=asked["expansions"].split(","),
        user_fields=asked["user.fields"].split(","),
    )
    assert [(path, dict(sorted(query.items()))) for path, query in fake.requests] == [
        (path, dict(sorted(query.items()))) for path, query in ours
    ]
    assert len(page.data) == 7


def read_file(path: Path, **options: Any) -> Page:
    pages = list(x_api_file(CollectSettings(**options)).posts(str(path), None))
    return Page(
        tuple(post for page in pages for post in page.posts),
        skipped=pages[0].skipped,
        quarantined=tuple(piece for page in pages for piece in page.quarantined),
        deleted=pages[0].deleted,
    )


def test_saved_answers(tmp_path: Path) -> None:
    path = tmp_path / "saved.jsonl"
    v1 = {
        "id_str": "3",
        "text": "cut…",
        "extended_tweet": {"full_text": "whole"},
        "user": {"id_str": "8", "screen_name": "bo"},
    }
    lines = [
        {"data": [status(1), status(1)], "meta": {}},
        {"data": status(2), "matching_rules": []},
        v1,
        {"delete": {"status": {"id_str": "4", "user_id_str": "8"}}},
        {"meta": {"result_count": 0}},
        {"limit": {"track": 5}},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"data": {"id": "9", "te')
    page = read_file(path)
    assert [(post.uri[-1], post.text) for post in page.posts] == [("1", "post 1"), ("2", "post 2"), ("3", "whole")]
    assert page.skipped == {"twice in the file": 1, "deleted": 1}
    assert page.deleted == ("https://x.com/i/status/4",)
    assert len(page.quarantined) == 2
    assert [post.account for post in read_file(path, account="bo").posts] == ["8"]


@pytest.mark.skipif(not SAMPLES.exists(), reason="the sample exports are not here")
@pytest.mark.parametrize("folder", ["x_api_v1", "x_api_v2"])
def test_real_answers(folder: str) -> None:
    index = [line.split("\t") for line in (SAMPLES / "INDEX.tsv").read_text().splitlines()]
    expected = {row[1]: int(row[7]) for row in index if row[0] == folder}
    assert len(expected) >= 5
    for name, count in expected.items():
        if count == 0:
            with pytest.raises(InputError, match="is empty"):
                read_file(SAMPLES / name)
            continue
        page = read_file(SAMPLES / name)
        assert len(page.posts) == count, name
        assert len(page.quarantined) == ("with_error" in name), name
        assert all(isinstance(post, Post) and post.created_at and post.likes is not None for post in page.posts)
        assert not any(post.is_repost and post.text.endswith("…") for post in page.posts), name
