"""The game's page in a real browser: playing by mouse, keys and finger; hostile posts; a server that goes away."""

from __future__ import annotations

import dataclasses
import functools
import http.server
import json
import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
import uvicorn

from invented import HANDLES, add_candidates, candidate_rows, make_corpus, make_game, posts, texts
from pasquin.config import PlaySettings
from pasquin.errors import UsageError
from pasquin.play.static_site import PACK
from pasquin.server.app import create_app
from pasquin.server.export import export_game
from pasquin.server.pages import STATIC
from pasquin.store import Store
from pasquin.store.schema import candidates, metadata
from pasquin.workspace import Workspace

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE = Path(__file__).parent.parent / "web" / "node_modules" / "axe-core" / "axe.min.js"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

SETTINGS = PlaySettings(attention_every=0, player_rate=1_000)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.real,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)"),
    pytest.mark.skipif(not (STATIC / "index.html").exists(), reason="the pages are not built (make web)"),
]


@contextmanager
def serving(workspace: Workspace, port: int = 0) -> Iterator[str]:
    """The game of a workspace on a port of its own, in a thread."""
    listener = socket.create_server(("127.0.0.1", port))
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(workspace, settings=SETTINGS), log_level="error", lifespan="on", timeout_graceful_shutdown=1
        )
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers of these tests notice new candidates at once."""
    monkeypatch.setattr("pasquin.server.app._REFRESH_SECONDS", 0.2)


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def village(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    workspace = Workspace.create(tmp_path_factory.mktemp("village"))
    make_game(workspace)
    with serving(workspace) as url:
        yield url


@pytest.fixture
def open_page(browser: sync_api.Browser) -> Iterator[Callable[..., sync_api.Page]]:
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


def start(page: sync_api.Page) -> None:
    page.get_by_role("button", name="Start playing").click()
    card(page).wait_for()


def card(page: sync_api.Page) -> sync_api.Locator:
    """The text of the masked card, once it is there."""
    return page.locator(".card-front:not([aria-busy=true]) .text")


def outcome(page: sync_api.Page) -> sync_api.Locator:
    return page.locator(".verdict")


def next_card(page: sync_api.Page) -> None:
    page.get_by_role("button", name="Next").click()
    outcome(page).wait_for(state="detached")
    card(page).wait_for()


def reveal_of(page: sync_api.Page, origin: str) -> None:
    """Play until a card of `origin` has just been revealed."""
    for _ in range(60):
        page.keyboard.press("h")
        outcome(page).wait_for()
        if page.locator(f".card-{origin}").count():
            return
        next_card(page)
    raise AssertionError(f"no {origin} card in 60")


def fits(page: sync_api.Page) -> bool:
    """Nothing sticks out to the side."""
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def violations(page: sync_api.Page) -> list[str]:
    """What axe finds against accessibility."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed (npm ci in web/)")
    page.wait_for_timeout(600)  # axe must not measure colours in the middle of the card's turn
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [f"{item['id']} ({item['impact']}): {[node['html'][:120] for node in item['nodes']]}" for item in found]


def test_a_round_with_the_mouse_and_the_keyboard(open_page: Callable[..., sync_api.Page], village: str) -> None:
    page = open_page(village)
    answers: list[dict] = []
    page.on("response", lambda response: answers.append(response.json()) if "/round" in response.url else None)
    start(page)
    page.get_by_role("button", name="Human").click()
    outcome(page).wait_for()
    said = re.match(r"(Right|Wrong)\. (A person wrote this|The AI made this up)\.", outcome(page).inner_text())
    assert said
    assert page.get_by_role("status").inner_text() == said[0]
    assert "of 1 right" in page.locator(".score").inner_text()
    page.keyboard.press("Enter")
    outcome(page).wait_for(state="detached")
    for key, forward in (("a", "Enter"), ("ArrowLeft", "Space"), ("ArrowRight", "Enter"), ("h", "Enter")):
        card(page).wait_for()
        page.keyboard.press(key)
        outcome(page).wait_for()
        page.keyboard.press(forward)
        outcome(page).wait_for(state="detached")
    assert "of 5 right" in page.locator(".score").inner_text()
    assert all(set(answer["trial"]) == {"id", "category", "text", "check"} for answer in answers)


def test_the_reveal_shows_where_a_card_comes_from(open_page: Callable[..., sync_api.Page], village: str) -> None:
    page = open_page(village)
    start(page)
    assert page.get_by_text("See the post").count() == 0
    reveal_of(page, "human")
    back = page.locator(".card-back")
    assert re.search(r"\d{4}", back.locator("time").inner_text())
    assert back.get_by_role("link", name="See the post").get_attribute("href").startswith("https://posts.invalid/")
    next_card(page)
    reveal_of(page, "model")
    assert "in the manner of" in page.locator(".card-back").inner_text()
    assert "nearest real post" in page.locator(".nearest").inner_text()


def test_a_reload_keeps_the_card_and_the_score(open_page: Callable[..., sync_api.Page], village: str) -> None:
    page = open_page(village)
    start(page)
    page.keyboard.press("h")
    next_card(page)
    text = card(page).inner_text()
    page.reload()
    assert card(page).inner_text() == text
    assert "of 1 right" in page.locator(".score").inner_text()


def test_swiping_on_a_phone(open_page: Callable[..., sync_api.Page], village: str) -> None:
    page = open_page(village, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    start(page)
    assert fits(page)
    client = page.context.new_cdp_session(page)
    box = page.locator(".card-front").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def drag(to: float) -> None:
        client.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
        for step in range(1, 9):
            point = {"x": x + (to - x) * step / 8, "y": y}
            client.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})

    drag(x - 30)
    assert page.locator(".lean-human").count() == 1
    client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert outcome(page).count() == 0
    with page.expect_request("**/api/game/guess") as sent:
        drag(x + 140)
        client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert json.loads(sent.value.post_data)["guess"] == "model"
    outcome(page).wait_for()
    assert fits(page)


def test_choosing_another_category(open_page: Callable[..., sync_api.Page], village: str) -> None:
    page = open_page(village)
    start(page)
    page.get_by_role("button", name="Category: village").click()
    page.get_by_role("radio", name="botanist_bo").check()
    page.get_by_role("button", name="Play", exact=True).click()
    page.get_by_role("button", name="Category: botanist_bo").wait_for()
    with page.expect_response("**/api/game/guess"):
        card(page).wait_for()
        page.keyboard.press("a")
    page.reload()
    page.get_by_role("button", name="Category: botanist_bo").wait_for()


def test_erasing_leads_back_to_the_first_screen(open_page: Callable[..., sync_api.Page], village: str) -> None:
    page = open_page(village)
    start(page)
    page.keyboard.press("h")
    outcome(page).wait_for()
    refused: list[str] = []
    page.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
    page.get_by_role("button", name="About this game").click()
    page.get_by_role("button", name="Erase my data").click()
    page.get_by_role("button", name="Yes, erase everything").click()
    page.get_by_role("button", name="Start playing").wait_for()
    assert page.context.cookies() == []
    assert refused == []


def test_many_accounts_leave_the_start_in_sight(open_page: Callable[..., sync_api.Page], tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path)
    crowd = [f"person_{number}" for number in range(20)]
    make_corpus(workspace, "crowd", posts(640, crowd))
    store = Store.of(workspace)
    add_candidates(store, "crowd", texts(160, start=640), accounts=crowd)
    store.close()
    with serving(workspace) as url:
        page = open_page(url)
        button = page.get_by_role("button", name="Start playing")
        box = button.bounding_box()
        assert box["y"] + box["height"] <= 800
        assert page.get_by_role("radio").count() == 21
        page.set_viewport_size({"width": 375, "height": 720})
        button.scroll_into_view_if_needed()
        start(page)
        assert page.evaluate("window.scrollY") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barrier_that_axe_knows_of(open_page: Callable[..., sync_api.Page], village: str, scheme: str) -> None:
    page = open_page(village, color_scheme=scheme, bypass_csp=True)
    page.get_by_role("button", name="Start playing").wait_for()
    found = {"start": violations(page)}
    start(page)
    found["card"] = violations(page)
    for origin in ("human", "model"):
        reveal_of(page, origin)
        found[origin] = violations(page)
        next_card(page)
    page.get_by_role("button", name="About this game").click()
    found["about"] = violations(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Category: village").click()
    found["categories"] = violations(page)
    page.keyboard.press("Escape")
    for mode in ("Side by side", "Daily ten", "Endless"):
        page.get_by_role("button", name=mode).click()
        card(page).first.wait_for()
        page.keyboard.press("ArrowLeft")
        outcome(page).wait_for()
        found[mode] = violations(page)
    page.get_by_role("button", name="Boards").click()
    page.get_by_role("heading", name="Ranked").wait_for()
    found["boards"] = violations(page)
    assert {screen: problems for screen, problems in found.items() if problems} == {}


def test_reduced_motion_is_respected(open_page: Callable[..., sync_api.Page], village: str) -> None:
    page = open_page(village, reduced_motion="reduce")
    start(page)
    assert page.locator(".card-turn").evaluate("card => getComputedStyle(card).transitionDuration") == "0s"


HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>",
    '"><svg onload=alert(3)><iframe srcdoc="<script>alert(4)</script>">',
    "{{constructor.constructor('alert(5)')()}} ${alert(6)} javascript:alert(7)",
    "W" * 5_000,
    "a" + "\u0301\u0489\u033f" * 300 + " zalgo",
    "\u202eright to left\u202c \u2066isolated \u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd",
    "line\n" * 120,
    "&lt;b&gt;entities&lt;/b&gt; <b onmouseover=alert(8)>bold</b> <style>*{display:none}</style>",
    "\U0001f469\u200d\U0001f469\u200d\U0001f466" * 80,
    "<base href=https://evil.invalid><meta http-equiv=refresh content=0;url=https://evil.invalid>",
)


def test_hostile_posts_and_names_do_nothing_and_break_nothing(
    open_page: Callable[..., sync_api.Page], tmp_path: Path
) -> None:
    handles = ('<img src=x onerror=alert("name")>', "\u202eevil\u0301\u0301\u0301" + "w" * 200)
    corpus = [
        dataclasses.replace(
            post, text=f"{HOSTILE[at % len(HOSTILE)]} {post.text}", url="javascript:alert(9)" if at % 2 else post.url
        )
        for at, post in enumerate(posts(80, handles=handles))
    ]
    workspace = Workspace.create(tmp_path)
    make_corpus(workspace, "hostile", corpus)
    store = Store.of(workspace)
    written = [f"{text} {own}" for text, own in zip(HOSTILE * 4, texts(4 * len(HOSTILE), start=1_000), strict=True)]
    add_candidates(store, "hostile", written, accounts=handles, nearest=[post.uri for post in corpus[:20]])
    store.close()
    with serving(workspace) as url:
        page = open_page(url, viewport={"width": 360, "height": 740})
        assert fits(page)
        page.get_by_role("radio").first.check()
        start(page)
        seen = 0
        for _ in range(30):
            assert fits(page)
            page.keyboard.press("a")
            outcome(page).wait_for()
            assert fits(page)
            assert page.locator("a[href^=javascript]").count() == 0
            assert page.locator("main script, main img, main iframe, main style, main base").count() == 0
            seen += 1
            page.keyboard.press("Enter")
            outcome(page).wait_for(state="detached")
            page.locator(".card-front:not([aria-busy=true]) .text, .notice").first.wait_for()
            if page.locator(".notice").count():
                break
        assert seen >= 6, "cards nearly alike are shown once: how many there are depends on the draw"
        assert page.url.startswith(url)


def test_a_guess_is_kept_while_the_server_is_away(open_page: Callable[..., sync_api.Page], tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path)
    make_game(workspace)
    with serving(workspace) as url:
        page = open_page(url)
        start(page)
        card(page).wait_for()
    page.keyboard.press("h")
    page.get_by_text("Your guess (human) is kept").wait_for()
    with serving(workspace, port=int(url.rsplit(":", 1)[1])):
        outcome(page).wait_for()
    store = Store.of(workspace)
    with store.read() as connection:
        rows = connection.execute(metadata.tables["guesses"].select()).all()
    store.close()
    assert len(rows) == 1


def test_a_server_that_is_down_or_slow_is_explained(open_page: Callable[..., sync_api.Page], village: str) -> None:
    page = open_page("about:blank")
    page.route("**/api/game", lambda route: route.abort())
    page.goto(village)
    page.get_by_role("heading", name="The game is out of reach").wait_for()
    page.unroute("**/api/game")
    start(page)

    held: list[sync_api.Route] = []
    page.route("**/api/game/round**", lambda route: held.append(route))
    page.keyboard.press("h")
    outcome(page).wait_for()
    page.keyboard.press("Enter")
    page.get_by_text("The server is slow to answer").wait_for()
    held[0].continue_()
    card(page).wait_for()


def test_a_site_without_a_server_plays_and_its_files_do_not_tell(
    open_page: Callable[..., sync_api.Page], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pasquin.play.static_site.ITERATIONS", 1_000)
    workspace = Workspace.create(tmp_path / "workspace")
    make_game(workspace)
    result = export_game(workspace, [], tmp_path / "web" / "game")
    pack = (tmp_path / "web" / "game" / PACK).read_text()
    cards = json.loads(pack)["categories"][0]["cards"]
    assert len(cards) == result["cards"] >= 40
    assert len({len(card["seal"]) for card in cards}) == 1
    for word in (*HANDLES, "posts.invalid", "human", "origin", "likes"):
        assert word not in pack
    with pytest.raises(UsageError, match="not an empty folder"):
        export_game(workspace, [], tmp_path / "web" / "game")

    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path / "web")
    monkeypatch.setattr(handler.func, "log_message", lambda *_: None)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = open_page(f"http://127.0.0.1:{server.server_port}/game/")
        start(page)
        origins = set()
        for _ in range(8):
            page.keyboard.press("h")
            outcome(page).wait_for()
            origins.add("person" in outcome(page).inner_text())
            next_card(page)
        assert origins == {True, False}
        text = card(page).inner_text()
        page.reload()
        assert card(page).inner_text() == text
        assert "of 8 right" in page.locator(".score").inner_text()
        assert page.get_by_role("button", name="Side by side").count() == 0
        server.shutdown()


def test_the_states_before_and_after_the_cards(open_page: Callable[..., sync_api.Page], tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path)
    with serving(workspace) as url:
        page = open_page(url)
        page.get_by_text("pasquin prepare").wait_for()
        make_corpus(workspace, "village", posts(40))
        page.get_by_text("pasquin train village").wait_for()
        store = Store.of(workspace)
        add_candidates(store, "village", texts(20, start=100))
        store.close()
        start(page)
        for _ in range(60):
            page.keyboard.press("a")
            outcome(page).wait_for()
            page.keyboard.press("Enter")
            outcome(page).wait_for(state="detached")
            page.locator(".card-front:not([aria-busy=true]) .text, .notice").first.wait_for()
            if page.locator(".notice").count():
                break
        assert "every card of “village”" in page.locator(".notice").inner_text()
        later = [row | {"generation": "later"} for row in candidate_rows("village", texts(20, start=200))]
        store = Store.of(workspace)
        with store.write() as connection:
            connection.execute(sa.insert(candidates), later)
        store.close()
        card(page).wait_for()  # without being asked for
