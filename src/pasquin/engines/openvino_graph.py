"""A Hugging Face model directory written as OpenVINO's own format: what the `openvino` engine runs.

OpenVINO GenAI reads GGUF, too, but makes of it a graph that takes longer to load and to run. Matrices that are
multiplied with the same input are one here. Covers what `weights.why_not` lets through.

Weights have eight bits, those of GGUF's Q8_0, at a loss that docs/generate.md gives: that halves OpenVINO's memory (it
unpacks float16 weights into float32), and quickly multiplies single rows. Processors whose tiles multiply bfloat16
(`has_tiles`) unpack eight bits at every step, and are quicker at many rows with sixteen.

The graph is one that GenAI's continuous batching can rewrite for its paged cache: attention over a state, which it
removes together with the mask. It may score some tokens only (`vocabulary`): these come first in its numbering of
tokens, and its output matrix has rows for them alone. It lies in a folder beside the weights, made again when they
change.
"""

from __future__ import annotations

import json
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pasquin.engines.weights import (
    PIECE,
    check_vocabulary,
    head_size,
    key_heads,
    read_config,
    read_weights,
    rotary_base,
    weight_files,
)
from pasquin.errors import disk_errors
from pasquin.workspace.files import sync

if TYPE_CHECKING:
    import numpy as np
    import openvino

    Array = np.ndarray[Any, np.dtype[Any]]

FOLDER: Final = ".openvino"
"""Hidden: neither synced nor handed on, as it can be made again."""
WIDE_FOLDER: Final = ".openvino-16"
"""The same for weights of sixteen bits."""
MODEL: Final = "openvino_model.xml"
"""The name that GenAI looks for."""
WEIGHTS: Final = "openvino_model.bin"
_STAMP: Final = "source.txt"
_FORM: Final = "1"
"""Of the graph: one written in another form is made again."""
_TOP: Final = ("embed_tokens.weight", "norm.weight", "lm_head.weight")


def has_tiles(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this processor multiplies bfloat16 in tiles (Intel's AMX); False where that cannot be known."""
    try:
        flags = next(
            line for line in cpuinfo.read_text(encoding="ascii", errors="replace").splitlines() if "flags" in line
        )
    except (OSError, StopIteration):
        return False
    return "amx_bf16" in flags.split()


def export_graph(model_dir: Path, kept: Sequence[int] = (), *, wide: bool = False) -> Path:
    """The folder with the graph in `model_dir`, written when it is not there, or the weights or `kept` have changed.

    `kept` are the tokens it can give, all when empty; `numbering` says how it numbers tokens then. Weights have eight
    bits, or sixteen when `wide`. Raises ModelError when the weights are missing, damaged or not finite, ResourceError
    on a full disk.
    """
    folder, stamp = model_dir / (WIDE_FOLDER if wide else FOLDER), _stamp(model_dir, kept)
    if _stamp_of(folder) == stamp:
        return folder
    with disk_errors(f"write {folder}"), tempfile.TemporaryDirectory(prefix=".openvino", dir=model_dir) as place:
        made, old = Path(place) / "made", Path(place) / "old"
        made.mkdir()
        _save(_Weights(model_dir, kept, wide).graph(), made / MODEL)
        (made / _STAMP).write_text(stamp, encoding="utf-8")
        for path in (*made.iterdir(), made):
            sync(path)
        if folder.exists():
            folder.rename(old)
        made.rename(folder)
    return folder


def numbering(kept: Sequence[int], size: int) -> list[int]:
    """The model's token at each place of the numbering of a graph that gives the tokens `kept` of `size` alone."""
    there = set(kept)
    return [*kept, *(token for token in range(size) if token not in there)]


def _stamp(model_dir: Path, kept: Sequence[int]) -> str:
    """What the graph was made from: config and weight files by size and time of change: a hash costs a second."""
    files = [model_dir / "config.json", *weight_files(model_dir)]
    parts = [_FORM, *(f"{path.name}:{path.stat().st_size}:{path.stat().st_mtime_ns}" for path in files)]
    if kept:
        parts.append(f"tokens:{len(kept)}:{zlib.crc32(json.dumps(list(kept)).encode()):08x}")
    return " ".join(parts)


def _stamp_of(folder: Path) -> str | None:
    try:
        return (folder / _STAMP).read_text(encoding="utf-8") if (folder / MODEL).exists() else None
    except (OSError, UnicodeDecodeError):
        return None


def _save(model: openvino.Model, path: Path) -> None:
    import openvino

    openvino.save_model(model, path, compress_to_fp16=False)


@dataclass(frozen=True)
class _Matrix:
    """Float16 numbers [rows, columns], or whole ones [rows, columns / 32, 32] with a float16 scale for each 32."""

    values: Array
    scales: Array | None = None

    def rows(self, order: Sequence[int]) -> _Matrix:
        """Some of the rows, in this order."""
        return _Matrix(self.values[order], None if self.scales is None else self.scales[order])

    def node(self) -> Any:
        """The matrix inside the graph, [rows, columns]; OpenVINO multiplies with it as it is."""
        import numpy as np
        from openvino import opset13 as op

        if self.scales is None:
            return op.convert(op.constant(self.values), "f32")
        scaled = op.multiply(op.convert(op.constant(self.values), "f16"), op.constant(self.scales))
        rows = op.reshape(scaled, np.array([len(self.values), self.values.shape[1] * PIECE]), False)
        return op.convert(rows, "f32")

    @staticmethod
    def stacked(parts: Sequence[_Matrix]) -> _Matrix:
        """The rows of several matrices of one kind."""
        import numpy as np

        scales = [part.scales for part in parts if part.scales is not None]
        return _Matrix(np.concatenate([part.values for part in parts]), np.concatenate(scales) if scales else None)


class _Weights:
    """A model's weights, matrices in the bits of the graph already, and the graph over them."""

    def __init__(self, model_dir: Path, kept: Sequence[int], wide: bool) -> None:
        self._config, self._kept = read_config(model_dir), kept
        self._plain: dict[str, Array] = {}
        self._matrices: dict[str, _Matrix] = {}
        for full, tensor in read_weights(model_dir):
            name = full.removeprefix("model.")
            if not (name in _TOP or name.startswith("layers.")) or name.endswith("inv_freq"):
                continue
            if tensor.ndim > 1:
                self._matrices[name] = _sixteen_bits(tensor) if wide else _eight_bits(tensor)
            else:
                self._plain[name] = tensor
        check_vocabulary(model_dir, len(self._matrices["embed_tokens.weight"].values), self._config)

    def graph(self) -> openvino.Model:
        """Logits from `input_ids`, `attention_mask`, `position_ids` and `beam_idx`, as GenAI names them."""
        import numpy as np
        import openvino
        from openvino import opset13 as op

        named = {name: op.parameter([-1, -1], np.int64) for name in ("input_ids", "attention_mask", "position_ids")}
        named["beam_idx"] = op.parameter([-1], np.int32)
        for name, node in named.items():
            node.set_friendly_name(name)
            node.output(0).set_names({name})
        embedding = self._rows("embed_tokens.weight", every=True).node()
        hidden = op.gather(embedding, op.convert(named["input_ids"], "i32"), np.int32(0))
        turns = self._turns(named["position_ids"])
        mask = op.convert(op.unsqueeze(named["attention_mask"], np.array([1, 2])), "boolean")
        state = _State(named["beam_idx"], named["input_ids"], mask)
        for layer in range(self._config["num_hidden_layers"]):
            at = f"layers.{layer}."
            inward = self._norm(hidden, at + "input_layernorm.weight")
            hidden = op.add(hidden, self._attention(inward, at + "self_attn.", turns, state))
            inward = self._norm(hidden, at + "post_attention_layernorm.weight")
            gate, up = self._products(inward, [at + "mlp.gate_proj", at + "mlp.up_proj"])
            [down] = self._products(op.multiply(op.swish(gate), up), [at + "mlp.down_proj"])
            hidden = op.add(hidden, down)
        tied = self._config.get("tie_word_embeddings")
        head = self._rows("embed_tokens.weight" if tied else "lm_head.weight").node()
        logits = op.matmul(self._norm(hidden, "norm.weight"), head, False, True)
        logits.output(0).set_names({"logits"})
        return openvino.Model([op.result(logits)], state.sinks, list(named.values()), "model")

    def _rows(self, name: str, every: bool = False) -> _Matrix:
        """A matrix with a row for each token: of those that are kept, or of `every` one, in the graph's numbering."""
        matrix = self._matrices[name]
        if not self._kept:
            return matrix
        return matrix.rows(numbering(self._kept, len(matrix.values)) if every else list(self._kept))

    def _turns(self, positions: Any) -> tuple[Any, Any]:
        """Cosine and sine of every position's angles, [batch, 1, length, head size]."""
        import numpy as np
        from openvino import opset13 as op

        size = head_size(self._config)
        speeds = (1.0 / rotary_base(self._config) ** (np.arange(0, size, 2, dtype=np.float64) / size)).astype(
            np.float32
        )
        at = op.convert(op.unsqueeze(positions, np.int64(1)), "f32")
        half = op.transpose(op.matmul(op.constant(speeds.reshape(1, -1, 1)), at, False, False), np.array([0, 2, 1]))
        angles = op.concat([half, half], -1)
        return op.unsqueeze(op.cos(angles), np.int64(1)), op.unsqueeze(op.sin(angles), np.int64(1))

    def _attention(self, hidden: Any, at: str, turns: tuple[Any, Any], state: _State) -> Any:
        import numpy as np
        from openvino import opset13 as op

        heads, kv_heads, size = self._config["num_attention_heads"], key_heads(self._config), head_size(self._config)
        query, key, value = self._products(hidden, [at + name for name in ("q_proj", "k_proj", "v_proj")])
        query = _turned(self._heads(query, heads, at + "q_norm.weight"), turns, size)
        key = _turned(self._heads(key, kv_heads, at + "k_norm.weight"), turns, size)
        value = self._heads(value, kv_heads, at + "v_norm.weight")
        keys, values = (
            _repeated(state.grown(new, f"{at}{name}", kv_heads, size), heads, kv_heads, size)
            for name, new in (("key", key), ("value", value))
        )
        mixed = op.scaled_dot_product_attention(query, keys, values, state.mask)
        joined = op.reshape(op.transpose(mixed, np.array([0, 2, 1, 3])), np.array([0, 0, heads * size]), True)
        [out] = self._products(joined, [at + "o_proj"])
        return out

    def _heads(self, rows: Any, heads: int, norm: str) -> Any:
        """[batch, length, heads x size] as [batch, heads, length, size], each head normalised where the model does."""
        import numpy as np
        from openvino import opset13 as op

        split = op.reshape(rows, np.array([0, 0, heads, head_size(self._config)]), True)
        return op.transpose(self._norm(split, norm) if norm in self._plain else split, np.array([0, 2, 1, 3]))

    def _products(self, hidden: Any, names: Sequence[str]) -> list[Any]:
        """Products of the same input with several matrices, as one."""
        import numpy as np
        from openvino import opset13 as op

        parts = [self._matrices[f"{name}.weight"] for name in names]
        made = op.matmul(hidden, _Matrix.stacked(parts).node(), False, True)
        biases = [self._plain[f"{name}.bias"] for name in names if f"{name}.bias" in self._plain]
        if biases:
            made = op.add(made, op.constant(np.concatenate(biases)))
        if len(parts) == 1:
            return [made]
        lengths = np.array([len(part.values) for part in parts])
        return list(op.variadic_split(made, np.int64(-1), lengths).outputs())

    def _norm(self, hidden: Any, name: str) -> Any:
        import numpy as np
        from openvino import opset13 as op

        spread = op.reduce_mean(op.power(hidden, np.float32(2)), np.array([-1]), True)
        root = op.sqrt(op.add(spread, np.float32(self._config["rms_norm_eps"])))
        return op.multiply(op.multiply(hidden, op.divide(np.float32(1), root)), op.constant(self._plain[name]))


class _State:
    """Keys and values of the tokens before, which GenAI replaces by its own cache."""

    def __init__(self, beams: Any, tokens: Any, mask: Any) -> None:
        import numpy as np
        from openvino import opset13 as op

        self.mask, self.sinks = mask, []  # type: Any, list[Any]
        self._beams = beams
        self._batch = op.gather(op.shape_of(tokens, "i64"), np.array([0]), np.int64(0))

    def grown(self, new: Any, name: str, heads: int, size: int) -> Any:
        """What was kept under `name`, and `new` behind it."""
        import numpy as np
        from openvino import opset13 as op

        nothing = op.concat([self._batch, np.array([heads]), np.array([0]), np.array([size])], 0)
        shape = [-1, heads, -1, size]
        kept = op.read_value(op.broadcast(np.float32(0), nothing), name, np.float32, shape)
        whole = op.concat([op.gather(kept, self._beams, np.int64(0)), new], 2)
        self.sinks.append(op.assign(whole, name))
        return whole


def _repeated(rows: Any, heads: int, kv_heads: int, size: int) -> Any:
    """Keys or values, each as often as there are queries that share it."""
    import numpy as np
    from openvino import opset13 as op

    if heads == kv_heads:
        return rows
    shape = op.shape_of(rows, "i64")
    batch, length = (op.gather(shape, np.array([axis]), np.int64(0)) for axis in (0, 2))
    wide = op.concat([batch, np.array([kv_heads]), np.array([heads // kv_heads]), length, np.array([size])], 0)
    spread = op.broadcast(op.unsqueeze(rows, np.int64(2)), wide, "BIDIRECTIONAL")
    return op.reshape(spread, np.array([0, heads, -1, size]), True)


def _turned(rows: Any, turns: tuple[Any, Any], size: int) -> Any:
    """Rotary positions: x cos + (the second half negated, the first half) sin."""
    import numpy as np
    from openvino import opset13 as op

    halves = op.variadic_split(rows, np.int64(3), np.array([size // 2, size // 2]))
    across = op.concat([op.multiply(halves.output(1), np.float32(-1)), halves.output(0)], -1)
    return op.add(op.multiply(rows, turns[0]), op.multiply(across, turns[1]))


def _eight_bits(matrix: Array) -> _Matrix:
    """Whole numbers from -127 to 127 and their scales."""
    import numpy as np

    pieces = matrix.reshape(len(matrix), -1, PIECE)
    scales = np.abs(pieces).max(axis=2, keepdims=True) / 127
    whole = np.rint(np.divide(pieces, scales, out=np.zeros_like(pieces), where=scales > 0))
    return _Matrix(whole.astype(np.int8), scales.astype(np.float16))


def _sixteen_bits(matrix: Array) -> _Matrix:
    import numpy as np

    most = np.finfo(np.float16).max
    return _Matrix(matrix.clip(-most, most).astype(np.float16))
