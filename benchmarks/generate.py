"""How fast texts are generated and turned into candidates, against `transformers` and plain OpenVINO GenAI.

    python benchmarks/generate.py [MODEL] [--quick] [--temperature T] [--top-k N] [--top-p P] [--min-p P]

MODEL is a directory of a llama- or qwen-type model (default: the starter model, fetched once). Every contender draws
up to 48 new tokens a text with the same sampling, from the model's start token, in a process of its own. They take
turns, 128 texts a turn; the best turn of each counts, as others may be busy on the machine:

- ours: the `openvino` engine, 128 sequences at a time; where the real posts lie beside the checkout, it scores the
  tokens of those posts only, as it does for a model that was trained on them;
- transformers: `model.generate` in bfloat16 with a batch of 128, as its documentation shows;
- openvino: `ContinuousBatchingPipeline.generate` on the model's GGUF with its default settings, 128 prompts at a time,
  with the same temperature, top-p and min-p (`ratio_openvino`); and once more with the same top-k, too
  (`ratio_openvino_top_k`), because a shortlist is half of what makes us faster and anybody may set one;
- stage: `pasquin.generate` as a whole (screen, store and file; texts end at a sentence's end, as the starter model has
  learned no posts), against real posts where they lie beside the checkout, else against none. Its time and memory
  include loading.

The table also says how much time of the processor a token took, all cores together: a figure that other programs on
the machine disturb less. `limit_share` is ours over the tokens/s at which torch multiplies this model's matrices in
bfloat16 at 128 rows, nothing else done. `peak_mb` is the largest memory of the stage's process. The last line is one
JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

NEW_TOKENS = 48
BATCH = 128
SENTENCE_ENDS = (". ", ".\n", "! ", "? ", "\n")
REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "tweets" / "vc.jsonl.gz"
TITLES = {
    "ours": "Pasquin",
    "transformers": "transformers, bf16",
    "openvino": "OpenVINO GenAI, top-p",
    "openvino_top_k": "OpenVINO GenAI, and top-k",
    "limit": "bf16 products alone",
}
Turn = Callable[[int], int]
"""Generates `BATCH` texts with seeds from a number on, and returns how many tokens that were."""


def ours(folder: Path, sampling: dict[str, Any]) -> Turn:
    """The `openvino` engine."""
    from pasquin.engines.openvino import OpenVINO
    from pasquin.post_format import PostFormat
    from pasquin.records import Prompt, Sampling

    engine = OpenVINO.open(folder)
    start = PostFormat.load(folder).start_id

    def turn(first: int) -> int:
        prompts = [Prompt(token_ids=(start,), seed=first + row) for row in range(BATCH)]
        return sum(done.tokens for done in engine.generate(prompts, Sampling(**sampling, max_tokens=NEW_TOKENS), BATCH))

    return turn


def transformers(folder: Path, sampling: dict[str, Any]) -> Turn:
    """`model.generate` with padding, as its documentation shows."""
    import torch
    from transformers import AutoModelForCausalLM

    from pasquin.post_format import PostFormat

    post_format = PostFormat.load(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()

    prompt = torch.full((BATCH, 1), post_format.start_id)

    def turn(first: int) -> int:
        torch.manual_seed(first)
        with torch.inference_mode():
            rows = model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                do_sample=True,
                max_new_tokens=NEW_TOKENS,
                eos_token_id=post_format.end_id,
                pad_token_id=post_format.end_id,
                **sampling,
            )[:, 1:]
        return sum(_length(row, post_format.end_id) for row in rows.tolist())

    return turn


def openvino(folder: Path, sampling: dict[str, Any]) -> Turn:
    """`ContinuousBatchingPipeline.generate` with default settings; a seed for each text, or all would be the same."""
    return openvino_top_k(folder, {**sampling, "top_k": 0})


def openvino_top_k(folder: Path, sampling: dict[str, Any]) -> Turn:
    """The same with top-k."""
    import numpy as np
    import openvino as ov
    import openvino_genai

    from pasquin.engines.gguf_export import write_gguf
    from pasquin.engines.gguf_tokenizer import write_placeholder_tokenizer
    from pasquin.post_format import PostFormat

    post_format = PostFormat.load(folder)
    scheduler = openvino_genai.SchedulerConfig()
    with tempfile.TemporaryDirectory() as place:
        write_gguf(folder, Path(place) / "plain.gguf")
        tokenizer = openvino_genai.Tokenizer(write_placeholder_tokenizer(Path(place)))
        pipeline = openvino_genai.ContinuousBatchingPipeline(Path(place) / "plain.gguf", tokenizer, scheduler, "CPU")
    prompt = ov.Tensor(np.array([[post_format.start_id]], dtype=np.int64))
    config: dict[str, Any] = {
        "max_new_tokens": NEW_TOKENS,
        "do_sample": True,
        "eos_token_id": post_format.end_id,
        "stop_token_ids": {post_format.end_id},
        "apply_chat_template": False,
        **{key: value for key, value in sampling.items() if (key, value) != ("top_k", 0)},
    }

    def turn(first: int) -> int:
        configs = [openvino_genai.GenerationConfig(**config, rng_seed=first + row) for row in range(BATCH)]
        results = pipeline.generate([prompt] * BATCH, configs)
        return sum(len(result.m_generation_ids[0]) for result in results)

    return turn


def stage(folder: Path, sampling: dict[str, Any], texts: int) -> dict[str, float]:
    """The whole stage in the workspace that `folder` is a model of."""
    from pasquin.config import GenerateSettings
    from pasquin.generate import generate
    from pasquin.workspace import Workspace

    workspace = Workspace.open(folder.parent.parent)
    settings = GenerateSettings(n=texts, batch=BATCH, max_tokens=NEW_TOKENS, **sampling)
    result = generate(workspace, folder.name, stop=SENTENCE_ENDS, settings=settings)
    return {"candidates": result["candidates"], "seconds": result["seconds"], "peak_mb": _peak_mb()}


def limit(folder: Path, sampling: dict[str, Any]) -> Turn:
    """Nothing but the matrix products of `BATCH` rows, for as many tokens as there are rows."""
    import torch

    config = json.loads((folder / "config.json").read_text())
    width, inner, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    size = config.get("head_dim") or width // heads
    kept = 2 * config["num_key_value_heads"] * size
    shapes = [(width, heads * size), (width, kept), (heads * size, width), (width, 2 * inner), (inner, width)]
    products = [_product(torch, *shape) for shape in shapes] * config["num_hidden_layers"]
    products.append(_product(torch, width, config["vocab_size"]))

    def turn(first: int) -> int:
        for product in products:
            product()
        return BATCH

    return turn


def _product(torch: Any, inner: int, columns: int) -> Callable[[], Any]:
    rows, weight = torch.randn(BATCH, inner).bfloat16(), torch.randn(columns, inner).bfloat16()
    return lambda: torch.nn.functional.linear(rows, weight)


def _length(row: list[int], end: int) -> int:
    return row.index(end) + 1 if end in row else len(row)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


CONTENDERS: dict[str, Callable[[Path, dict[str, Any]], Turn]] = {
    "ours": ours,
    "transformers": transformers,
    "openvino": openvino,
    "openvino_top_k": openvino_top_k,
    "limit": limit,
}


class Contender:
    """A contender in a process of its own, which takes a turn when it is told to."""

    def __init__(self, name: str, folder: Path, sampling: dict[str, Any]) -> None:
        words = [sys.executable, __file__, str(folder), "--contender", name, "--sampling", json.dumps(sampling)]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.best, self.cpu_ms, self.peak_mb = 0.0, math.inf, 0.0
        self.turn(10**6)
        self.best, self.cpu_ms = 0.0, math.inf  # the first turn is a warm-up

    def turn(self, first: int) -> None:
        """Take a turn with seeds from `first` on."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{first}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit("A contender ended early: see its message above.")
        tokens_per_second, cpu_ms, self.peak_mb = json.loads(answer)
        self.best = max(self.best, tokens_per_second)
        self.cpu_ms = min(self.cpu_ms, cpu_ms)

    def end(self) -> None:
        """Let the process end."""
        self.process.communicate()


def take_turns(run: Turn) -> None:
    """What a contender's process does: a turn for every line it reads."""
    for line in sys.stdin:
        began, spent = time.perf_counter(), time.process_time()
        tokens = run(int(line))
        spent, seconds = time.process_time() - spent, time.perf_counter() - began
        print(json.dumps([tokens / seconds, 1_000 * spent / tokens, _peak_mb()]), flush=True)


def make_workspace(root: Path, source: Path | None, posts: bool = True) -> Path:
    """A workspace with the model (weights by link) and, where there are any and `posts` is set, posts to screen by."""
    from pasquin.collect import collect
    from pasquin.engines.vocabulary import write_output_tokens
    from pasquin.post_format import PostFormat, boundary_tokens, load_tokenizer
    from pasquin.starter import starter_model
    from pasquin.workspace import Workspace
    from pasquin.workspace.files import write_manifest
    from pasquin.workspace.shards import fetch_posts

    workspace = Workspace.create(root)
    source = source or starter_model()
    folder = workspace.model_dir("benchmark")
    folder.mkdir(parents=True)
    for file in source.iterdir():
        if file.suffix in {".json", ".safetensors", ".jinja"} and file.name != "manifest.json":
            (folder / file.name).symlink_to(file.resolve())
    if not (folder / "post_format.json").exists():
        tokenizer = load_tokenizer(folder)
        pair = boundary_tokens(tokenizer, None)
        if pair is None:
            sys.exit(f"{source} has no boundary tokens: give a model trained by Pasquin.")
        start, end = (tokenizer.token_to_id(token) for token in pair)
        PostFormat(start, end).save(folder)
    write_manifest(folder, {"kind": "model", "name": "benchmark", "corpus": "none", "hash": str(source)})
    if posts and REAL.exists():
        collect(workspace, [f"twint:{REAL}"])
        texts = [row[1] for row in fetch_posts(workspace, "SELECT uri, text FROM {posts}")]
        write_output_tokens(folder, str(source), load_tokenizer(folder), texts, [PostFormat.load(folder).end_id])
    return folder


def compare(source: Path | None, sampling: dict[str, Any], quick: bool) -> dict[str, float]:
    """Run all contenders in turn and print the table; returns the figures."""
    seconds, texts = (80.0, 120) if quick else (400.0, 1_000)
    with tempfile.TemporaryDirectory() as root:
        folder = make_workspace(Path(root), source)
        found = {name: Contender(name, folder, sampling) for name in CONTENDERS}
        ends, turns = time.monotonic() + seconds, 0
        while turns < 2 or time.monotonic() < ends:
            for contender in found.values():
                contender.turn(turns * BATCH)
            turns += 1
        for contender in found.values():
            contender.end()
        words = [sys.executable, __file__, str(folder), "--stage", str(texts), "--sampling", json.dumps(sampling)]
        whole = json.loads(subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])
    print(f"{NEW_TOKENS} new tokens a text, {json.dumps(sampling)}, best of {turns} turns")
    for name, title in TITLES.items():
        one = found[name]
        print(f"  {title:24} {one.best:8,.0f} tokens/s  {one.cpu_ms:5.2f} ms CPU each  peak {one.peak_mb:6,.0f} MB")
    candidates = whole["candidates"] / whole["seconds"]
    print(f"  {'Pasquin, whole stage':24} {candidates:8,.1f} candidates/s peak {whole['peak_mb']:6,.0f} MB")
    mine = found["ours"].best
    return {
        "tokens_per_second": round(mine, 1),
        "transformers_tokens_per_second": round(found["transformers"].best, 1),
        "openvino_tokens_per_second": round(found["openvino"].best, 1),
        "ratio_transformers": round(mine / found["transformers"].best, 2),
        "ratio_openvino": round(mine / found["openvino"].best, 2),
        "ratio_openvino_top_k": round(mine / found["openvino_top_k"].best, 2),
        "limit_share": round(mine / found["limit"].best, 3),
        "peak_mb": round(whole["peak_mb"], 1),
        "candidates_per_second": round(candidates, 2),
    }


def main() -> None:
    """Parse the arguments; run everything, or one contender in its own process."""
    from pasquin.config import GenerateSettings

    defaults = GenerateSettings()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--quick", action="store_true", help="at most 5 minutes on 2 cores")
    parser.add_argument("--temperature", type=float, default=defaults.temperature)
    parser.add_argument("--top-k", type=int, default=defaults.top_k)
    parser.add_argument("--top-p", type=float, default=defaults.top_p)
    parser.add_argument("--min-p", type=float, default=defaults.min_p)
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--stage", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--sampling", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contender:
        return take_turns(CONTENDERS[given.contender](given.model, given.sampling))
    if given.stage:
        return print(json.dumps(stage(given.model, given.sampling, given.stage)))
    sampling = {"temperature": given.temperature, "top_k": given.top_k, "top_p": given.top_p, "min_p": given.min_p}
    return print(json.dumps(compare(given.model, sampling, given.quick)))


if __name__ == "__main__":
    main()
