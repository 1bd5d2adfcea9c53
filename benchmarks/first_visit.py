"""How long a stranger waits for the game's page: from nothing to a start button that works, on slow lines.

    python benchmarks/first_visit.py [--quick]

Headless Chromium (needs `chromium` and playwright), a new profile for each load, its line and processor slowed by its
own means; the server runs on the same machine. A button works when it is on the page, its scripts have run, and the
browser would take a click. Then the same page once more in the same profile, until the first card can be guessed. The
peer is a page that is nothing but a button, on the same line: no page can be there sooner. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from invented import make_game
from pasquin.workspace import Workspace

LINES = {
    "20 Mbit/s, 20 ms, processor not slowed": (20.0, 20, 1),
    "9 Mbit/s, 60 ms": (9.0, 60, 4),
    "1.6 Mbit/s, 150 ms": (1.6, 150, 4),
}
"""Megabits a second, milliseconds until an answer begins, and how many times slower the processor is made."""
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
_START, _GUESS = ".start button.primary", ".choice-human"
_WATCH = """
(wanted => {
  const look = () => {
    const found = document.querySelector(wanted);
    if (!found || found.disabled || found.ariaDisabled === 'true') { return false; }
    setTimeout(() => { window.__there ??= performance.now(); });
    return true;
  };
  const watcher = new MutationObserver(() => look() && watcher.disconnect());
  watcher.observe(document, { subtree: true, childList: true, attributes: true });
})(%s)
"""


def main() -> None:
    """Measure, print a table for people, then one JSON object."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer loads")
    loads = 3 if parser.parse_args().quick else 9
    figures: dict[str, dict[str, float]] = {}
    print(f"{'seconds (median)':40}{'first visit':>14}{'back again':>14}{'only a button':>16}")
    with game() as url, bare() as peer, sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
        for name, line in LINES.items():
            visits = [visit(browser, url, line) for _ in range(loads)]
            alone = [visit(browser, peer, line, again=False) for _ in range(loads)]
            first, again, least = (
                statistics.median(values) for values in (*zip(*visits, strict=True), [one for one, _ in alone])
            )
            figures[name] = {"first": round(first, 3), "again": round(again, 3), "only_a_button": round(least, 3)}
            print(f"{name:40}{first:14.2f}{again:14.2f}{least:16.2f}", flush=True)
        browser.close()
    print(json.dumps(figures))


def visit(browser: Any, url: str, line: tuple[float, int, int], *, again: bool = True) -> tuple[float, float]:
    """Seconds to a start button on the first visit, and to a card that can be guessed on the next."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, locale="en-GB")
    try:
        if not again:
            return _loaded(context, url, line, "button"), 0.0
        return _loaded(context, url, line, _START), _loaded(context, url, line, _GUESS)
    finally:
        context.close()


def _loaded(context: Any, url: str, line: tuple[float, int, int], wanted: str) -> float:
    megabits, latency, slower = line
    page = context.new_page()
    devtools = context.new_cdp_session(page)
    rate = megabits * 1e6 / 8
    devtools.send("Network.enable")
    devtools.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": latency, "downloadThroughput": rate, "uploadThroughput": rate},
    )
    devtools.send("Emulation.setCPUThrottlingRate", {"rate": slower})
    page.add_init_script(_WATCH % json.dumps(wanted))
    page.goto(url, wait_until="commit")
    while (there := page.evaluate("window.__there ?? null")) is None:
        page.wait_for_timeout(200)
    page.locator(wanted).first.click()
    page.wait_for_timeout(500)
    page.close()
    return float(there) / 1000


@contextmanager
def game() -> Iterator[str]:
    """The game of a workspace with invented posts, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        make_game(Workspace.create(Path(folder)))
        command = [str(Path(sys.executable).with_name("pasquin")), "play", "--port", "0", "--json"]
        process = subprocess.Popen([*command, "--workspace", folder], stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()
            process.wait()


class _Bare(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b"<!doctype html><title>One</title><button>One</button>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def bare() -> Iterator[str]:
    """A page that is nothing but a button."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Bare)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


if __name__ == "__main__":
    main()
