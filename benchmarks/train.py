"""How fast a post is learned: Pasquin's training step beside a plain float32 `transformers` loop.

    python benchmarks/train.py [--quick]

Same model (the starter), same posts, same batches of like length: the peer pads them with an attention mask, calls
`model(labels=...)`, float32 throughout, AdamW, gradient clipping. (Batches in random order, as most loops have them,
would cost it another half for padding.) Both live in processes of their own and take turns of a few steps, so that
whatever else the machine does meets both. Tokens are real ones; padding is not counted.

`limit_share` is the arithmetic Pasquin gets done (6 floating-point operations a weight and token, attention not
counted) over what this machine does in bfloat16 (float32 where that is faster) on the very matrix products of a step,
measured between the turns. `peak_mb` is the peak memory of our process.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import random
import resource
import statistics
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pasquin.records import CorpusPost
from pasquin.texts import normalise, remove_links
from pasquin.threads import spin_briefly

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "tweets" / "vc.jsonl.gz"
POSTS = 6_000


def read_posts(limit: int | None = None) -> list[CorpusPost]:
    """The real tweets beside the checkout, or the demo's posts; cleaned, each text once, in a fixed random order."""
    if REAL.is_file():
        with gzip.open(REAL, "rt", encoding="utf-8") as lines:
            raw = [(post["username"], post["tweet"]) for post in map(json.loads, lines)]
        raw = [(handle, text) for handle, text in raw if not text.startswith("@")]
    else:
        from pasquin.starter import demo_posts

        raw = [
            (handle, text) for handle, path in demo_posts().items() for text in path.read_text("utf-8").split("\n%\n")
        ]
    once = {remove_links(normalise(text)): handle for handle, text in raw}
    texts = [(handle, text) for text, handle in once.items() if 3 <= len(text) <= 1_000]
    random.Random(0).shuffle(texts)
    return [
        CorpusPost(uri=str(number), account=handle, handle=handle, text=text, split="train", cluster=number)
        for number, (handle, text) in enumerate(texts[:limit])
    ]


def open_run(posts: list[CorpusPost], held_out: list[CorpusPost], accounts: tuple[str, ...], **values: Any) -> Any:
    """A `train.loop.Run` on the starter model, as `pasquin train` sets it up, not yet started."""
    import tempfile

    from pasquin.config import TrainSettings
    from pasquin.progress import Silent
    from pasquin.train.compiling import compile_or_say, wants_compiled
    from pasquin.train.evaluate import CopyProbe, Validation
    from pasquin.train.examples import encode
    from pasquin.train.learner import load_learner
    from pasquin.train.loop import Run
    from pasquin.train.loss import Loss

    settings = TrainSettings(**values)
    with tempfile.TemporaryDirectory() as folder:
        learner = load_learner(settings, accounts, Path(folder), Silent())
    train, validation = (
        encode(part, learner.post_format, learner.tokenizer, learner.context) for part in (posts, held_out)
    )
    validation_set, loss = Validation(validation, learner.post_format.end_id), Loss(learner)
    if wants_compiled(loss, settings, train):
        compile_or_say(loss, Silent())
    return Run(learner, loss, train, validation_set, CopyProbe(posts), settings, Silent())


def ours(posts: list[CorpusPost]) -> Iterator[int]:
    """Pasquin's steps; each yields the tokens it learned."""
    from pasquin.train.examples import conditions
    from pasquin.train.loop import RunState
    from pasquin.train.memory import kept_memory

    with kept_memory():
        run = open_run(posts, posts[:10], conditions(posts), steps=1_000_000)
        run.state = RunState(before=0.0, best_bits=0.0)
        yield 0
        while True:
            yield run.step()


def plain(posts: list[CorpusPost]) -> Iterator[int]:
    """A plain loop's steps on the same batches."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from pasquin.starter import starter_model

    folder = starter_model()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-4)
    texts = sorted((f"<|im_start|>{post.text}<|im_end|>" for post in posts), key=lambda text: len(tokenizer(text)[0]))
    batches, begin = [], 0
    while begin < len(texts):
        size = 1
        while begin + size < len(texts) and (size + 1) * len(tokenizer(texts[begin + size])[0]) <= 1_536:
            size += 1
        batches.append(texts[begin : begin + size])
        begin += size
    random.Random(1).shuffle(batches)
    yield 0
    for batch in batches:
        inputs = tokenizer(batch, padding=True, padding_side="right", return_tensors="pt")
        labels = inputs.input_ids.masked_fill(inputs.attention_mask == 0, -100)
        model(**inputs, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        yield int(inputs.attention_mask.sum())


def limit(_: list[CorpusPost]) -> Iterator[int]:
    """The matrix products of a step of 1,536 tokens, forward and backward; yields that many tokens."""
    import torch

    from pasquin.train.learner import bf16_is_faster

    dtype = torch.bfloat16 if bf16_is_faster(torch.device("cpu")) else torch.float32
    rows = 1_536
    layer = [(576, 576), (576, 192), (576, 192), (576, 576), (576, 1536), (576, 1536), (1536, 576)]
    tensors = [
        (torch.randn(rows, inner, dtype=dtype), torch.randn(outer, inner, dtype=dtype), times)
        for shapes, times in ((layer, 30), ([(576, 49_152)], 1))
        for inner, outer in shapes
    ]
    yield 0
    while True:
        for hidden, weight, times in tensors:
            for _ in range(times):
                out = hidden @ weight.T
                out @ weight
                out.T @ hidden
        yield rows


def _child(connection: Connection, which: str, posts: list[CorpusPost]) -> None:
    """Take turns: receive seconds, make steps for about that long, send (tokens, seconds, peak MB)."""
    if which == "ours":
        spin_briefly()
    steps = {"ours": ours, "plain": plain, "limit": limit}[which](posts)
    next(steps)
    for _ in range(2):
        next(steps)
    connection.send("ready")
    while (turn := connection.recv()) is not None:
        began, tokens = time.perf_counter(), 0
        while time.perf_counter() - began < turn:
            tokens += next(steps)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        connection.send((tokens, time.perf_counter() - began, peak))


def main() -> None:
    """Run the turns, print a table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer turns: under 5 minutes on 2 cores")
    turns = 3 if parser.parse_args().quick else 8
    posts = read_posts(POSTS)
    context = multiprocessing.get_context("spawn")
    children: dict[str, Connection] = {}
    processes = []
    for which in ("ours", "plain", "limit"):
        children[which], theirs = context.Pipe()
        processes.append(context.Process(target=_child, args=(theirs, which, posts), daemon=True))
        processes[-1].start()
        theirs.close()
        children[which].recv()
    rates: dict[str, list[float]] = {which: [] for which in children}
    peak = dict.fromkeys(children, 0.0)
    for _ in range(turns):
        for which, seconds in (("ours", 12.0), ("plain", 16.0), ("limit", 3.0)):
            children[which].send(seconds)
            tokens, took, peak[which] = children[which].recv()
            rates[which].append(tokens / took)
    for which, process in zip(children, processes, strict=True):
        children[which].send(None)
        process.join()
    names = {"ours": "pasquin", "plain": "transformers, float32", "limit": "its matrix products alone"}
    print(f"{'':28} {'tokens/s':>9} {'slowest':>9} {'fastest':>9} {'peak MB':>9}")
    for which, name in names.items():
        values = rates[which]
        print(
            f"{name:28} {statistics.median(values):9,.0f} {min(values):9,.0f} {max(values):9,.0f} {peak[which]:9,.0f}"
        )
    ratios = [one / other for one, other in zip(rates["ours"], rates["plain"], strict=True)]
    shares = [one / other for one, other in zip(rates["ours"], rates["limit"], strict=True)]
    result = {
        "tokens_per_second": round(statistics.median(rates["ours"]), 1),
        "fp32_tokens_per_second": round(statistics.median(rates["plain"]), 1),
        "ratio": round(statistics.median(ratios), 2),
        "limit_share": round(statistics.median(shares), 3),
        "peak_mb": round(peak["ours"]),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
