"""RSS (0.9 to 2.0), Atom and JSON Feed as entries with the fields of a post, whichever of them a document is.

Read with expat from the standard library: what comes before a damage is kept, common faults (bare `&`, HTML's named
entities, control characters) are mended, and documents that declare entities, as bombs do, are refused.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from html.entities import name2codepoint
from typing import Any, Final
from xml.parsers import expat

import orjson

from pasquin.errors import InputError

MAX_ENTRIES: Final = 100_000
_PREFIXES: Final = frozenset(("atom", "atom10", "a10", "a", "rss", "dc", "dcterms", "content"))
"""Namespaces whose elements are fields; those of others (media, itunes …) have the same names for other things."""
_FIELDS: Final = {
    "title": "title",
    "link": "link",
    "guid": "id",
    "id": "id",
    "description": "summary",
    "summary": "summary",
    "encoded": "content",
    "content": "content",
    "pubDate": "published",
    "published": "published",
    "issued": "published",
    "date": "published",
    "updated": "updated",
    "modified": "updated",
    "creator": "author",
    "language": "language",
}
_DECLARED: Final = re.compile(rb"""<\?xml[^>]{0,100}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_PROLOGUE: Final = re.compile(r"\s*<\?xml[^>]{0,200}\?>")
_BARE: Final = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9a-fA-F]{1,6});)(?:([A-Za-z]{2,8}\d{0,2});)?")
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


@dataclass
class Entry:
    """One entry; every field is as the document has it. `content` and `summary` are HTML where `is_html`."""

    values: dict[str, str] = field(default_factory=dict)
    is_html: bool = True

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "").strip()


@dataclass
class Document:
    """A feed: its own values (`title`, `link`, `next`, `language`) and entries; `damage` says why it ended early."""

    values: dict[str, str] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    damage: str | None = None


def parse_feed(raw: bytes) -> Document:
    """The entries of a document. Raises InputError when it is no feed."""
    if raw.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return _json_feed(raw.removeprefix(b"\xef\xbb\xbf"))
    text = _PROLOGUE.sub("", _decoded(raw), count=1).strip().lstrip("\ufeff")
    document = _Parser().parse(text)
    if document.damage is not None:
        mended = _Parser().parse(_CONTROL.sub("", _BARE.sub(_mended, text)))
        document = mended if len(mended.entries) >= len(document.entries) else document
    if not document.values and not document.entries:
        what = "a web page" if re.match(r"<(?:!doctype\s+)?html", text, re.IGNORECASE) else "something else"
        raise InputError(f"It is no feed (RSS, Atom or JSON Feed) but {what}. Look for the feed's own address.")
    return document


def _decoded(raw: bytes) -> str:
    declared = _DECLARED.search(raw[:400])
    names = [declared[1].decode()] if declared else []
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        names = ["utf-16"]
    for name in (*names, "utf-8"):
        try:
            return raw.decode(name)
        except (LookupError, ValueError):
            continue
    return raw.decode("cp1252", "replace")


def _mended(found: re.Match[str]) -> str:
    """What a person meant by an `&` that XML does not allow."""
    code = name2codepoint.get(found[1] or "")
    return chr(code) if code else "&amp;" + found[0][1:]


class _Refused(Exception):  # noqa: N818 - never leaves this module
    """The document is hostile, or longer than any feed."""


class _Parser:
    """Turns the events of one XML document into a `Document`."""

    def __init__(self) -> None:
        self.document = Document()
        self.stack: list[str] = []
        self.entry: Entry | None = None
        self.text: list[str] | None = None
        self.depth = 0
        """How deep the stack was when the field whose text is gathered began."""

    def parse(self, text: str) -> Document:
        """Read as far as the document is whole."""
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.EntityDeclHandler = self._refuse
        try:
            parser.Parse(text.encode("utf-8", "surrogatepass"), True)
        except expat.ExpatError as exc:
            self.document.damage = f"the feed is damaged or cut off ({expat.errors.messages.get(exc.code, exc.code)})"
        except _Refused as exc:
            self.document.damage = str(exc)
        return self.document

    def _refuse(self, *_: object) -> None:
        raise _Refused("the feed declares entities, as bombs do, and was not read further")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self.text is not None and len(self.stack) >= self.depth:  # XHTML within a field
            written = "".join(f' {key}="{html.escape(value)}"' for key, value in attributes.items())
            self.text.append(f"<{name}{written}>")
            self.stack.append(name)
            return
        local = _local(name)
        parent = self.stack[-1] if self.stack else ""
        self.stack.append(local)
        if local in ("item", "entry"):
            self.entry = Entry({"id": attributes["rdf:about"]} if "rdf:about" in attributes else {})
            return
        owner = self._owner(parent)
        if owner is None:
            return
        if local == "link" and "href" in attributes:
            relation = attributes.get("rel", "alternate")
            owner.setdefault({"alternate": "link"}.get(relation, relation), attributes["href"])
        elif local in _FIELDS or (local == "name" and parent == "author"):
            self.text, self.depth = [], len(self.stack)
            if self.entry is not None and local == "content":
                self.entry.is_html = attributes.get("type", "text") != "text"

    def _owner(self, parent: str) -> dict[str, str] | None:
        """Whose field a child of `parent` is."""
        if parent in ("channel", "feed", "RDF") and self.entry is None:
            return self.document.values
        if self.entry is not None and parent in ("item", "entry", "author"):
            return self.entry.values if parent != "author" or self.stack[-3:-2] in (["item"], ["entry"]) else None
        return None

    def _end(self, name: str) -> None:
        inside = self.text is not None and len(self.stack) > self.depth
        local = self.stack.pop() if self.stack else ""
        if inside and self.text is not None:
            self.text.append(f"</{name}>")
            return
        if self.text is not None:
            parent = self.stack[-1] if self.stack else ""
            owner = self.document.values if self.entry is None else self.entry.values
            key = "author" if parent == "author" else _FIELDS.get(local, local)
            owner.setdefault(key, "".join(self.text))
            self.text = None
        elif local in ("item", "entry") and self.entry is not None:
            self.document.entries.append(self.entry)
            self.entry = None
            if len(self.document.entries) >= MAX_ENTRIES:
                raise _Refused(f"the feed has more than {MAX_ENTRIES:,} entries, and was not read further")

    def _characters(self, text: str) -> None:
        if self.text is not None:
            self.text.append(html.escape(text, quote=False) if len(self.stack) > self.depth else text)


def _local(name: str) -> str:
    """An element's name without its namespace's prefix, "" for those of namespaces that are not ours."""
    prefix, colon, local = name.rpartition(":")
    if not colon:
        return name
    return local if prefix in _PREFIXES or local in ("RDF", "item", "channel") else ""


def _json_feed(raw: bytes) -> Document:
    """A JSON Feed (jsonfeed.org, 1 and 1.1)."""
    try:
        feed = orjson.loads(raw)
    except orjson.JSONDecodeError as exc:
        raise InputError(f"It is no feed: it begins like a JSON Feed, but is not JSON ({exc.msg}).") from exc
    if not isinstance(feed.get("items"), list):
        raise InputError("It is JSON, but no JSON Feed: it has no items.")
    names = {"title": "title", "home_page_url": "link", "next_url": "next", "language": "language"}
    document = Document({ours: feed[key] for key, ours in names.items() if isinstance(feed.get(key), str)})
    document.entries = [_json_entry(item) for item in feed["items"][:MAX_ENTRIES] if isinstance(item, dict)]
    return document


def _json_entry(item: dict[str, Any]) -> Entry:
    names = {
        "url": "link",
        "title": "title",
        "summary": "summary",
        "date_published": "published",
        "language": "language",
    }
    values = {ours: item[key] for key, ours in names.items() if isinstance(item.get(key), str)}
    if isinstance(item.get("id"), str | int | float):
        values["id"] = str(item["id"])
    if isinstance(item.get("content_html"), str):
        return Entry({**values, "content": item["content_html"]})
    if isinstance(item.get("content_text"), str):
        return Entry({**values, "content": item["content_text"]}, is_html=False)
    return Entry(values)
