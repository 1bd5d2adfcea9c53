"""Settings of `pasquin train`: what is trained, how, and for how long."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pasquin.config.reading import StageSettings


class TrainSettings(StageSettings):
    """[train]"""

    stage = "train"

    model: str = "smollm2"
    """`smollm2` (the starter), a Hugging Face name such as `gpt2`, or a directory."""
    method: Literal["full", "lora"] | None = None
    """Train all weights or low-rank ones; chosen by the model's size and the length of the run when not given."""
    minutes: float | None = Field(None, gt=0)
    """Stop after this much training time."""
    epochs: float | None = Field(None, gt=0)
    """Stop after this many passes over the train split."""
    steps: int | None = Field(None, ge=1)
    """Stop after this many optimizer steps."""
    freeze: int = Field(0, ge=0)
    """Leave the embeddings and so many lower layers as they are: faster and smaller, learns less."""
    from_scratch: bool = False
    """Begin with an own tokenizer and random weights instead of `model`."""
    vocabulary: int = Field(8_192, ge=300, le=262_144)
    """Tokens of a model from scratch, at most."""
    width: int = Field(384, ge=64, le=8_192)
    """Width of a model from scratch."""
    layers: int = Field(6, ge=1, le=256)
    """Layers of a model from scratch."""
    learning_rate: float | None = Field(None, gt=0)
    """Peak learning rate; chosen by method when not given."""
    batch_tokens: int | None = Field(None, ge=16)
    """Token budget of one optimizer step; chosen by the length of the run when not given, from 384 to 1,536."""
    condition_dropout: float = Field(0.5, ge=0, le=1)
    """Share of examples shown without their account, so that the model also writes unconditioned."""
    about: float = Field(0.15, ge=0, le=1)
    """Share of examples shown with one to three of their own words in front, so that the model can write about
    something; with 0 it learns no topics."""
    patience: int = Field(4, ge=1)
    """Evaluations without improvement before training stops."""
    max_copies: float = Field(0.1, ge=0, le=1)
    """Training stops when, twice running, more than this share of what the model writes copies a training post."""
    seed: int = 0
    """Seed of data order, dropout and sampling."""
    memory_gb: float | None = Field(None, gt=0)
    """Memory (10^9 bytes) that training may use; nine tenths of what is available when not given."""
    compile: bool | None = None
    """Compile what runs between the matrix products: half a minute once on a machine, for a tenth more speed. Where
    there is a C++ compiler and the run is long enough when not given. Models without a written-out form are compiled as
    a whole, which takes many minutes, and only when asked."""
