"""How fast texts are generated and turned into candidates, against `transformers` and plain OpenVINO GenAI.

    python benchmarks/generate.py [MODEL] [--quick] [--top-k N] [--top-p P] [--temperature T]

MODEL is a directory of a llama- or qwen-type model (default: the starter model, fetched once). Every contender draws
up to 48 new tokens a text with the same sampling, from the model's start token, in a process of its own, in rounds:

- ours: the `openvino` engine, 128 sequences at a time;
- transformers: `model.generate` in bfloat16 with a batch of 128, as its documentation shows;
- openvino: `LLMPipeline` on the same GGUF with a tokenizer converted by openvino_tokenizers, 128 prompts at a time, as
  its documentation shows;
- stage: `pasquin.generate` as a whole (screen, store and file; texts end at a sentence's end, as the starter model has
  learned no posts), against real posts where they lie beside the checkout, else against none. Its time and memory
  include loading.

`limit_share` is ours over the tokens/s at which torch multiplies this model's matrices in bfloat16 at 128 rows, nothing
else done. `peak_mb` is the largest memory of the stage's process. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
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
TITLES = {"ours": "Pasquin", "transformers": "transformers, bf16", "openvino": "OpenVINO GenAI, plain"}


def ours(folder: Path, texts: int, sampling: dict[str, Any]) -> dict[str, float]:
    """The `openvino` engine."""
    from pasquin.engines.openvino import OpenVINO
    from pasquin.post_format import PostFormat
    from pasquin.records import Prompt, Sampling

    engine = OpenVINO.open(folder)
    start = PostFormat.load(folder).start_id

    def run(count: int, first: int) -> int:
        prompts = [Prompt(token_ids=(start,), seed=first + row) for row in range(count)]
        return sum(done.tokens for done in engine.generate(prompts, Sampling(**sampling, max_tokens=NEW_TOKENS), BATCH))

    return _timed(run, texts)


def transformers(folder: Path, texts: int, sampling: dict[str, Any]) -> dict[str, float]:
    """`model.generate` with padding, as its documentation shows."""
    import torch
    from transformers import AutoModelForCausalLM

    from pasquin.post_format import PostFormat

    post_format = PostFormat.load(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()

    def run(count: int, first: int) -> int:
        made = 0
        torch.manual_seed(first)
        for begin in range(0, count, BATCH):
            prompt = torch.full((min(BATCH, count - begin), 1), post_format.start_id)
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
            made += sum(_length(row, post_format.end_id) for row in rows.tolist())
        return made

    return _timed(run, texts)


def openvino(folder: Path, texts: int, sampling: dict[str, Any]) -> dict[str, float]:
    """`LLMPipeline`, text in and text out."""
    import openvino as ov
    import openvino_genai
    from openvino_tokenizers import convert_tokenizer
    from transformers import AutoTokenizer

    from pasquin.engines.gguf_export import export_gguf
    from pasquin.post_format import PostFormat

    post_format = PostFormat.load(folder)
    hf_tokenizer = AutoTokenizer.from_pretrained(folder)
    start = hf_tokenizer.convert_ids_to_tokens(post_format.start_id)
    for name, model in zip(
        ("tokenizer", "detokenizer"), convert_tokenizer(hf_tokenizer, with_detokenizer=True), strict=True
    ):
        ov.save_model(model, folder / f"openvino_{name}.xml")
    tokenizer = openvino_genai.Tokenizer(folder)
    pipeline = openvino_genai.LLMPipeline(export_gguf(folder), tokenizer, "CPU")
    config = openvino_genai.GenerationConfig(
        max_new_tokens=NEW_TOKENS,
        do_sample=True,
        eos_token_id=post_format.end_id,
        stop_token_ids={post_format.end_id},
        apply_chat_template=False,
        **{key: value for key, value in sampling.items() if (key, value) != ("top_k", 0)},
    )

    def run(count: int, first: int) -> int:
        made = 0
        for begin in range(0, count, BATCH):
            config.rng_seed = first + begin
            result = pipeline.generate([start] * min(BATCH, count - begin), config)
            made += int(result.perf_metrics.get_num_generated_tokens())
        return made

    return _timed(run, texts)


def stage(folder: Path, texts: int, sampling: dict[str, Any]) -> dict[str, float]:
    """The whole stage in the workspace that `folder` is a model of."""
    from pasquin.config import GenerateSettings
    from pasquin.generate import generate
    from pasquin.workspace import Workspace

    workspace = Workspace.open(folder.parent.parent)
    settings = GenerateSettings(n=texts, batch=BATCH, max_tokens=NEW_TOKENS, **sampling)
    result = generate(workspace, folder.name, stop=SENTENCE_ENDS, settings=settings)
    return {"candidates": result["candidates"], "seconds": result["seconds"], "peak_mb": _peak_mb()}


def limit(folder: Path, texts: int, sampling: dict[str, Any]) -> dict[str, float]:
    """Tokens a second if there were nothing to do but the matrix products."""
    import torch

    config = json.loads((folder / "config.json").read_text())
    width, inner, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    size = config.get("head_dim") or width // heads
    shapes = {
        (width, heads * size): 1,
        (width, 2 * config["num_key_value_heads"] * size): 1,
        (heads * size, width): 1,
        (width, 2 * inner): 1,
        (inner, width): 1,
    }
    layers = config["num_hidden_layers"]
    seconds = layers * sum(_product_seconds(torch, *shape) for shape in shapes)
    return {"tokens_per_second": BATCH / (seconds + _product_seconds(torch, width, config["vocab_size"]))}


def _product_seconds(torch: Any, inner: int, columns: int) -> float:
    rows, weight = torch.randn(BATCH, inner).bfloat16(), torch.randn(columns, inner).bfloat16()
    times = []
    for _ in range(30):
        began = time.perf_counter()
        torch.nn.functional.linear(rows, weight)
        times.append(time.perf_counter() - began)
    return min(times)


def _length(row: list[int], end: int) -> int:
    return row.index(end) + 1 if end in row else len(row)


def _timed(run: Callable[[int, int], int], texts: int) -> dict[str, float]:
    run(16, 10**6)
    began = time.perf_counter()
    tokens = run(texts, 0)
    return {"tokens_per_second": tokens / (time.perf_counter() - began), "peak_mb": _peak_mb()}


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


CONTENDERS: dict[str, Callable[[Path, int, dict[str, Any]], dict[str, float]]] = {
    "ours": ours,
    "transformers": transformers,
    "openvino": openvino,
    "stage": stage,
    "limit": limit,
}


def in_own_process(name: str, folder: Path, texts: int, sampling: dict[str, Any]) -> dict[str, float]:
    """Run a contender in a fresh interpreter and return what it printed."""
    words = [sys.executable, __file__, str(folder), "--contender", name, "--texts", str(texts)]
    done = subprocess.run([*words, "--sampling", json.dumps(sampling)], stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def make_workspace(root: Path, source: Path | None) -> Path:
    """A workspace with the model (weights by link) and, where there are any, posts to screen against."""
    from pasquin.collect import collect
    from pasquin.post_format import PostFormat, boundary_tokens, load_tokenizer
    from pasquin.starter import starter_model
    from pasquin.workspace import Workspace
    from pasquin.workspace.files import write_manifest

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
    if REAL.exists():
        collect(workspace, [f"twint:{REAL}"])
    return folder


def compare(source: Path | None, sampling: dict[str, Any], quick: bool) -> dict[str, float]:
    """Run all contenders in turn and print the table; returns the figures."""
    rounds, texts = (1, 256) if quick else (3, 512)
    with tempfile.TemporaryDirectory() as root:
        folder = make_workspace(Path(root), source)
        found: dict[str, list[dict[str, float]]] = {name: [] for name in TITLES}
        for _ in range(rounds):
            for name in TITLES:
                found[name].append(
                    in_own_process(name, folder, texts // 2 if name == "transformers" else texts, sampling)
                )
        ceiling = in_own_process("limit", folder, texts, sampling)["tokens_per_second"]
        whole = in_own_process("stage", folder, texts, sampling)
    speed = {name: statistics.median(run["tokens_per_second"] for run in runs) for name, runs in found.items()}
    print(f"{NEW_TOKENS} new tokens a text, {json.dumps(sampling)}")
    for name, title in TITLES.items():
        peak = max(run["peak_mb"] for run in found[name])
        print(f"  {title:24} {speed[name]:8,.0f} tokens/s   peak {peak:6,.0f} MB")
    print(f"  {'bf16 products alone':24} {ceiling:8,.0f} tokens/s")
    print(
        f"  the stage, with loading  {whole['candidates'] / whole['seconds']:8.1f} candidates/s"
        f"   peak {whole['peak_mb']:6,.0f} MB"
    )
    return {
        "tokens_per_second": round(speed["ours"], 1),
        "transformers_tokens_per_second": round(speed["transformers"], 1),
        "openvino_tokens_per_second": round(speed["openvino"], 1),
        "ratio_transformers": round(speed["ours"] / speed["transformers"], 2),
        "ratio_openvino": round(speed["ours"] / speed["openvino"], 2),
        "limit_share": round(speed["ours"] / ceiling, 3),
        "peak_mb": round(whole["peak_mb"], 1),
        "candidates_per_second": round(whole["candidates"] / whole["seconds"], 2),
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
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--texts", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--sampling", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contender:
        print(json.dumps(CONTENDERS[given.contender](given.model, given.texts, given.sampling)))
        return
    sampling = {"temperature": given.temperature, "top_k": given.top_k, "top_p": given.top_p}
    print(json.dumps(compare(given.model, sampling, given.quick)))


if __name__ == "__main__":
    main()
