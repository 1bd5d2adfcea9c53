"""The curation page in a real browser: keys, undo, edits, no connection, a phone, hostile posts, accessibility."""

from __future__ import annotations

import dataclasses
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
import uvicorn

from invented import add_candidates, make_corpus, make_game, posts
from pasquin.config import CurateSettings
from pasquin.curate.curators import curator_named, make_link
from pasquin.lengths import TARGETS, length_for
from pasquin.server.app import create_app
from pasquin.server.pages import STATIC
from pasquin.store import Store
from pasquin.store.decided import accepted_candidates
from pasquin.store.schema import candidates, decisions
from pasquin.workspace import Workspace

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WEB = Path(__file__).parent.parent / "web"
AXE = WEB / "node_modules" / "axe-core" / "axe.min.js"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
HOSTILE = (
    "<script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "\"'><svg onload=window.hacked=1>",
    "javascript:window.hacked=1",
    "{{constructor.constructor('window.hacked=1')()}} ${window.hacked=1}",
    "</textarea><iframe srcdoc='<script>parent.hacked=1</script>'></iframe>",
    "Right \u202eto left, and Z\u0351\u0351\u0351\u0351\u0351\u0351a\u0351\u0351lgo",
    "W" * 900,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.real,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)"),
    pytest.mark.skipif(not (STATIC / "index.html").exists(), reason="the pages are not built (make web)"),
]


@dataclass(frozen=True)
class Served:
    """A running server and its store."""

    url: str
    store: Store

    def link(self, name: str = "owner") -> str:
        """A link that signs somebody in."""
        return f"{self.url}/curate#sign-in={make_link(self.store, curator_named(self.store, name))}"

    def accepted(self) -> list[str]:
        """What a publisher would find."""
        with self.store.read() as connection:
            return [row["text"] for row in connection.execute(accepted_candidates()).mappings()]

    def rows(self) -> list[tuple[str, str]]:
        """Every row of the decisions."""
        with self.store.read() as connection:
            query = sa.select(decisions.c.candidate, decisions.c.decision).order_by(decisions.c.id)
            return [tuple(row) for row in connection.execute(query)]


@contextmanager
def serving(workspace: Workspace, overlap: int = 10) -> Iterator[Served]:
    """The pages of a workspace on a port of their own, in a thread."""
    listener = socket.create_server(("127.0.0.1", 0))
    app = create_app(workspace, curate_settings=CurateSettings(overlap=overlap))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}", Store.of(workspace))
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    workspace = Workspace.create(tmp_path)
    make_game(workspace, generated=150)
    with serving(workspace) as server:
        yield server


Opener = Callable[..., sync_api.Page]


@pytest.fixture
def open_page(browser: sync_api.Browser) -> Iterator[Opener]:
    """Opens pages; at the end none may have complained (an error in a script, a breach of the content policy)."""
    contexts, complaints = [], []

    def opened(url: str, **options: object) -> sync_api.Page:
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 800}, "locale": "en-GB"} | options))
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append("dialog"), dialog.dismiss()))
        page.on("console", lambda line: complaints.append(line.text) if _serious(line) else None)
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def _serious(line: sync_api.ConsoleMessage) -> bool:
    return line.type == "error" and "Failed to load resource" not in line.text


def shown(page: sync_api.Page) -> str:
    """Id of the candidate on the screen."""
    return page.locator("[data-candidate]").get_attribute("data-candidate")


def text_shown(page: sync_api.Page) -> str:
    return page.locator(".preview .text").inner_text()


def settled(page: sync_api.Page) -> None:
    """Wait until every decision is on the server."""
    until(page, "!Object.keys(localStorage).some((name) => name.startsWith('pasquin-decision:'))")


def until(page: sync_api.Page, condition: str) -> None:
    """Wait for a condition (playwright's own wait needs `eval`, which the page's policy forbids)."""
    for _ in range(300):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never came true: {condition}")


def violations(page: sync_api.Page) -> list[str]:
    """What axe finds against accessibility."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed (npm ci in web/)")
    page.wait_for_timeout(300)
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [f"{item['id']} ({item['impact']}): {[node['html'][:120] for node in item['nodes']]}" for item in found]


def fits(page: sync_api.Page) -> bool:
    """Nothing sticks out to the side."""
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_on_a_slow_machine_keys_pressed_at_once_are_for_what_is_shown(open_page: Opener, served: Served) -> None:
    page = open_page(served.link())
    page.locator(".preview").wait_for()
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 8})
    for number in range(5):
        page.keyboard.press("e")
        page.keyboard.type(f" Indeed, and a raised {number}.")
        page.keyboard.press("Control+Enter")
    settled(page)
    assert [decision for _, decision in served.rows()] == ["edit"] * 5
    for number in range(5):
        assert sum(text.endswith(f" Indeed, and a raised {number}.") for text in served.accepted()) == 1


def test_deciding_by_keys_with_edit_and_undo(open_page: Opener, served: Served) -> None:
    page = open_page(served.link())
    page.locator(".preview").wait_for()
    assert "sign-in" not in page.url, "the token is gone from the address"
    first, kept = shown(page), text_shown(page)
    page.keyboard.press("a")
    second = shown(page)
    assert second != first
    page.keyboard.press("1")
    third = shown(page)
    page.keyboard.press("e")
    page.keyboard.type(" Indeed.")
    assert "Original:" in page.locator(".editor").inner_text()
    page.keyboard.press("Control+Enter")
    fourth = shown(page)
    page.keyboard.press("s")
    page.keyboard.press("ArrowLeft")
    settled(page)
    assert served.rows()[:4] == [
        (first, "accept"),
        (second, "reject"),
        (third, "edit"),
        (fourth, "skip"),
    ]
    texts = served.accepted()
    assert kept in texts
    assert any(text.endswith(" Indeed.") for text in texts)
    for expected in (None, fourth, third, second, first):
        page.keyboard.press("u")
        assert expected is None or shown(page) == expected
    settled(page)
    assert served.accepted() == []
    page.reload()
    page.locator(".preview").wait_for()
    page.keyboard.press("a")
    page.keyboard.press("r")
    settled(page)
    page.reload()
    page.locator(".preview").wait_for()
    page.wait_for_timeout(500)
    page.keyboard.press("u")
    page.keyboard.press("u")
    settled(page)
    assert served.accepted() == [], "undo reaches what was decided before the page was opened"


def test_a_minute_without_connection_loses_nothing(open_page: Opener, served: Served) -> None:
    page = open_page(served.link())
    page.locator(".preview").wait_for()
    page.wait_for_timeout(800)
    page.context.set_offline(True)
    made = []
    for number in range(30):
        made.append((shown(page), "ar"[number % 2]))
        page.keyboard.press("ar"[number % 2])
    undone = shown(page)
    page.keyboard.press("a")
    page.keyboard.press("u")
    assert shown(page) == undone
    page.get_by_text("No connection").wait_for()
    assert served.rows() == []
    rest = []
    while page.locator("[data-candidate]").count():
        rest.append((shown(page), "reject"))
        page.keyboard.press("r")
    page.get_by_role("heading", name="No more without a connection").wait_for()
    page.context.set_offline(False)
    settled(page)
    expected = [(candidate, {"a": "accept", "r": "reject"}[key]) for candidate, key in made]
    assert served.rows() == [*expected, (undone, "accept"), (undone, "undo"), *rest]
    page.get_by_text("No connection").wait_for(state="detached")


def test_an_answer_that_never_arrives_does_not_count_twice(open_page: Opener, served: Served) -> None:
    """The server stores the decision, the connection breaks before the page hears of it, the page sends it again."""
    page = open_page(served.link())
    page.locator(".preview").wait_for()
    broken = []

    def lose(route: sync_api.Route) -> None:
        if len(broken) < 2:
            route.fetch()
            broken.append(1)
            route.abort()
        else:
            route.continue_()

    page.route("**/api/curation/decisions", lose)
    for key in "aarra":
        page.keyboard.press(key)
    settled(page)
    assert len(broken) == 2
    assert len(served.rows()) == 5


def test_decisions_outlive_a_closed_page(open_page: Opener, served: Served) -> None:
    page = open_page(served.link())
    page.locator(".preview").wait_for()
    page.route("**/api/curation/decisions", lambda route: route.abort())
    page.keyboard.press("a")
    page.keyboard.press("a")
    page.wait_for_timeout(200)
    page.close()
    again = page.context.new_page()
    again.goto(f"{served.url}/curate")
    again.locator(".preview").wait_for()
    settled(again)
    assert len(served.accepted()) == 2


def test_many_at_once(open_page: Opener, served: Served) -> None:
    page = open_page(served.link())
    page.locator(".preview").wait_for()
    page.keyboard.press("g")
    page.locator(".tile").nth(47).wait_for()
    page.locator(".tile").nth(2).click()
    page.locator(".tile").nth(5).click()
    page.keyboard.press("a")
    page.keyboard.press("r")
    settled(page)
    assert len(served.accepted()) == 2
    assert len(served.rows()) == 50
    page.keyboard.press("u")
    settled(page)
    assert [decision for _, decision in served.rows()].count("undo") == 48
    for key, heading in (("p", "Which is better?"), ("t", "Together"), ("g", "Pick the good ones")):
        page.keyboard.press(key)
        page.get_by_role("heading", name=heading).wait_for()
    page.keyboard.press("/")
    page.keyboard.type("pigeon")
    page.keyboard.press("Enter")
    until(page, "[...document.querySelectorAll('.tile-text')].every((tile) => /pigeon/i.test(tile.textContent))")
    page.keyboard.press("c")
    page.locator(".preview").wait_for()


def test_what_was_picked_stays_picked_while_the_rest_is_rejected(open_page: Opener, served: Served) -> None:
    page = open_page(served.link())
    page.locator(".preview").wait_for()
    page.keyboard.press("g")
    page.locator(".tile").nth(47).wait_for()
    good = [page.locator(".tile").nth(at).locator(".tile-text").inner_text() for at in (3, 30, 44)]
    for at in (3, 30, 44):
        page.locator(".tile").nth(at).click()
    page.keyboard.press("r")
    settled(page)
    until(page, "document.querySelectorAll('.tile').length > 10")  # the next ones are here, in a new order
    assert page.locator(".tile-picked .tile-text").all_inner_texts() == good
    page.keyboard.press("a")
    settled(page)
    assert sorted(served.accepted()) == sorted(good)
    assert len(served.rows()) == 48


def test_decisions_wait_for_nothing(open_page: Opener, tmp_path: Path) -> None:
    """Faster than anybody reads, and far past what was fetched at first; `benchmarks/curation.py` times it."""
    workspace = Workspace.create(tmp_path)
    make_game(workspace, generated=300)
    with serving(workspace) as server:
        page = open_page(server.link())
        page.locator(".preview").wait_for()
        page.wait_for_timeout(1_000)
        page.evaluate("""async () => {
            const shown = () => document.querySelector('[data-candidate]')?.dataset.candidate;
            for (let number = 0; number < 150; number += 1) {
                const before = shown();
                window.dispatchEvent(new KeyboardEvent('keydown', { key: number % 3 ? 'r' : 'a' }));
                while (shown() === before || !shown()) await new Promise((next) => setTimeout(next, 1));
                await new Promise((next) => setTimeout(next, 12));
            }
        }""")
        settled(page)
        rows = server.rows()
        assert len(rows) == len({candidate for candidate, _ in rows}) == 150, "each once, none twice on the screen"


def test_hostile_posts_and_names_stay_text(open_page: Opener, tmp_path: Path) -> None:
    """Acceptance 18: nothing in texts, names, links, models or reasons is executed or breaks the page."""
    workspace = Workspace.create(tmp_path)
    real = [
        dataclasses.replace(post, text=f"{payload} {post.text}", handle=payload, url="javascript:window.hacked=1")
        for post, payload in zip(posts(len(HOSTILE)), HOSTILE, strict=True)
    ]
    make_corpus(workspace, "village", real)
    store = Store.of(workspace)
    texts = [f"{payload} candidate {number}" for number, payload in enumerate(HOSTILE)]
    add_candidates(store, "village", texts, accounts=HOSTILE, nearest=[post.uri for post in real])
    with store.write() as connection:
        connection.execute(sa.update(candidates).where(candidates.c.position == 0).values(model="<b onclick=x>"))
    with serving(workspace, overlap=100) as server:
        page = open_page(server.link())
        page.locator(".preview").wait_for()
        for _ in HOSTILE:
            assert fits(page)
            page.keyboard.press("e")
            page.keyboard.type("<script>window.hacked=1</script>")
            page.keyboard.press("Control+Enter")
        settled(page)
        other = open_page(server.link("bo"))
        other.locator(".preview").wait_for()
        for _ in HOSTILE:
            other.keyboard.press("1")
        settled(other)
        page.get_by_role("button", name="Many").click()
        page.get_by_label("Show").select_option("all")
        page.locator(".tile").first.wait_for()
        assert fits(page)
        page.get_by_role("button", name="Together").click()
        page.locator(".disagreements li").first.wait_for()
        assert fits(page)
        for each in (page, other):
            assert each.evaluate("window.hacked") is None
            assert each.locator("main script, main iframe, main img, main a[href^=javascript]").count() == 0


def test_a_phone_by_finger(open_page: Opener, served: Served) -> None:
    page = open_page(served.link(), viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page.locator(".preview").wait_for()
    assert fits(page)
    assert violations(page) == []
    first = shown(page)
    for forward in (1, -1):
        box = page.locator(".card-place").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + 80
        touch = {"pointerType": "touch", "pointerId": 1, "isPrimary": True, "bubbles": True}
        for kind, offset in (("pointerdown", 0), ("pointermove", 60), ("pointermove", 140), ("pointerup", 140)):
            page.locator(".preview").dispatch_event(kind, touch | {"clientX": x + forward * offset, "clientY": y})
            page.wait_for_timeout(30)
    settled(page)
    assert [decision for _, decision in served.rows()] == ["accept", "reject"]
    assert served.rows()[0][0] == first
    page.get_by_role("button", name="Undo").click()
    settled(page)
    assert len(served.rows()) == 3


def test_every_view_is_accessible(open_page: Opener, served: Served) -> None:
    page = open_page(served.link())
    page.locator(".preview").wait_for()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert violations(page) == []
        page.keyboard.press("e")
        assert violations(page) == []
        page.keyboard.press("Escape")
        page.keyboard.press("g")
        page.locator(".tile").first.click()
        assert violations(page) == []
        page.get_by_role("button", name="Pairs").click()
        page.locator(".pair-card").first.wait_for()
        assert violations(page) == []
        page.get_by_role("button", name="Together").click()
        page.get_by_text("Kappa is").wait_for()
        assert violations(page) == []
        page.get_by_role("button", name="One by one").click()
    page.keyboard.press("?")
    assert violations(page) == []


def test_who_is_not_signed_in_is_told_how(open_page: Opener, served: Served) -> None:
    page = open_page(f"{served.url}/curate")
    page.get_by_text("pasquin curate").wait_for()
    assert violations(page) == []
    page.goto(f"{served.url}/curate#sign-in=made-up")
    page.reload()
    page.get_by_role("heading", name="Sign in to curate").wait_for()
    link = served.link()
    page.goto("about:blank")
    page.goto(link)
    page.locator(".preview").wait_for()
    page.context.clear_cookies()
    page.keyboard.press("a")
    page.get_by_text("no longer signed in").or_(page.get_by_text("1 on their way")).first.wait_for()


LENGTHS = (
    "",
    "plain words",
    "Ünïcödé and naïve",
    "日本語のテキスト",
    "family 👨‍👩‍👧‍👦 astronaut 👩🏽‍🚀 flag 🇮🇹 keycap 1️⃣ heart ❤️ and ❤",
    "see https://example.com/a/very/long/path?with=query#and-more. Then go",
    "bare example.com and not.a.known.zzz and file.txt",
    "mail someone@example.com or @someone@example.social today",
    "e\u0301 composed and decomposed",
    "“curly” — dashes … and ‘quotes’",
    "two\nlines\r\nof it",
    "العربية with नमस्ते and ไทย",
    "a" * 281,
    "#tag @user $CASH (https://example.org/x) [www.example.org]",
)


def test_the_page_counts_lengths_as_the_server_does(open_page: Opener, served: Served) -> None:
    page = open_page(served.link())
    page.locator(".preview").wait_for()
    page.keyboard.press("e")
    for text in LENGTHS:
        page.locator("textarea").fill(text)
        typed = page.locator("textarea").input_value()
        counted = page.locator(".counter").all_inner_texts()
        expected = [f"{length_for(target, typed).length}/" for target in TARGETS]
        assert [count.split()[1][: len(want)] for count, want in zip(counted, expected, strict=True)] == expected, text
