"""The bots' pages in a real browser: order by mouse and keys, switches, doubts, hostile names, phone, accessibility."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from pasquin.publish import publish, show
from pasquin.store import Store
from pasquin.store.schema import bots, publications
from pasquin.workspace import Workspace
from publish_fakes import compliant_settings, workspace_with
from test_curation_browser import (  # noqa: F401 - fixtures
    HOSTILE,
    Opener,
    Served,
    browser,
    fits,
    open_page,
    pytestmark,
    serving,
    sync_api,
    until,
    violations,
)

TEXTS = [f"The {number}th kettle has opinions about the weather." for number in range(1, 9)]


@contextmanager
def bots_served(folder: Path) -> Iterator[tuple[Workspace, Served]]:
    """A bot that publishes, one in trouble, one that is empty, and one that was taken out of pasquin.toml."""
    file = compliant_settings("file", "out.jsonl", urls=False)
    settings = {
        "kettle": {**file, "schedule": "09:30, 20:15", "time_zone": "Europe/Rome"},
        "doubtful": {**file, "minimum_stock": 5, "paused": True},
        "empty": file,
        "zz-old": file,
    }
    texts = {"kettle": TEXTS[:5], "doubtful": TEXTS[5:7], "zz-old": TEXTS[7:]}
    workspace = workspace_with(folder, settings, texts)
    store = Store.of(workspace)
    with store.write() as connection:
        first, doubt = (publications.c.text == TEXTS[0], publications.c.text == TEXTS[5])
        late = {"due_at": datetime.now(UTC) - timedelta(minutes=5)}
        connection.execute(sa.update(publications).where(first).values(late))
        unknown = {"state": "unknown", "reason": "The answer was lost.", "attempted_at": datetime.now(UTC)}
        connection.execute(sa.update(publications).where(doubt).values(unknown))
        failed = {"state": "failed", "reason": "It has 301 characters; 300 are taken."}
        connection.execute(sa.update(publications).where(publications.c.text == TEXTS[6]).values(failed))
    store.close()
    publish(workspace, "kettle")
    toml = workspace.toml.read_text()
    workspace.toml.write_text(toml[: toml.index("[bots.zz-old]")])
    with serving(workspace) as served:
        yield workspace, served


def link(served: Served, bot: str = "", name: str = "owner") -> str:
    """A sign-in link that opens the bots' page; the bot is chosen afterwards, as the hash holds the token."""
    return served.link(name).replace("/curate#", "/bots#") + bot


def choose(page: sync_api.Page, bot: str) -> None:
    page.locator(f'.bot-card[href="#{bot}"]').click()
    page.locator("#bot-name", has_text=bot).wait_for()


def waiting(workspace: Workspace, bot: str) -> list[str]:
    return [entry["text"] for entry in show(workspace, bot)[0]["queue"] if entry["state"] == "approved"]


def eventually(page: sync_api.Page, workspace: Workspace, bot: str, expected: list[str]) -> None:
    for _ in range(100):
        if waiting(workspace, bot) == expected:
            return
        page.wait_for_timeout(50)
    assert waiting(workspace, bot) == expected


def test_a_queue_is_ordered_by_keys_and_by_dragging(open_page: Opener, tmp_path: Path) -> None:  # noqa: F811
    with bots_served(tmp_path) as (workspace, served):
        page = open_page(link(served))
        choose(page, "kettle")
        _, one, two, three, four = TEXTS[:5]
        page.locator(".entry-text").nth(3).wait_for()
        assert page.locator(".entry-text").all_inner_texts() == [one, two, three, four]
        page.locator(".handle").nth(2).focus()
        page.keyboard.press("ArrowUp")
        until(
            page,
            "document.activeElement.closest('[data-entry]') === document.querySelector('[data-entry]:nth-child(2)')",
        )
        page.keyboard.press("ArrowUp")
        eventually(page, workspace, "kettle", [three, one, two, four])
        page.keyboard.press("End")
        eventually(page, workspace, "kettle", [one, two, four, three])
        handle, target = page.locator(".handle").nth(3), page.locator(".entry").nth(0)
        begin, end = handle.bounding_box(), target.bounding_box()
        page.mouse.move(begin["x"] + 8, begin["y"] + 8)
        page.mouse.down()
        page.mouse.move(begin["x"] + 8, end["y"] + 30, steps=8)
        page.mouse.move(begin["x"] + 8, end["y"] + 4, steps=4)
        page.mouse.up()
        eventually(page, workspace, "kettle", [three, one, two, four])
        assert page.locator(".entry-text").all_inner_texts() == [three, one, two, four]
        slots = page.locator(".slot").all_inner_texts()
        assert [slot[-5:] for slot in slots] in (["09:30", "20:15"] * 2, ["20:15", "09:30"] * 2), "in the new order"
        page.get_by_role("button", name="Edit").first.click()
        page.locator("textarea").fill("Said better <b>by hand</b>.")
        page.keyboard.press("Control+Enter")
        page.get_by_text("edited by").wait_for()
        page.get_by_role("button", name="Take out").nth(1).click()
        eventually(page, workspace, "kettle", ["Said better <b>by hand</b>.", two, four])


def test_switches_and_doubts(open_page: Opener, tmp_path: Path) -> None:  # noqa: F811
    with bots_served(tmp_path) as (workspace, served):
        page = open_page(link(served))
        page.get_by_role("button", name="Stop all bots").click()
        page.get_by_role("button", name="Stop all", exact=True).click()
        page.get_by_text("All bots are stopped.").wait_for()
        assert publish(workspace, "kettle")["state"] == "stopped"
        page.get_by_role("button", name="Let them go on").click()
        page.get_by_role("button", name="Stop all bots").wait_for()
        choose(page, "doubtful")
        page.get_by_role("button", name="It is there").click()
        page.get_by_label("Its address").fill("https://example.com/1")
        page.get_by_role("button", name="Note as published").click()
        page.get_by_role("heading", name="In doubt").wait_for(state="detached")
        page.get_by_role("button", name="Try again").click()
        eventually(page, workspace, "doubtful", [TEXTS[6]])
        choose(page, "zz-old")
        page.get_by_role("button", name="Release its queue").click()
        page.get_by_role("button", name="Release", exact=True).click()
        eventually(page, workspace, "zz-old", [])
        page.get_by_role("button", name="Published").click()
        page.get_by_text("Nothing yet.").wait_for()
        choose(page, "kettle")
        page.get_by_role("button", name="Published").click()
        page.get_by_text("Receipt").click()
        page.locator("dd", has_text="c0ffee").first.wait_for()
        page.get_by_role("button", name="Disclosure").click()
        page.get_by_role("button", name="Check now").click()
        page.get_by_text("It says what it must.").wait_for()
        page.context.set_offline(True)
        page.get_by_text("No connection.").wait_for(timeout=25_000)
        page.context.set_offline(False)
        page.get_by_text("No connection.").wait_for(state="detached")
        ann = open_page(link(served, name="ann"))
        choose(ann, "kettle")
        assert ann.get_by_role("button", name="Publish what is due").count() == 0
        ann.get_by_role("button", name="Pause").click()
        ann.get_by_text("ann did it on the page").wait_for()
        assert ann.get_by_role("button", name="Resume").count() == 0


def test_hostile_texts_and_names_stay_text_on_the_bots_pages(open_page: Opener, tmp_path: Path) -> None:  # noqa: F811
    """Acceptance 18: texts, accounts, reasons, URIs and curators of every bot, on the page and in public."""
    file = compliant_settings("file", "out.jsonl", parodies=[HOSTILE[0]], maintainer=HOSTILE[1], schedule="12:00")
    texts = [f"{payload} {number}" for number, payload in enumerate(HOSTILE)]
    workspace = workspace_with(tmp_path, {"b": file}, {"b": texts})
    store = Store.of(workspace)
    bad = {"uri": "javascript:window.hacked=1", "url": "javascript:window.hacked=1", "curator": HOSTILE[2]}
    with store.write() as connection:
        ids = connection.execute(sa.select(publications.c.id).order_by(publications.c.place)).scalars().all()
        states = ("approved", "approved", "unknown", "failed", "confirmed", "confirmed", "unknown", "approved")
        for id, state, payload in zip(ids, states, HOSTILE, strict=True):
            seen = {"state": state, "reason": payload, "account": payload, "attempted_at": datetime.now(UTC), **bad}
            published = {"published_at": datetime.now(UTC)} if state == "confirmed" else {}
            connection.execute(sa.update(publications).where(publications.c.id == id).values(**seen, **published))
        checks = [{"name": HOSTILE[0], "holds": False, "found": HOSTILE[1], "do": HOSTILE[2]}]
        stopped = {"state": "stopped", "reason": HOSTILE[1], "checks": checks, "checked_at": datetime.now(UTC)}
        connection.execute(sa.update(bots).values(stopped))
    store.close()
    with serving(workspace) as served:
        page = open_page(link(served), viewport={"width": 390, "height": 844})
        choose(page, "b")
        for view in ("Queue", "Calendar", "Published", "Disclosure"):
            page.get_by_role("button", name=view).first.click()
            page.wait_for_timeout(250)
            for receipt in page.locator("summary").all():
                receipt.click()
            assert fits(page), view
            assert page.evaluate("window.hacked") is None
            assert page.locator("main script, main iframe, main img, a[href^=javascript]").count() == 0
        page.goto(f"{served.url}/bots/b")
        page.locator(".entry").first.wait_for()
        assert fits(page)
        assert page.locator("main script, main iframe, main img, a[href^=javascript]").count() == 0
        page.goto(f"{served.url}/bots/%3Cimg%20src=x%20onerror=window.hacked=1%3E")
        page.get_by_text("There is no such bot here").wait_for()
        assert page.evaluate("window.hacked") is None


def test_every_view_of_the_bots_is_accessible(open_page: Opener, tmp_path: Path) -> None:  # noqa: F811
    with bots_served(tmp_path) as (_, served):
        page = open_page(f"{served.url}/bots")
        page.get_by_role("heading", name="Sign in to see the bots").wait_for()
        assert violations(page) == []
        page.goto("about:blank")
        page.goto(link(served))
        page.locator(".bot-card").first.wait_for()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            choose(page, "doubtful" if scheme == "light" else "kettle")
            page.locator(".entry").first.wait_for()
            assert violations(page) == []
            page.get_by_role("button", name="Calendar").click()
            page.wait_for_timeout(250)
            assert violations(page) == []
        for view in ("Published", "Disclosure"):
            page.get_by_role("button", name=view).click()
            page.wait_for_timeout(250)
            assert violations(page) == [], view
        page.get_by_role("button", name="Stop all bots").click()
        assert violations(page) == []
        phone = open_page(link(served), viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
        phone.locator(".bot-card").first.wait_for()
        assert fits(phone)
        choose(phone, "kettle")
        assert phone.locator(".bot-card").first.is_hidden()
        assert violations(phone) == []
        phone.get_by_role("button", name="Calendar").click()
        phone.wait_for_timeout(200)
        assert fits(phone)
        phone.locator(".back").click()
        phone.locator(".bot-card").first.wait_for()
        public = open_page(f"{served.url}/bots/kettle")
        public.locator(".entry").first.wait_for()
        assert violations(public) == []


def test_a_workspace_without_bots_says_how_to_make_one(open_page: Opener, tmp_path: Path) -> None:  # noqa: F811
    with serving(Workspace.create(tmp_path)) as served:
        page = open_page(link(served))
        page.get_by_text("[bots.mybot]").wait_for()
        assert violations(page) == []


def test_the_only_bot_is_open_at_once(open_page: Opener, tmp_path: Path) -> None:  # noqa: F811
    file = compliant_settings("file", "out.jsonl", urls=False)
    with serving(workspace_with(tmp_path, {"alone": file}, {"alone": TEXTS[:2]})) as served:
        page = open_page(link(served))
        page.locator("#bot-name", has_text="alone").wait_for()
        page.get_by_text(TEXTS[0]).first.wait_for()
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.locator(".bot-card").is_visible()
        assert fits(page)
        assert violations(page) == []
