"""How fast texts are screened against all posts, how many copies are caught, how many human texts are taken for one.

    python benchmarks/screen.py [FILE] [--quick]

FILE is a file of twint's JSON lines (default: the real tweets beside the checkout). The index holds the posts of the
train and validation splits. What is asked of it, about posts of at least 30 letters and digits:

- verbatim: those posts themselves, with other case, punctuation and spacing; a post with a sentence behind it; the
  first half of a long post;
- edited: posts with one edit in every eight words (a word replaced, dropped, doubled, two swapped, a letter changed);
- false: the posts of the test split, which people wrote and of which no near copy is in the index (Jaccard < 0.5).

The peer is the brute force that the index replaces: rapidfuzz `ratio` of a candidate against every post, on the same
texts and both cores. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pasquin.collect import collect
from pasquin.prepare import prepare
from pasquin.records import Completion, CorpusPost
from pasquin.screen import Fit, NoveltyIndex, Screen
from pasquin.screen.novelty import SUBSTANTIAL
from pasquin.texts import comparable
from pasquin.workspace import Workspace
from pasquin.workspace.corpora import read_corpus

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "tweets" / "vc.jsonl.gz"


def corpus_of(file: Path) -> list[CorpusPost]:
    """The posts of a corpus made of `file`, in a process of its own: its memory is not the screen's."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_corpus_of, (file,))


def _corpus_of(file: Path) -> list[CorpusPost]:
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace.create(Path(folder))
        collect(workspace, [f"twint:{file}"])
        prepare(workspace, "vc")
        return read_corpus(workspace, "vc")


def disguised(text: str, draw: random.Random) -> str:
    """The same words in other case, punctuation and spacing."""
    text = draw.choice([str.upper, str.lower, str.title, str])(text)
    return (
        draw.choice(["", "“", "...", " "])
        + text.replace(",", draw.choice([";", " ", " —"])).rstrip(".!?")
        + draw.choice(["", "!", " …", " 😂"[:1]])
    )


def extended(text: str, draw: random.Random) -> str:
    """A post with a short sentence behind it."""
    return f"{text} {draw.choice(['That is all.', 'Just saying.', 'Who knew?', 'More on this soon.'])}"


def halved(text: str, _: random.Random) -> str:
    """The first half of a post, cut at a word."""
    words = text.split(" ")
    return " ".join(words[: max(1, len(words) * 6 // 10)])


def edited(text: str, draw: random.Random) -> str:
    """The text with one edit for every eight words, at least one."""
    words = text.split(" ")
    for _ in range(max(1, len(words) // 8)):
        at = draw.randrange(len(words))
        kind = draw.randrange(5)
        if kind == 0:
            words[at] = draw.choice(["really", "never", "people", "tomorrow", "company", "great", "some"])
        elif kind == 1 and len(words) > 1:
            del words[at]
        elif kind == 2:
            words.insert(at, words[at])
        elif kind == 3 and at + 1 < len(words):
            words[at], words[at + 1] = words[at + 1], words[at]
        elif words[at]:
            letter = draw.randrange(len(words[at]))
            words[at] = words[at][:letter] + draw.choice("aeiourstln") + words[at][letter + 1 :]
    return " ".join(words)


def caught(index: NoveltyIndex, texts: list[str], kinds: set[str]) -> float:
    """Share of the texts whose certificate is of one of these kinds."""
    return sum(index.certificate(text).kind in kinds for text in texts) / max(1, len(texts))


def brute_force(posts: list[str], texts: list[str]) -> float:
    """Candidates a second that rapidfuzz alone compares with every post."""
    from rapidfuzz import fuzz, process

    keys, wanted = [comparable(text) for text in posts], [comparable(text) for text in texts]
    began = time.perf_counter()
    process.cdist(wanted, keys, scorer=fuzz.ratio, score_cutoff=80, workers=-1)
    return len(texts) / (time.perf_counter() - began)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=REAL)
    parser.add_argument("--quick", action="store_true", help="fewer texts of each kind")
    arguments = parser.parse_args()
    if not arguments.file.exists():
        raise SystemExit(f"{arguments.file} is not there: name a file of twint's JSON lines.")
    count = 1_000 if arguments.quick else 5_000
    posts = corpus_of(arguments.file)
    indexed = [(post.uri, post.text) for post in posts if post.split != "test"]
    human = [post.text for post in posts if post.split == "test"]
    draw = random.Random(0)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    index = NoveltyIndex(indexed)
    build = time.perf_counter() - began
    long_enough = [text for _, text in indexed if len(comparable(text)) >= SUBSTANTIAL]
    sample = draw.sample(long_enough, min(count, len(long_enough)))
    makers: dict[str, Callable[[str, random.Random], str]] = {
        "disguised": disguised, "extended": extended, "halved": halved, "edited": edited,
    }  # fmt: skip
    rows: dict[str, float] = {}
    for name, make in makers.items():
        texts = [make(text, draw) for text in sample]
        if name == "halved":
            texts = [text for text in texts if len(comparable(text)) >= SUBSTANTIAL]
        rows[f"{name}: called verbatim"] = caught(index, texts, {"verbatim"})
        rows[f"{name}: caught"] = caught(index, texts, {"verbatim", "near"})
    false_near = caught(index, human, {"verbatim", "near"})

    screen = Screen(index, Fit(10, 280))
    candidates = [Completion(index=i, text=text, tokens=1, finish="stop") for i, text in enumerate(human[:count])]
    began = time.perf_counter()
    for candidate in candidates:
        screen.judge(candidate)
    speed = len(candidates) / (time.perf_counter() - began)
    brute = brute_force([text for _, text in indexed], human[:100])

    for label, value in rows.items():
        print(f"{label:40} {value:8.2%}")
    print(f"{'human posts taken for copies':40} {false_near:8.2%}")
    print(f"{'index of ' + format(len(indexed), ',') + ' posts':40} {build:8.2f} s")
    print(f"{'candidates a second':40} {speed:8,.0f}")
    print(f"{'rapidfuzz against every post':40} {brute:8,.0f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{'memory before and after':40} {before / 1024:,.0f} and {peak / 1024:,.0f} MB")
    verbatim = [rows[f"{name}: caught"] for name in ("disguised", "extended", "halved")]
    print(
        json.dumps(
            {
                "candidates_per_second": round(speed, 1),
                "index_posts_per_minute": round(60 * len(indexed) / build),
                "caught_verbatim": round(sum(verbatim) / len(verbatim), 5),
                "caught_edited": round(rows["edited: caught"], 5),
                "false_near": round(false_near, 5),
                "peak_mb": round(peak / 1024),
                "brute_force_candidates_per_second": round(brute, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
