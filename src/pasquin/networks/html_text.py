"""HTML of posts (Mastodon, feeds) as the plain text a person would have typed.

Paragraphs and line breaks stay; links come out as their full address where their label is one that was shortened,
else as their label; mentions as `@user@host`; custom emoji as `:shortcode:`; a quoted post's `RE: …` line is left out.
Works on whatever is there, in time linear in its length; nothing raises. No CSS, no scripts, no layout of tables.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

_TAG: Final = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<(?P<close>/?)(?P<name>[A-Za-z][A-Za-z0-9:-]{0,30})"
    r"""(?P<attributes>(?:[^<>"']{1,4000}+|"[^"]{0,4000}+"|'[^']{0,4000}+'){0,64}+)>"""
    r"|<[!?][^<>]{0,4000}+>",
    re.DOTALL,
)
_ATTRIBUTE: Final = re.compile(r"""([A-Za-z][\w:-]{0,40})\s{0,9}=\s{0,9}(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_SPACES: Final = re.compile(r"[ \t\r\n\f]+")
_PARAGRAPHS: Final = frozenset(
    ("p", "blockquote", "pre", "ul", "ol", "dl", "table", "figure", "section", "article", "header", "footer")
) | frozenset(f"h{level}" for level in range(1, 7))
_LINES: Final = frozenset(("div", "li", "tr", "dt", "dd", "hr", "figcaption"))
_DROPPED: Final = frozenset(("script", "style", "template", "iframe", "object", "svg", "math", "head", "title"))
_VOID: Final = frozenset(
    ("br", "img", "hr", "wbr", "input", "meta", "link", "source", "area", "base", "col", "embed", "track")
)
_QUOTED: Final = frozenset(("quote-inline", "reference-link-inline"))
_NONE: Final = frozenset[str]()
_WEB: Final = re.compile(r"https?://", re.IGNORECASE)
_DEPTH: Final = 200
"""Open elements that are kept track of; what is nested deeper is read as if its tags were not there."""


@dataclass(slots=True)
class _Element:
    name: str
    classes: frozenset[str]
    href: str = ""
    begins: int = 0
    """Where in the output its text begins (links)."""
    hidden: bool = False


@dataclass(slots=True)
class _Writer:
    """The text so far, as pieces; spaces fold and breaks pile up to two."""

    pieces: list[str] = field(default_factory=list)
    breaks: int = 0
    space: bool = False
    hidden: int = 0
    """Open elements whose content is left out."""
    exact: int = 0
    """Open elements (`pre`) whose white space counts."""

    def line(self) -> None:
        """A line break the author made."""
        self.breaks, self.space = min(self.breaks + 1, 2), False

    def block(self, breaks: int) -> None:
        """The edge of a block: at least so many line breaks."""
        self.breaks, self.space = max(self.breaks, breaks), False

    def text(self, text: str) -> None:
        """Some text; every run of white space becomes one space, as HTML has it."""
        if self.hidden or not text:
            return
        folded = not self.exact
        if folded:
            text = _SPACES.sub(" ", text)
            if self.breaks or not self.pieces:
                text = text.lstrip(" ")
        if not text:
            return
        if folded and text == " ":
            self.space = True
            return
        if self.breaks:
            if self.pieces:
                self.pieces.append("\n" * self.breaks)
        elif self.space and self.pieces and not text.startswith(" "):
            self.pieces.append(" ")
        elif self.space:
            text = text if self.pieces else text.lstrip(" ")
        self.breaks, self.space = 0, False
        if folded and text.endswith(" "):
            text, self.space = text[:-1], True
        self.pieces.append(text)


def html_text(source: str, mentions: Mapping[str, str] | None = None) -> str:
    """The plain text of `source`.

    `mentions` gives the full name (`@user@host`) of the accounts that addresses in it stand for; a mention of another
    one gets the host of its address.
    """
    writer, stack = _Writer(), list[_Element]()
    position = 0
    for tag in _TAG.finditer(source):
        writer.text(html.unescape(source[position : tag.start()]))
        position = tag.end()
        name = (tag["name"] or "").lower()
        if not name:
            continue
        if tag["close"]:
            _close(writer, stack, name, mentions or {})
        else:
            _open(writer, stack, name, tag["attributes"])
    writer.text(html.unescape(source[position:]))
    while stack:
        _end(writer, stack, mentions or {})
    return "".join(writer.pieces).strip("\n ")


def _open(writer: _Writer, stack: list[_Element], name: str, written: str) -> None:
    attributes = {
        found[1].lower(): html.unescape(found[2] or found[3] or found[4] or "")
        for found in _ATTRIBUTE.finditer(written)
    }
    classes = frozenset(attributes.get("class", "").split())
    if name == "br" and not any(element.hidden for element in stack):
        writer.line()
    elif name == "img" and classes & {"emoji", "custom-emoji", "emojione"}:
        writer.text(attributes.get("alt", ""))
    elif name in _PARAGRAPHS or name in _LINES:
        writer.block(2 if name in _PARAGRAPHS else 1)
        if name == "li":
            writer.text("- ")
    if name in _VOID or written.endswith("/") or len(stack) >= _DEPTH:
        return
    hidden = name in _DROPPED or bool(classes & _QUOTED)
    if name == "a":
        _end_link(writer)
    writer.hidden += hidden
    writer.exact += name == "pre"
    stack.append(_Element(name, classes, attributes.get("href", ""), len(writer.pieces), hidden))


def _attributes(written: str) -> dict[str, str]:
    """The attributes in a tag, with their references resolved."""
    return {
        found[1].lower(): html.unescape(found[2] or found[3] or found[4] or "")
        for found in _ATTRIBUTE.finditer(written)
    }


def _end_link(writer: _Writer) -> None:
    """Put a pending space or break down now, so that it stays outside of the link that follows."""
    if writer.pieces and (writer.breaks or writer.space):
        writer.pieces.append("\n" * writer.breaks or " ")
        writer.breaks, writer.space = 0, False


def _close(writer: _Writer, stack: list[_Element], name: str, mentions: Mapping[str, str]) -> None:
    if any(element.name == name for element in stack):
        while _end(writer, stack, mentions) != name:
            continue


def _end(writer: _Writer, stack: list[_Element], mentions: Mapping[str, str]) -> str:
    """End the innermost element."""
    element = stack.pop()
    writer.hidden -= element.hidden
    writer.exact -= element.name == "pre"
    if element.name in _PARAGRAPHS or element.name in _LINES:
        writer.block(2 if element.name in _PARAGRAPHS else 1)
    elif element.name == "a" and not element.hidden and len(writer.pieces) > element.begins:
        label = "".join(writer.pieces[element.begins :])
        del writer.pieces[element.begins :]
        writer.pieces.append(_link(label, element, mentions))
    return element.name


def _link(label: str, link: _Element, mentions: Mapping[str, str]) -> str:
    if "hashtag" in link.classes or label.startswith("#"):
        return label
    if "mention" in link.classes or (label.startswith("@") and link.href in mentions):
        return mentions.get(link.href) or _with_host(label, link.href)
    if not _WEB.match(link.href) or len(link.href) > 4000:
        return label
    shown = _bare(label).rstrip("…").removesuffix("...")
    return link.href if shown and _bare(link.href).startswith(shown) and ("." in shown or "/" in shown) else label


def _bare(address: str) -> str:
    return _WEB.sub("", address.strip()).removeprefix("www.")


def _with_host(label: str, href: str) -> str:
    """A mention with the host of the account's address: `@user` as `@user@host`."""
    if not re.fullmatch(r"@[\w.-]+", label):
        return label
    try:
        host = urlsplit(href).hostname
    except ValueError:
        host = None
    return f"{label}@{host}" if host else label
