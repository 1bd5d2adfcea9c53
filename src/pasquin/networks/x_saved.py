"""Answers of X that somebody saved, as JSON or JSON lines: API v2 (twarc's pages, streams, single posts), API v1.1, and
the timelines of X's own pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pasquin.config import CollectSettings
from pasquin.networks import Quarantined
from pasquin.networks.exports.documents import OTHERS, documents, is_wanted
from pasquin.networks.files import FileSource
from pasquin.networks.files.reading import Deleted, InputFile, Reading, find_files
from pasquin.networks.values import x_uri
from pasquin.networks.x_status import Includes, v1_post, v2_post, x_id
from pasquin.networks.x_web import web_statuses
from pasquin.records import Post


def x_api_file(settings: CollectSettings) -> FileSource:
    """Saved answers of X's API. Their rights are those of the API: `x-api`."""
    return FileSource(settings, lambda pattern: find_files(pattern, (".json", ".jsonl", ".ndjson")), read_x_api_file)


def read_x_api_file(file: InputFile, settings: CollectSettings) -> Iterator[Reading]:
    """The posts of one file; what only came along with others (`includes`) is not taken for posts of its own."""
    seen: set[str] = set()
    for found in documents(file, settings):
        if isinstance(found, Quarantined):
            yield found
            continue
        number, answer = found
        for post, excerpt in _posts(answer):
            if isinstance(post, Deleted):
                yield post
            elif not isinstance(post, Post):
                yield file.quarantine(number, post, str(excerpt))
            elif not is_wanted(settings, post.account, post.handle):
                yield OTHERS
            elif post.uri in seen:
                yield "twice in the file"
            else:
                seen.add(post.uri)
                yield post


def _posts(answer: Any) -> Iterator[tuple[Post | Deleted | str, object]]:
    """What is in one JSON value, each with what it was read from."""
    if isinstance(answer, list):
        for status in answer:
            yield v1_post(status), status
        return
    if not isinstance(answer, dict):
        yield "it is no answer of X's API", answer
        return
    if (gone := _deleted(answer)) is not None:
        yield Deleted(x_uri(gone)), answer
        return
    if (statuses := web_statuses(answer)) is not None:
        for status in statuses:
            yield v1_post(status), status
    elif "data" in answer:
        includes, data = Includes.parse(answer), answer["data"]
        for status in data if isinstance(data, list) else [data]:
            yield v2_post(status, includes), status
    elif "author_id" in answer:
        yield v2_post(answer, Includes()), answer
    elif "user" in answer:
        yield v1_post(answer), answer
    elif "meta" not in answer:
        yield "it is no answer of X's API that holds posts", answer


def _deleted(answer: Mapping[str, Any]) -> str | None:
    """The id in a notice of the old stream that a post was deleted."""
    notice = answer.get("delete")
    status = notice.get("status") if isinstance(notice, dict) else None
    return x_id(status.get("id_str") or status.get("id")) if isinstance(status, dict) else None
