"""Hook of the docs site (mkdocs.yml): pages that live elsewhere in the repository, and no page forgotten.

CHANGELOG.md, CONTRIBUTING.md and benchmarks/README.md belong to readers of the repository; the site shows them, too,
with their links turned towards it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
ELSEWHERE = {
    "changes.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "benchmarks.md": "benchmarks/README.md",
}


def on_files(files: Files, *, config: Any) -> Files:
    """Add the pages that are not below `docs/`, and the pages' icon."""
    for page, source in ELSEWHERE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=towards_the_site(text)))
    icon = ROOT / "web" / "public" / "favicon.svg"
    files.append(File.generated(config, "images/favicon.svg", abs_src_path=str(icon)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Turn a page's links to files outside `docs/` towards the site."""
    return towards_the_site(markdown)


def towards_the_site(text: str) -> str:
    """Markdown whose links lead to pages of the site."""
    for page, source in ELSEWHERE.items():
        text = re.sub(rf"\]\((\.\./)?{re.escape(source)}", f"]({page}", text)
    return re.sub(r"\]\((?:\.\./)?docs/", "](", text)
