"""Draws docs/images/architecture.svg from the import layers in pyproject.toml, those that lint-imports holds us to.

python docs/images/make_architecture_picture.py
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from xml.sax.saxutils import escape

HERE = Path(__file__).parent
PYPROJECT = HERE.parents[1] / "pyproject.toml"
WIDTH, ROW, GAP, EDGE = 960, 46, 14, 24
SAYS = {
    "cli": "parse, call, print",
    "server": "pages, API, endpoint",
    "demo": "the whole path",
    "networks": "a Source, a Publisher",
    "engines": "generate(prompts)",
    "screen": "novel, safe, fitting",
    "store": "what people do",
    "workspace": "posts, corpora, models",
}
STYLE = """
text{font:14px system-ui,sans-serif;fill:#1f1b16}.small{font-size:11px;fill:#5d564b}.box{fill:#fffdf8;stroke:#a8481f}
.stage{fill:#fbe9dd}.arrow{stroke:#5d564b;stroke-width:1.5;fill:none}.ground{fill:#f5efe4}
@media(prefers-color-scheme:dark){.ground{fill:#26221d}.box{fill:#1b1815}.stage{fill:#4a2515}text{fill:#f3ece0}
.small{fill:#bdb3a4}}
"""


def layers() -> list[list[str]]:
    """The layers, highest first, each a list of module names without the package's."""
    told = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    (down,) = [contract for contract in told if contract["type"] == "layers"]
    return [[name.strip().removeprefix("pasquin.") for name in row.split("|")] for row in down["layers"]]


def picture(rows: list[list[str]]) -> str:
    """The SVG: one row a layer, an arrow between rows."""
    height = EDGE * 2 + len(rows) * ROW + (len(rows) - 1) * GAP
    title = "The import layers of Pasquin, highest first: " + "; ".join(", ".join(row) for row in rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{height}" rx="10"/>',
    ]
    for number, row in enumerate(rows):
        top = EDGE + number * (ROW + GAP)
        parts += boxes(row, top)
        if number:
            middle = WIDTH / 2
            parts.append(f'<path class="arrow" d="M{middle} {top - GAP + 1}v{GAP - 4}m-4-4l4 4l4-4"/>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def boxes(row: list[str], top: int) -> list[str]:
    """One layer: its modules side by side, as wide as the picture together."""
    space = 8
    width = (WIDTH - 2 * EDGE - space * (len(row) - 1)) / len(row)
    parts = []
    for number, name in enumerate(row):
        left = EDGE + number * (width + space)
        kind = "box stage" if len(row) > 4 else "box"
        parts.append(f'<rect class="{kind}" x="{left:.1f}" y="{top}" width="{width:.1f}" height="{ROW}" rx="6"/>')
        says = SAYS.get(name)
        middle = left + width / 2
        parts.append(
            f'<text x="{middle:.1f}" y="{top + (20 if says else 28)}" text-anchor="middle">{escape(name)}</text>'
        )
        if says:
            parts.append(
                f'<text class="small" x="{middle:.1f}" y="{top + 36}" text-anchor="middle">{escape(says)}</text>'
            )
    return parts


if __name__ == "__main__":
    (HERE / "architecture.svg").write_text(picture(layers()), encoding="utf-8")
