"""Bluesky against a real server (PDS): whole accounts, what changed, lists, opt-outs, and kills on both sides."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from bluesky_archiver import archive
from local_dns import local_dns
from local_pds import LocalAccount, LocalPds, local_pds, post
from pasquin.collect import collect
from pasquin.config import CollectSettings
from pasquin.errors import NetworkError, Refused, UsageError
from pasquin.networks import Complete, Page
from pasquin.networks.bluesky import BlueskySource, identity, signature
from pasquin.networks.transport import Transport
from pasquin.workspace import Workspace
from pasquin.workspace.shards import fetch_posts

pytestmark = [pytest.mark.real, pytest.mark.timeout(1200)]

SOAK_SECONDS = float(os.environ.get("PASQUIN_SOAK_SECONDS", "12"))
"""The kill test runs this long for each of its seeds."""
SOAK_SEEDS = int(os.environ.get("PASQUIN_SOAK_SEEDS", "1"))
"""How many; the long form of the test has many."""


@pytest.fixture(scope="module")
def pds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPds]:
    with local_pds(tmp_path_factory.mktemp("pds")) as server:
        yield server


def source(pds: LocalPds, **settings: Any) -> BlueskySource:
    chosen = CollectSettings(**{**pds.settings, **settings})
    return BlueskySource(chosen, Transport(chosen, backoff=0.05))


def deleted(uris: list[str], complete: Complete | None) -> list[str]:
    """Which of `uris` a page says were deleted."""
    assert complete is not None
    kept = set(complete.uris)
    return [uri for uri in uris if uri not in kept and not any(low < uri < high for low, high in complete.unknown)]


def test_account_is_read_whole_then_by_changes(pds: LocalPds) -> None:
    anna = pds.account("anna")
    link = "https://example.com/a/rather/long/address?with=query"
    text = "Grüße 🙂 an @ben.test: example.com/a/rather..."
    start = len("Grüße 🙂 an @ben.test: ".encode())
    facet = {
        "index": {"byteStart": start, "byteEnd": len(text.encode())},
        "features": [{"$type": "app.bsky.richtext.facet#link", "uri": link}],
    }
    first = post(text, facets=[facet], langs=["de", "en"], createdAt="2024-02-29T10:00:00.123456-05:00")
    uris = anna.create([first, *(post(f"Number {number}") for number in range(400))])
    reply = post("A reply", reply={"root": {"uri": uris[0], "cid": _cid()}, "parent": {"uri": uris[1], "cid": _cid()}})
    image = post("", embed={"$type": "app.bsky.embed.unheard-of", "what": [1, {"deep": None}]})
    uris += anna.create([reply, image, post("Not for all", labels=_labels("!no-unauthenticated"))])
    anna.create([{"$type": "app.bsky.feed.repost", "subject": {"uri": uris[0], "cid": _cid()}}], "app.bsky.feed.repost")

    (page,) = source(pds).posts("@Anna.test", None)
    posts = {found.uri: found for found in page.posts}
    assert sorted(posts) == sorted(uris[:402])
    assert posts[uris[0]].text == f"Grüße 🙂 an @ben.test: {link}"
    assert posts[uris[0]].lang == "de"
    assert str(posts[uris[0]].created_at) == "2024-02-29 15:00:00.123456+00:00"
    assert (posts[uris[401]].reply_to, posts[uris[401]].handle) == (uris[1], "anna.test")
    assert {found.rights for found in page.posts} == {"public-network"}
    assert {found.account for found in page.posts} == {anna.did}
    assert sum(page.skipped.values()) == 3
    assert page.skipped["repost"] == page.skipped["without text"] == 1

    anna.delete(uris[200])
    key = uris[7].rpartition("/")[2]
    anna.put("app.bsky.feed.post", key, post("Number 6, edited"))
    new = anna.create([post("The newest")])
    (changes,) = source(pds).posts("anna.test", page.cursor)
    assert sorted(found.text for found in changes.posts) == ["Number 6, edited", "The newest"]
    assert changes.current
    assert set(deleted(uris[:402] + new, changes.complete)) <= {uris[200]}
    (whole,) = source(pds, bluesky_whole_hours=0).posts("anna.test", page.cursor)
    assert deleted(uris[:402] + new, whole.complete) == [uris[200]]
    assert len(whole.posts) == 402
    (nothing,) = source(pds).posts(anna.did, changes.cursor)
    assert nothing == Page((), share=1.0)
    # A deletion that the changes did not show is found when the whole is due, though nothing is new then.
    (due,) = source(pds, bluesky_whole_hours=0).posts(anna.did, changes.cursor)
    assert deleted(uris[:402] + new, due.complete) == [uris[200]]
    (nothing,) = source(pds, bluesky_whole_hours=0).posts(anna.did, due.cursor)
    assert nothing == Page((), share=1.0)
    (again,) = source(pds).posts(anna.did, "no cursor of ours")
    assert len(again.posts) == 402


def test_list_gives_the_posts_of_its_members(pds: LocalPds) -> None:
    owner, *members = (pds.account(name) for name in ("olga", "mia-x", "noa-x", "gone-x"))
    for member in members:
        member.create([post(f"I am {member.handle}")])
    key = "3kabcdefghij2"
    owner.put("app.bsky.graph.list", key, {"name": "all", "purpose": "app.bsky.graph.defs#curatelist", "createdAt": ""})
    uri = f"at://{owner.did}/app.bsky.graph.list/{key}"
    items = [{"$type": "app.bsky.graph.listitem", "list": uri, "subject": one.did, "createdAt": ""} for one in members]
    other = {"$type": "app.bsky.graph.listitem", "list": "at://other", "subject": owner.did, "createdAt": ""}
    owner.create([*items, other], "app.bsky.graph.listitem")
    members[2].call("com.atproto.server.deactivateAccount", {})

    pages = list(source(pds).posts(f"list:at://olga.test/app.bsky.graph.list/{key}", None))
    assert sorted(found.text for page in pages for found in page.posts) == ["I am mia-x.test", "I am noa-x.test"]
    (refused,) = (piece for page in pages for piece in page.quarantined)
    assert refused.where == members[2].did
    assert "deactivated" in refused.reason
    members[0].create([post("more")])
    cursor = [page.cursor for page in pages if page.cursor][-1]
    later = list(source(pds).posts(f"list:{uri}", cursor))
    assert [found.text for page in later for found in page.posts] == ["more"]


def test_accounts_that_ask_to_be_left_alone_are(pds: LocalPds) -> None:
    shy, no_ai = pds.account("shy"), pds.account("no-ai")
    for account in (shy, no_ai):
        account.create([post("private thoughts")])
    shy.put("app.bsky.actor.profile", "self", {"labels": _labels("!no-unauthenticated")})
    intent = {"syntheticContentGeneration": {"allow": False, "updatedAt": "2026-01-01T00:00:00Z"}}
    no_ai.put("org.user-intents.declaration", "self", {"$type": "org.user-intents.declaration", **intent})
    for account in (shy, no_ai):
        (page,) = source(pds).posts(account.handle, None)
        assert (page.posts, sum(page.skipped.values())) == ((), 1)
        assert "asks not to be" in next(iter(page.skipped))


def test_accounts_that_are_no_more_are_named(pds: LocalPds) -> None:
    leaving = pds.account("departing")
    uris = leaving.create([post("farewell")])
    (page,) = source(pds).posts("departing.test", None)
    leaving.call("com.atproto.server.deactivateAccount", {})
    with pytest.raises(Refused, match="deactivated"):
        list(source(pds).posts(leaving.did, page.cursor))
    admin = ("admin", "local-test-admin")
    answer = pds.http.post("/xrpc/com.atproto.admin.deleteAccount", json={"did": leaving.did}, auth=admin)
    answer.raise_for_status()
    pages = source(pds).posts(leaving.did, page.cursor)
    assert deleted(uris, next(pages).complete) == uris
    with pytest.raises(Refused, match="deleted"):
        next(pages)
    with pytest.raises(Refused, match=r"no Bluesky account nobody\.test"):
        list(source(pds).posts("nobody.test", None))
    with pytest.raises(UsageError):
        list(source(pds).posts("no handle", None))


def test_renamed_account_is_found_again(pds: LocalPds) -> None:
    formerly = pds.account("formerly")
    formerly.create([post("one")])
    (page,) = source(pds).posts("formerly.test", None)
    formerly.call("com.atproto.identity.updateHandle", {"handle": "hereafter.test"})
    formerly.create([post("two")])
    (page,) = source(pds).posts("formerly.test", page.cursor)
    assert [(found.text, found.handle) for found in page.posts] == [("two", "hereafter.test")]


def test_handle_is_found_by_dns_where_the_public_api_does_not_know_it(pds: LocalPds) -> None:
    dora = pds.account("dora")
    dora.create([post("found")])
    other = pds.account("otto")
    nowhere = f"http://127.0.0.1:{pds.plc_port}/nowhere"
    records = {"_atproto.dora.test": [f"did={dora.did}"], "_atproto.not-otto.test": [f"did={other.did}"]}
    with local_dns(records):
        (page,) = source(pds, bluesky_api=nowhere).posts("dora.test", None)
        assert [found.text for found in page.posts] == ["found"]
        with pytest.raises(Refused, match="does not call itself so"):
            list(source(pds, bluesky_api=nowhere).posts("not-otto.test", None))


def test_repository_counts_only_when_the_account_signed_it(pds: LocalPds, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real server signs with the key in the directory; with the key of another account nothing is taken."""
    sven, eve = pds.account("sven"), pds.account("eve")
    sven.create([post("mine")])
    reader = source(pds)
    (page,) = reader.posts(sven.did, None)
    assert ([found.text for found in page.posts], reader.notes()) == (["mine"], [])

    wrong = reader._directory.find(eve.did).key
    monkeypatch.setattr(identity, "signing_key", lambda _: wrong)
    with pytest.raises(NetworkError, match="not signed by that account"):
        list(source(pds).posts(sven.did, None))
    sven.create([post("more")])
    with pytest.raises(NetworkError, match="not signed by that account"):
        list(source(pds).posts(sven.did, page.cursor))

    monkeypatch.setattr(signature, "can_check", lambda: False)
    unchecked = source(pds)
    assert len([found for page in unchecked.posts(sven.did, None) for found in page.posts]) == 2
    assert unchecked.notes() == [signature.UNCHECKED]
    list(unchecked.posts(sven.did, None))
    assert unchecked.notes() == []


class NoRepositories(Transport):
    """A server that knows nothing of repositories; the `fails_at`-th page of a listing breaks."""

    def __init__(self, settings: CollectSettings, fails_at: int = -1) -> None:
        super().__init__(settings, backoff=0.05)
        self.pages, self.fails_at = 0, fails_at

    def get_json(self, url: str, **options: Any) -> Any:
        if url.endswith("getLatestCommit"):
            raise Refused("no", status=501, body=b'{"error": "MethodNotImplemented"}')
        self.pages += url.endswith("listRecords")
        if self.pages == self.fails_at:
            raise NetworkError("The connection broke.")
        return super().get_json(url, **options)


def test_posts_are_listed_where_there_is_no_repository(pds: LocalPds) -> None:
    """In pages that can be committed one by one; what was edited or deleted is seen when all is listed again."""
    lena = pds.account("lena")
    uris = lena.create([post(f"Number {number}") for number in range(250)])
    chosen = CollectSettings(**pds.settings)

    def listed(cursor: str | None, fails_at: int = -1, **settings: Any) -> tuple[list[Page], BlueskySource, int]:
        transport = NoRepositories(chosen.model_copy(update=settings), fails_at)
        reader, pages = BlueskySource(chosen.model_copy(update=settings), transport), list[Page]()
        try:
            for page in reader.posts("lena.test", cursor):
                pages.append(page)
        except NetworkError:
            assert fails_at > 0
        return pages, reader, transport.pages

    def texts(pages: list[Page]) -> list[str]:
        return [found.text for page in pages for found in page.posts]

    pages, _, _ = listed(None, fails_at=3)
    assert texts(pages) == [f"Number {number}" for number in range(200)]
    rest, reader, asked = listed(pages[-1].cursor)
    assert (texts(rest), asked) == ([f"Number {number}" for number in range(200, 250)], 2)
    assert reader.notes() == [
        "Posts of lena.test came one by one, without a signature: its server does not give its repository."
    ]

    new = lena.create([post("The newest")])
    lena.delete(uris[10])
    lena.put("app.bsky.feed.post", uris[20].rpartition("/")[2], post("Number 20, edited"))
    later, _, asked = listed(rest[-1].cursor)
    assert (texts(later), asked) == (["The newest"], 2)
    again, _, _ = listed(later[-1].cursor, bluesky_whole_hours=0)
    assert deleted(uris + new, again[-1].complete) == [uris[10]]
    assert len(texts(again)) == 250
    assert "Number 20, edited" in texts(again)
    (whole,) = source(pds).posts("lena.test", again[-1].cursor)  # the server was mended
    assert len(whole.posts) == 250


class Chaos:
    """Writes to an account and kills the server, at random, from one seed."""

    def __init__(self, pds: LocalPds, account: LocalAccount, seed: int) -> None:
        self.pds, self.account, self.random = pds, account, random.Random(seed)
        self.uris = account.create([post(f"Before {number}") for number in range(400)])
        self.writes = self.kills = 0
        self.over = threading.Event()

    def write(self) -> None:
        """Create, edit and delete until it is over; what was not acknowledged may have happened or not."""
        while not self.over.is_set():
            try:
                choice = self.random.random()
                if choice < 0.6 or len(self.uris) < 50:
                    number = self.random.randint(1, 8)
                    self.uris += self.account.create([post(f"Post {self.writes} {part}") for part in range(number)])
                elif choice < 0.8:
                    self.account.delete(self.uris.pop(self.random.randrange(len(self.uris))))
                else:
                    key = self.random.choice(self.uris).rpartition("/")[2]
                    self.account.put("app.bsky.feed.post", key, post(f"Edited {self.writes}"))
                self.writes += 1
                time.sleep(self.random.uniform(0, 0.2))
            except httpx.HTTPError:
                time.sleep(0.1)

    def kill_server(self) -> None:
        """SIGKILL the server every few seconds and start it again."""
        while not self.over.wait(self.random.uniform(2.0, 6.0)):
            self.pds.kill()
            self.kills += 1
            time.sleep(self.random.uniform(0, 1.0))
            self.pds.start()


class Archiver:
    """A small collector of the tests, that counts how much is read again."""

    def __init__(self, folder: Path, did: str) -> None:
        self.path, self.did = folder / "archive.db", did
        script = str(Path(__file__).with_name("bluesky_archiver.py"))
        self.command = [sys.executable, script, str(self.path), did]

    def finish(self, settings: CollectSettings) -> tuple[dict[str, str], str]:
        """One run to the end; the texts there are by URI, and what to say of them."""
        archive(self.path, self.did, settings)
        with sqlite3.connect(self.path) as database:
            posts = dict(database.execute("SELECT uri, text FROM posts").fetchall())
            read, fresh = database.execute("SELECT sum(posts), sum(fresh) FROM pages").fetchone()
        return posts, f"{100 * (1 - fresh / max(1, read)):.0f}% refetched"


class Command:
    """`pasquin collect` itself, into a workspace."""

    def __init__(self, folder: Path, did: str) -> None:
        self.workspace, self.did = Workspace.create(folder / "bot"), did
        script = "from pasquin.cli import main; main()"
        where = ["--workspace", str(self.workspace.root)]
        self.command = [sys.executable, "-c", script, "collect", f"bluesky:{did}", *where]

    def finish(self, settings: CollectSettings) -> tuple[dict[str, str], str]:
        """One run to the end; the texts there are by URI, and what to say of them."""
        collect(self.workspace, [f"bluesky:{self.did}"], settings=settings)
        rows = fetch_posts(self.workspace, "SELECT uri, text FROM {posts}")
        shards = f"{self.workspace.posts}/*/*/*.parquet"
        (twice,) = duckdb.sql(f"SELECT count(*) - count(DISTINCT uri) FROM read_parquet('{shards}')").fetchall()[0]
        assert not list(self.workspace.root.rglob("*.tmp"))
        return dict(rows), f"{twice} stored twice"


@pytest.mark.parametrize("seed", range(26, 26 + SOAK_SEEDS))
@pytest.mark.parametrize("kind", [Archiver, Command])
def test_kills_of_both_sides_lose_and_repeat_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: type[Archiver] | type[Command], seed: int
) -> None:
    """SIGKILL of server and collector at random: what is kept ends as an uninterrupted run has it."""
    with local_pds(tmp_path) as pds:
        account = pds.account("busybody")
        chaos = Chaos(pds, account, seed)
        (tmp_path / "calm").mkdir()
        began = time.monotonic()
        assert not _run_and_perhaps_kill(pds, kind(tmp_path / "calm", account.did).command, 250.0)
        whole = time.monotonic() - began
        collector = kind(tmp_path, account.did)
        threads = [threading.Thread(target=chaos.write), threading.Thread(target=chaos.kill_server)]
        for thread in threads:
            thread.start()
        runs = killed = 0
        until = time.monotonic() + SOAK_SECONDS
        draws = random.Random(seed)
        try:
            while time.monotonic() < until or not (0 < killed < runs and chaos.kills):
                was_killed = _run_and_perhaps_kill(pds, collector.command, whole * draws.uniform(0.3, 1.3))
                killed += was_killed
                runs += 1
                whole *= 1.05 if was_killed else 0.8  # about one in five ends, however busy the machine is
        finally:
            chaos.over.set()
            for thread in threads:
                thread.join()
        settings = CollectSettings(**pds.settings, bluesky_whole_hours=0)
        found, said = collector.finish(settings)
        (tmp_path / "uninterrupted").mkdir()
        uninterrupted, _ = kind(tmp_path / "uninterrupted", account.did).finish(settings)
        truth = {uri: record["text"] for uri, record in account.listed().items()}
    missing, extra = len(truth.keys() - found.keys()), len(found.keys() - truth.keys())
    with capsys.disabled():
        print(
            f"\n{kind.__name__}, seed {seed}: {chaos.writes} writes, {chaos.kills} kills of the server; {runs} runs, "
            f"{killed} of them killed; {len(truth)} posts, {missing} missing, {extra} too many, {said}"
        )
    assert found == uninterrupted
    assert found == truth


def _run_and_perhaps_kill(pds: LocalPds, command: list[str], seconds: float) -> bool:
    """One run of the collector, killed after `seconds` unless it ends before; whether it was."""
    environment = {**os.environ, **pds.environment, "PASQUIN_COLLECT_PAGE_POSTS": "50"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    assert process.stderr is not None
    errors = process.stderr.read()
    assert process.returncode == 0 or "could not be reached" in errors, errors
    return False


def _labels(value: str) -> dict[str, Any]:
    return {"$type": "com.atproto.label.defs#selfLabels", "values": [{"val": value}]}


def _cid() -> str:
    return "bafyreidfayvfuwqa7qlnopdjiqrxzs6blmoeu4rujcjtnci5beludirz2a"
