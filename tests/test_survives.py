"""What collecting survives, end to end, where no other module has it: odd texts in every format, a line of 1 GB, and
secrets that must not come out of a program that logs everything and crashes. The table is in docs/survives.md.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz_readers import targets
from hostile_server import give, hostile_server
from pasquin.collect import collect
from pasquin.errors import InputError
from pasquin.workspace import Workspace
from pasquin.workspace.shards import fetch_posts
from test_networks_files import lines, tweet

ROOT = Path(__file__).parents[1]


def test_the_table_names_tests_that_exist() -> None:
    table = (ROOT / "docs" / "survives.md").read_text()
    named = re.findall(r"`(test_\w+)\.(test_\w+)`", table)
    assert len(named) >= 20
    for module, test in named:
        assert f"def {test}(" in (ROOT / "tests" / f"{module}.py").read_text(), (module, test)


ODD = {
    "nothing": b"",
    "zeros": b"\0" * 5_000,
    "not utf-8": b"\xff\xfe\xfa\xc3\x28" * 100,
    "half a character": "é".encode()[:1],
    "utf-16 cut in two": '{"a"'.encode("utf-16")[:-1],
    "a gzip of nothing": gzip.compress(b""),
    "no end": b"[" * 100_000,
    "one long word": b"x" * 300_000,
}


@pytest.mark.parametrize("document", ODD.values(), ids=ODD)
@pytest.mark.parametrize("name", [name for name, _, _ in targets(Path())])
def test_no_document_is_too_odd_for_a_reader(name: str, document: bytes, tmp_path: Path) -> None:
    run = next(run for known, run, _ in targets(tmp_path) if known == name)
    try:
        run(document)
    except InputError as exc:
        assert len(str(exc)) < 1_000  # noqa: PT017 - a sentence, not the document


def test_odd_characters_are_kept_or_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bidirectional marks, joiners and private characters are text; half a character is none."""
    monkeypatch.chdir(tmp_path)
    workspace = Workspace.create(tmp_path / "bot")
    kept = ["\u202egnol\u202c", "\u2066a\u2069\u200d\u200b", "\ufdd0\ue000\U0010ffff", "a\u0301\u0301\u0301", "\ufeffb"]
    rows = [tweet(10**18 + number, text) for number, text in enumerate(kept)]
    half = json.dumps(tweet(10**18 + 99, "HALF")).replace("HALF", "\\ud83d and \\udc00").encode() + b"\n"
    Path("odd.jsonl").write_bytes(lines(*rows) + half)
    result = collect(workspace, ["twint:odd.jsonl"])
    assert (result["new"], result["quarantined"]) == (len(kept), 1)
    found = {text for (text,) in fetch_posts(workspace, "SELECT text FROM {posts}")}
    assert found == set(kept)


@pytest.mark.real
def test_a_line_of_a_gigabyte_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "huge.jsonl.gz"
    piece = b"x" * 2**24
    with gzip.open(path, "wb", compresslevel=1) as handle:
        handle.write(lines(tweet(1, "before")) + b'{"tweet": "')
        for _ in range(64):
            handle.write(piece)
        handle.write(b'"}\n' + lines(tweet(2, "after")))
    script = (
        "import resource, sys; from pasquin.config import CollectSettings; from pasquin.networks import files;"
        "pages = files.twint(CollectSettings()).posts(sys.argv[1], None);"
        "found = [post.text for page in pages for post in page.posts];"
        "assert found == ['before', 'after'], found;"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 500, f"{done.stdout} MB"


def test_no_secret_comes_out_of_a_program_that_logs_everything_and_crashes(tmp_path: Path) -> None:
    """Tokens, proxy passwords and keys in addresses; errors, debug logs, a traceback, and all files that are kept."""
    workspace = Workspace.create(tmp_path / "bot")
    script = (
        "import logging, sys; logging.basicConfig(level=logging.DEBUG);"
        "from pasquin.cli import main; from pasquin.networks.transport import Transport;\n"
        "def crash(*_, **__): raise ValueError('crashed on purpose')\n"
        "if sys.argv.pop(1) == 'crash': Transport._sent = crash\n"
        "main()"
    )
    with hostile_server() as server:
        server.answers["/none"] = lambda request, _: give(request, b"<html>no feed</html>")
        item = "<item><guid>1</guid><description>hello</description></item>"
        rss = f'<rss version="2.0"><channel><title>t</title>{item}</channel></rss>'
        server.answers["/feed"] = lambda request, _: give(request, rss.encode())
        server.answers["/2/users/by/username/ada"] = lambda request, _: give(request, b"{}", 401)
        host = server.host
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PASQUIN")},
            "PASQUIN_X_TOKEN": "canary-token",
            "PASQUIN_COLLECT_X_API": server.url(""),
            f"PASQUIN_MASTODON_TOKEN_{re.sub('[^A-Z0-9]', '_', host.upper())}": "canary-mastodon",
            "AWS_SECRET_ACCESS_KEY": "canary-aws",
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
        }
        feeds = [f"feed:{server.url(f'/{name}?key=canary-key')}" for name in ("feed", "none")]
        sources = [*feeds, "x:@ada", f"mastodon:http://{host}/@ada"]
        said = ""
        for kind, proxies in (("calm", ()), ("calm", ("http://ann:canary-proxy@127.0.0.1:9",)), ("crash", ())):
            command = [sys.executable, "-c", script, kind, "collect", *sources, "--max-cost", "1"]
            command += ["--workspace", str(workspace.root), "--allow-private", host]
            limits = {"PASQUIN_COLLECT_PROXIES": " ".join(proxies), "PASQUIN_COLLECT_MAX_WAIT_SECONDS": "1"}
            done = subprocess.run(command, env=environment | limits, capture_output=True, text=True, timeout=250)
            assert ("crashed on purpose" in done.stderr) == (kind == "crash")
            said += done.stdout + done.stderr
        tokens = [asked.headers.get("Authorization", "") for asked in server.asked]
    assert "Bearer canary-token" in tokens  # they were sent to whom they belong
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert (len(said) > 1_000, len(kept) > 3) == (True, True)
    assert "canary" not in said
    assert not any(b"canary" in path.read_bytes() or "canary" in path.name for path in kept)
