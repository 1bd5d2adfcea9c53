"""Makes docs/images/game.png, the picture of the game in the README, from invented posts.

    python docs/images/make_game_picture.py

Needs the development environment, the built pages and Chromium.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from base64 import b64encode
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "images" / "game.png"
sys.path.insert(0, str(ROOT / "tests"))

from invented import make_game  # noqa: E402
from pasquin.workspace import Workspace  # noqa: E402
from test_game_browser import FLAGS, card, next_card, outcome, serving, start  # noqa: E402

HALF = {"width": 640, "height": 800}


def main() -> None:
    """Two halves: a card to guess, in light colours, and an AI's text recognised, in dark ones."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace.create(Path(folder))
        make_game(workspace)
        with serving(workspace) as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            halves = [shoot(browser, url, "light", guessed=False), shoot(browser, url, "dark", guessed=True)]
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            images = "".join(f'<img src="data:image/png;base64,{b64encode(half).decode()}">' for half in halves)
            page.set_content(f"<style>body {{margin: 0; display: flex}}</style>{images}")
            page.screenshot(path=PICTURE)
            browser.close()
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1000:.0f} kB")


def shoot(browser: Browser, url: str, scheme: str, *, guessed: bool) -> bytes:
    """One half: a few cards played, then a card still masked, or an AI's text just recognised."""
    page = browser.new_page(viewport=HALF, locale="en-GB", color_scheme=scheme, has_touch=False)
    page.goto(url)
    start(page)
    for number in range(200):
        if not guessed and number >= 6 and len(card(page).inner_text()) > 90:
            break
        page.keyboard.press("a")
        outcome(page).wait_for()
        if guessed and number >= 7 and page.locator(".card-model").count() and page.locator(".nearest").count():
            break
        next_card(page)
    page.mouse.move(5, 5)
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(800)
    return page.screenshot()


if __name__ == "__main__":
    main()
