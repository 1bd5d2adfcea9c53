"""How long until a model is as good as the recipe of 2020 made it: seconds of training to the same bits per byte.

    python benchmarks/time_to_quality.py [--quick]

The recipe of 2020 (what the tools of the time did with GPT-2): all posts between boundary tokens in one stream, windows
of 64 tokens sliding by one, batches of 32 windows in random order, AdamW at 5e-5, float32. It trains for a fixed time;
the figure it reaches on held-out posts is the target. Pasquin then trains with its defaults, afresh each time, for a
twelfth of that time, a tenth, a ninth and so on, until a run ends at the target or below: so long one has to wait for a
model as good. Same starter model, same posts, same held-out posts, same boundary tokens, no account in front. Measuring
is not counted on either side; loading is neither.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import time

from pasquin.records import CorpusPost
from pasquin.threads import spin_briefly
from train import open_run, read_posts

HELD_OUT = 300
TIMES = (12, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1)
"""Into how many parts the old recipe's time is divided for a try of ours."""


def recipe_2020(run: object, posts: list[CorpusPost], seconds: float) -> float:
    """Train the run's model the old way for `seconds`; seconds it took."""
    import torch

    learner = run.learner  # type: ignore[attr-defined]
    stream: list[int] = []
    for post in posts:
        stream += learner.post_format.example_ids(learner.tokenizer, post.text)[0]
    tokens = torch.tensor(stream)
    draw = random.Random(0)
    optimizer = torch.optim.AdamW(learner.model.parameters(), lr=5e-5)
    learner.model.set_attn_implementation("sdpa")
    learner.model.train()
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        starts = [draw.randrange(len(stream) - 64) for _ in range(32)]
        windows = torch.stack([tokens[start : start + 64] for start in starts])
        learner.model(input_ids=windows, labels=windows).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return time.perf_counter() - began


def ours(run: object) -> tuple[float, float]:
    """Train as long as the run's settings say; seconds it took without measuring, and the figure it ends at."""
    run.start()  # type: ignore[attr-defined]
    began = time.perf_counter()
    while run.share() < 1:  # type: ignore[attr-defined]
        run.step()  # type: ignore[attr-defined]
        run.state.seconds = time.perf_counter() - began  # type: ignore[attr-defined]
    return run.state.seconds, run.validation.bits_per_byte(run.loss)  # type: ignore[attr-defined]


def trained(quick: bool, minutes: float | None, seconds: float) -> tuple[float, float, float, int]:
    """Bits per byte before, seconds, bits per byte after and tokens of a step: of ours for so many `minutes`, or (None)
    of the old recipe for so many `seconds`. To be called in a process of its own.
    """
    spin_briefly()
    from pasquin.train.memory import kept_memory

    posts = read_posts()
    held_out, posts = posts[: HELD_OUT // (3 if quick else 1)], posts[HELD_OUT:]
    with kept_memory():
        run = open_run(posts, held_out, (), minutes=minutes, compile=None if minutes else False)
        before = run.validation.bits_per_byte(run.loss)
        if minutes is not None:
            return before, *ours(run), run.state.batch_tokens
        took = recipe_2020(run, posts, seconds)
        run.learner.model.eval()
        run.loss.pull()  # it computes with copies of the weights that another optimizer has just changed
        return before, took, run.validation.bits_per_byte(run.loss), 32 * 64


def main() -> None:
    """Run both, print a table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the old recipe trains 100 s instead of 420")
    quick = parser.parse_args().quick
    seconds = 100.0 if quick else 420.0
    tries = []
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as processes:
        before, took, target, _ = processes.apply(trained, (quick, None, seconds))
        for times in TIMES:
            _, spent, reached, size = processes.apply(trained, (quick, seconds / times / 60, seconds))
            tries.append((spent, reached, size))
            if reached <= target:
                break
    print(f"{'':16} {'seconds':>8} {'bits/byte':>10}   (before: {before:.3f})")
    print(f"{'recipe of 2020':16} {took:8.0f} {target:10.3f}")
    for spent, reached, size in tries:
        print(f"{'pasquin':16} {spent:8.0f} {reached:10.3f}   ({size:,} tokens a step)")
    result = {
        "target_bits_per_byte": round(target, 4),
        "recipe_2020_seconds": round(took, 1),
        "ours_seconds": round(spent, 1) if reached <= target else None,
        "ratio": round(took / spent, 2) if reached <= target else None,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
