"""Makes docs/images/curate.png, the picture of the curation page, from invented posts.

    python docs/images/make_curate_picture.py

Needs the development environment, the built pages and Chromium.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from base64 import b64encode
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "images" / "curate.png"
sys.path.insert(0, str(ROOT / "tests"))

from invented import make_game  # noqa: E402
from pasquin.workspace import Workspace  # noqa: E402
from test_curation_browser import FLAGS, serving  # noqa: E402

SIZE = {"width": 1180, "height": 690}


def main() -> None:
    """One above the other: a candidate to decide, in light colours, and many at once, in dark ones."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace.create(Path(folder))
        make_game(workspace, generated=300)
        with serving(workspace) as server, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            page = browser.new_page(viewport=SIZE, locale="en-GB")
            page.goto(server.link())
            page.locator(".preview").wait_for()
            for number in range(40):
                page.wait_for_timeout(900 if number < 6 else 60)
                marks = page.locator(".certificate mark").all_inner_texts()
                if number > 5 and max(map(len, marks), default=0) > 10:
                    break
                page.keyboard.press("ra1s"[number % 4])
            page.wait_for_timeout(1500)
            shots = [page.screenshot()]
            page.emulate_media(color_scheme="dark")
            page.keyboard.press("g")
            for place in (1, 4, 6):
                page.locator(".tile").nth(place).click()
            page.mouse.move(5, 5)
            page.evaluate("document.activeElement.blur()")
            page.wait_for_timeout(500)
            shots.append(page.screenshot())
            page.set_viewport_size({"width": SIZE["width"], "height": 2 * SIZE["height"]})
            images = "".join(f'<img src="data:image/png;base64,{b64encode(shot).decode()}">' for shot in shots)
            page.goto("about:blank")
            page.set_content(f"<style>body {{margin: 0; display: grid}}</style>{images}")
            page.screenshot(path=PICTURE)
            browser.close()
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
