"""Invented posts, candidates and workspaces for tests and pictures: nobody ever wrote these words.

`posts(n)` composes short texts from templates, the same every time; `make_corpus` writes them as a complete corpus,
`add_candidates` puts texts into the store as if a model had written them.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache

import sqlalchemy as sa

from pasquin.records import CorpusPost
from pasquin.store import Store
from pasquin.store.schema import candidates
from pasquin.texts import text_key
from pasquin.workspace import Workspace
from pasquin.workspace.corpora import COLUMNS, POSTS
from pasquin.workspace.files import replacing, write_manifest

HANDLES = ("ada_baker", "botanist_bo", "captain_teabag")

_OPENINGS = (
    "Note to self:",
    "Unpopular opinion:",
    "This morning",
    "My neighbour says",
    "Today I learned that",
    "Somewhere between two meetings",
    "Three years ago",
    "The trick is simple:",
    "Nobody tells you that",
    "After the rain",
    "Reminder:",
    "In the train",
)
_SUBJECTS = (
    "the kettle",
    "a sourdough starter",
    "the lighthouse keeper",
    "my oldest umbrella",
    "the village choir",
    "a suspicious pigeon",
    "the garden gnome",
    "an unread newsletter",
    "the night bus",
    "a jar of buttons",
    "the committee for benches",
    "my left sock",
)
_VERBS = (
    "refuses to negotiate with",
    "quietly outlives",
    "has opinions about",
    "is secretly in charge of",
    "was never introduced to",
    "keeps a diary on",
    "sings louder than",
    "cannot be scaled like",
    "owes money to",
    "is older than",
)
_OBJECTS = (
    "the weather",
    "every spreadsheet in town",
    "the moon",
    "a very small door",
    "Tuesday afternoons",
    "the last biscuit",
    "our roadmap",
    "the north wind",
    "polite applause",
    "anybody's uncle",
)
_ENDINGS = (
    ".",
    " again!",
    ", and that is fine.",
    ". Ask me how I know.",
    ".\n\nI have said what I have said.",
    ", if you believe the bakery.",
    ". More on this after lunch, unless lunch wins.",
    ". #smalltown",
)


@cache
def _every_text() -> list[str]:
    every = [
        f"{opening} {subject} {verb} {thing}{ending}"
        for opening, subject, verb, thing, ending in itertools.product(_OPENINGS, _SUBJECTS, _VERBS, _OBJECTS, _ENDINGS)
    ]
    random.Random(0).shuffle(every)
    return every


def texts(n: int, start: int = 0) -> list[str]:
    """`n` different invented texts of 30 to 150 characters, from number `start` of a list that is always the same."""
    return _every_text()[start : start + n]


def posts(n: int, handles: Sequence[str] = HANDLES, test_share: float = 0.5) -> list[CorpusPost]:
    """`n` invented posts shared out between `handles`; the last `test_share` of them are the test split."""
    return [_post(number, text, handles, n, test_share) for number, text in enumerate(texts(n))]


def _post(number: int, text: str, handles: Sequence[str], n: int, test_share: float) -> CorpusPost:
    handle = handles[number % len(handles)]
    return CorpusPost(
        uri=f"https://posts.invalid/{number}",
        account=f"id-{handle}",
        handle=handle,
        text=text,
        split="test" if number >= n * (1 - test_share) else "train",
        cluster=number,
        created_at=datetime(2019, 3, 1, 9, 30, tzinfo=UTC) + timedelta(hours=7 * number),
        lang="en",
        likes=number * 37 % 400,
        reposts=number % 9,
        url=f"https://posts.invalid/{handle}/{number}",
        rights="consented",
    )


def make_corpus(workspace: Workspace, name: str, corpus_posts: Sequence[CorpusPost]) -> None:
    """Write `corpus_posts` as the complete corpus `name`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = workspace.corpus_dir(name)
    folder.mkdir(parents=True, exist_ok=True)
    schema = pa.schema(
        [
            (column, {"cluster": pa.int64(), "likes": pa.int64(), "reposts": pa.int64()}.get(column, pa.string()))
            if column != "created_at"
            else (column, pa.timestamp("us"))
            for column in COLUMNS
        ]
    )
    rows = [{column: getattr(post, column) for column in COLUMNS} for post in corpus_posts]
    for row in rows:
        row["created_at"] = row["created_at"].replace(tzinfo=None) if row["created_at"] else None
    with replacing(folder / POSTS) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary)
    write_manifest(folder, {"corpus": name, "posts": len(rows)})


def candidate_rows(
    model: str,
    written: Sequence[str],
    accounts: Sequence[str | None] = (None,),
    nearest: Sequence[str | None] = (None,),
) -> Iterator[dict[str, object]]:
    """Rows of the table `candidates`, with `accounts` and `nearest` uris taken in turn."""
    for position, text in enumerate(written):
        key = text_key(f"{model} {position} {text}")
        yield {
            "id": key[:32],
            "model": model,
            "model_hash": "0" * 64,
            "corpus": model,
            "account": accounts[position % len(accounts)],
            "text": text,
            "text_key": text_key(text),
            "created_at": datetime(2026, 1, 2, tzinfo=UTC) + timedelta(seconds=position),
            "generation": f"invented {model}",
            "position": position,
            "seed": position,
            "engine": "invented",
            "sampling": {"temperature": 1.0},
            "prefix": "",
            "tokens": len(text) // 4 + 1,
            "novelty": "novel",
            "nearest_uri": nearest[position % len(nearest)],
            "similarity": 0.31,
            "longest_run": 17,
        }


def add_candidates(
    store: Store,
    model: str,
    written: Sequence[str],
    accounts: Sequence[str | None] = (None,),
    nearest: Sequence[str | None] = (None,),
) -> None:
    """Put texts into the store as candidates of `model`."""
    with store.write() as connection:
        connection.execute(sa.insert(candidates), list(candidate_rows(model, written, accounts, nearest)))


def make_game(workspace: Workspace, name: str = "village", n: int = 240, generated: int = 120) -> None:
    """A workspace ready to play: a corpus of `n` posts by three accounts, and candidates for each account."""
    make_corpus(workspace, name, posts(n))
    written = texts(generated, start=n)
    store = Store.of(workspace)
    add_candidates(
        store, name, written, accounts=HANDLES, nearest=("https://posts.invalid/1", "https://posts.invalid/2")
    )
    store.close()
