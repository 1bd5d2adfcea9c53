"""How likely a model finds texts, token by token: what detectors and the decoding tuner look at.

Needs torch and transformers (`pip install 'pasquin[train]'`). Texts are read in nobody's voice.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pasquin.engines.transformers import Transformers
from pasquin.post_format import PostFormat, load_tokenizer

if TYPE_CHECKING:
    import numpy as np

    Losses = np.ndarray[Any, np.dtype[np.float64]]

_ROWS: Final = 16


def token_losses(model_dir: Path, texts: Sequence[str]) -> list[Losses]:
    """The loss of each token of each text (its end among them), in nats, in the order given.

    A text longer than the model can hold is read as far as it goes. Raises ModelError when the model cannot be loaded,
    ResourceError when memory is short. Ask `Transformers.supports` first whether it can be loaded here at all.
    """
    import torch

    engine = Transformers.open(model_dir)
    post_format, tokenizer = PostFormat.load(model_dir), load_tokenizer(model_dir)
    examples = [post_format.example_ids(tokenizer, text) for text in texts]
    order = sorted(range(len(texts)), key=lambda at: len(examples[at][0]))
    found: dict[int, Losses] = {}
    for first in range(0, len(order), _ROWS):
        part = order[first : first + _ROWS]
        rows = [torch.tensor(examples[at][0][: engine.context]) for at in part]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=post_format.end_id)
        losses = engine.losses(ids)
        for at, row, loss in zip(part, rows, losses, strict=True):
            found[at] = loss[examples[at][1] - 1 : len(row) - 1].double().numpy()
    return [found[at] for at in range(len(texts))]
