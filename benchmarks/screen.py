"""How fast texts are screened against all posts, how many copies are caught, how many human texts are taken for one.

    python benchmarks/screen.py [FILE] [--quick] [--growth PICTURE]

FILE is a file of twint's JSON lines (default: the real tweets beside the checkout). The index holds the posts of the
train and validation splits. What is asked of it, about posts of at least 30 letters and digits:

- verbatim: those posts themselves, with other case, punctuation and spacing; a post with a sentence behind it; the
  first half of a long post;
- edited: posts with one edit in every eight words (a word replaced, dropped, doubled, two swapped, a letter changed);
- false: the posts of the test split, which people wrote and of which no near copy is in the index (Jaccard < 0.5).

Speed is measured against `POSTS` posts: those, and as many of the first half of one and the second of another as are
missing, since what is common in real posts is common in these, too. `--growth docs/images/screen-growth.svg` measures
on 10,000 to a million invented posts instead, and draws it.

The peer is the brute force that the index replaces: rapidfuzz `ratio` of a candidate against every post, on the same
texts and both cores. Ours runs on one, and is measured in seconds of it, whatever else the machine does. The last line
is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import random
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path

from pasquin.collect import collect
from pasquin.prepare import prepare
from pasquin.records import Completion, CorpusPost
from pasquin.screen import Fit, NoveltyIndex, Screen
from pasquin.screen.novelty import SUBSTANTIAL
from pasquin.texts import comparable
from pasquin.workspace import Workspace
from pasquin.workspace.corpora import read_corpus

POSTS = 150_000
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


def filled(posts: list[tuple[str, str]], count: int, draw: random.Random) -> list[tuple[str, str]]:
    """`count` posts: these, and halves of two of them joined."""
    halves = [text.split(" ") for _, text in posts]
    joined = []
    while len(posts) + len(joined) < count:
        one, other = draw.choice(halves), draw.choice(halves)
        text = " ".join(one[: len(one) // 2] + other[len(other) // 2 :])
        joined.append((f"joined:{len(joined)}", text))
    return (posts + joined)[:count]


def invented(count: int, draw: random.Random) -> list[str]:
    """Posts of invented words, some of which are as common as in a language (Zipf's law)."""
    syllables = [one + two for one in "bdfglmnprstvz" for two in ("a", "e", "i", "o", "u", "an", "er", "is")]
    words = ["".join(draw.choices(syllables, k=1 + min(3, int(draw.expovariate(0.7))))) for _ in range(30_000)]
    weights = list(accumulate(1 / rank for rank in range(1, len(words) + 1)))
    return [" ".join(draw.choices(words, cum_weights=weights, k=draw.randrange(6, 32))) for _ in range(count)]


def speed_of(index: NoveltyIndex, texts: list[str]) -> float:
    """Candidates a second through the whole screen, on one core."""
    screen = Screen(index, Fit(10, 280))
    candidates = [Completion(index=i, text=text, tokens=1, finish="stop") for i, text in enumerate(texts)]
    began = time.process_time()
    for candidate in candidates:
        screen.judge(candidate)
    return len(candidates) / (time.process_time() - began)


def growth(picture: Path) -> None:
    """How index and screen fare from 10,000 to a million posts, as a table and a picture."""
    sizes = [10_000, 30_000, 100_000, 300_000, 1_000_000]
    rows = []
    for size in sizes:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            rows.append(pool.apply(_grown, (size,)))
        print(f"{size:>9,} posts: built {rows[-1][0]:9,.0f} a second, {rows[-1][1]:6,.0f} candidates a second, "
              f"{rows[-1][2]:5,.0f} MB", flush=True)  # fmt: skip
    names = ("posts indexed a second", "candidates a second", "memory, MB")
    panels = [
        _panel(x, name, sizes, column)
        for x, name, column in zip((0, 300, 600), names, zip(*rows, strict=True), strict=True)
    ]
    picture.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 210" font-family="sans-serif" font-size="11" '
        f'fill="#555"><rect width="900" height="210" fill="#fff"/>{"".join(panels)}</svg>\n',
        encoding="utf-8",
    )


def _panel(x: int, name: str, sizes: Sequence[int], values: Sequence[float]) -> str:
    """A line over the logarithm of `sizes`, 300 wide, as SVG."""
    low, high, most = math.log10(sizes[0]), math.log10(sizes[-1]), max(values)
    points = [(60 + 210 * (math.log10(size) - low) / (high - low), 170 - 120 * value / most)
              for size, value in zip(sizes, values, strict=True)]  # fmt: skip
    marks = "".join(f'<circle cx="{left:.1f}" cy="{top:.1f}" r="3"/>' for left, top in points)
    line = " ".join(f"{left:.1f},{top:.1f}" for left, top in points)
    ticks = "".join(
        f'<text x="{left:.1f}" y="188" text-anchor="middle">{size:,}</text>'
        for size, (left, _) in zip(sizes, points, strict=True)
        if size in (10_000, 100_000, 1_000_000)
    )
    return (
        f'<g transform="translate({x})"><text x="60" y="25" font-size="13" fill="#222">{name}</text>'
        f'<path d="M60 50V170H275" fill="none" stroke="#bbb"/><text x="55" y="54" text-anchor="end">{most:,.0f}</text>'
        f'<text x="55" y="174" text-anchor="end">0</text>{ticks}<text x="165" y="205" text-anchor="middle">posts'
        f' in the index</text><g fill="#7a3b2e">{marks}<polyline points="{line}" fill="none" stroke="#7a3b2e"/></g></g>'
    )


def _grown(size: int) -> tuple[float, float, float]:
    draw = random.Random(size)
    texts = invented(size + 2_000, draw)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    index = NoveltyIndex((str(number), text) for number, text in enumerate(texts[:size]))
    built = size / (time.process_time() - began)
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return built, speed_of(index, texts[size:]), memory


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
    parser.add_argument("--growth", type=Path, metavar="PICTURE", help="only measure growth, and draw it")
    arguments = parser.parse_args()
    if arguments.growth:
        return growth(arguments.growth)
    if not arguments.file.exists():
        raise SystemExit(f"{arguments.file} is not there: name a file of twint's JSON lines.")
    count = 1_000 if arguments.quick else 5_000
    posts = corpus_of(arguments.file)
    indexed = [(post.uri, post.text) for post in posts if post.split != "test"]
    human = [post.text for post in posts if post.split == "test"]
    draw = random.Random(0)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    many = filled(indexed, POSTS, draw)
    began = time.process_time()
    index = NoveltyIndex(many)
    build = time.process_time() - began
    speed = speed_of(index, human[:count])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    index = NoveltyIndex(indexed)
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

    brute = brute_force([text for _, text in many], human[:100])

    for label, value in rows.items():
        print(f"{label:40} {value:8.2%}")
    print(f"{'human posts taken for copies':40} {false_near:8.2%}")
    print(f"{'index of ' + format(POSTS, ',') + ' posts':40} {build:8.2f} processor s")
    print(f"{'candidates a processor second':40} {speed:8,.0f}")
    print(f"{'rapidfuzz against every post':40} {brute:8,.0f}")
    print(f"{'memory before and after':40} {before / 1024:,.0f} and {peak / 1024:,.0f} MB")
    verbatim = [rows[f"{name}: caught"] for name in ("disguised", "extended", "halved")]
    print(
        json.dumps(
            {
                "candidates_per_second": round(speed, 1),
                "index_posts_per_minute": round(60 * POSTS / build),
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
