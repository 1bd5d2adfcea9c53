"""Export: a corpus or a model as what other programs read.

By the file's suffix: `.csv` has the single column `tweets`, as gpt-2-simple's users know it; `.txt` one post after the
other with a line of 20 `=` behind each; `.jsonl` every field of every post. `.gguf` is a model, for Ollama and
llama.cpp; no suffix is a model's directory, for anything that reads Hugging Face's layout (`folder`), which can go to
their hub as well (`hub`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from pasquin.engines.gguf_export import PRECISIONS, write_gguf
from pasquin.errors import UsageError, disk_errors
from pasquin.records import CorpusPost
from pasquin.workspace import Workspace
from pasquin.workspace.corpora import SPLITS, read_corpus
from pasquin.workspace.files import replacing

HEADER: Final = "tweets"
DELIMITER: Final = "=" * 20


def export_corpus(workspace: Workspace, name: str, output: Path, split: str | None = None) -> dict[str, Any]:
    """Write the corpus `name`, or one split of it, to `output`; an older file there is replaced.

    Returns `corpus, posts, output`. Raises UsageError for an unknown suffix or split, CorpusError without that corpus.
    """
    writer = _WRITERS.get(output.suffix.lower())
    if writer is None:
        known = ", ".join([*_WRITERS, ".gguf"])
        raise UsageError(
            f"`{output.name}` should end in {known}: the ending says what to write (none: a model's directory)."
        )
    if split is not None and split not in SPLITS:
        raise UsageError(f"There is no split `{split}`; there are {', '.join(SPLITS)}.")
    posts = read_corpus(workspace, name, split)
    with disk_errors(f"write {output}"), replacing(output) as temporary, temporary.open("wb") as handle:
        handle.writelines(writer(posts))
    return {"corpus": name, "posts": len(posts), "output": str(output)}


def export_model(workspace: Workspace, name: str, output: Path, precision: str = PRECISIONS[1]) -> dict[str, Any]:
    """Write the model `name` as GGUF, tokenizer included, to `output`; an older file there is replaced.

    Returns `model, precision, bytes, output`. Raises UsageError for an unknown precision, ModelError when the model is
    missing, unfinished or of a kind that GGUF does not hold.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"There is no precision `{precision}`; there are {', '.join(PRECISIONS)}.")
    workspace.model_manifest(name)
    write_gguf(workspace.model_dir(name), output, precision)
    return {"model": name, "precision": precision, "bytes": output.stat().st_size, "output": str(output)}


def _csv(posts: Sequence[CorpusPost]) -> Iterator[bytes]:
    lines = io.StringIO(newline="")
    writer = csv.writer(lines)
    for text in (HEADER, *(post.text for post in posts)):
        writer.writerow([text])
        yield lines.getvalue().encode()
        lines.seek(0)
        lines.truncate()


def _txt(posts: Sequence[CorpusPost]) -> Iterator[bytes]:
    return (f"{post.text}\n{DELIMITER}\n".encode() for post in posts)


def _jsonl(posts: Sequence[CorpusPost]) -> Iterator[bytes]:
    return (orjson.dumps(post, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z) for post in posts)


_WRITERS: Final = {".csv": _csv, ".txt": _txt, ".jsonl": _jsonl}
