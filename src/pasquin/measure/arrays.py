"""What is measured, as arrays: one entry a guess. The functions of this package take these and know no database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from pasquin.errors import InputError

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guesses:
    """n guesses in the order they were made; every array has shape (n,).

    `player` and `item` are codes from 0. `from_model` is the origin, `judged_model` the answer. `model`, `category`
    and `arm` are codes into `models`, `categories`, `arms`; `model` and `arm` are -1 for human items. `items` are the
    items' keys where they are known. `trial` is the
    how-many-eth guess of its player (from 1), `response_ms` the response time (0 when unknown), `day` a day number.
    `confidence` (codes into `confidences`, -1: not said) and `mode` (into `modes`) are None where the game had none.
    `marks` (n, M) says which of the game's rules `mark_names` speak against each guess. `by_difficulty` says which
    items may have been chosen by how hard they are; None where none was.
    """

    player: Codes
    item: Codes
    from_model: Flags
    judged_model: Flags
    trial: Codes
    response_ms: Codes
    day: Codes
    model: Codes
    category: Codes
    arm: Codes
    models: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    confidence: Codes | None = None
    confidences: tuple[str, ...] = ()
    mode: Codes | None = None
    modes: tuple[str, ...] = ()
    marks: Flags | None = None
    mark_names: tuple[str, ...] = ()
    by_difficulty: Flags | None = None

    def __len__(self) -> int:
        return len(self.player)

    @property
    def judged_human(self) -> Flags:
        """Whether each item was judged human."""
        return ~self.judged_model

    @property
    def correct(self) -> Flags:
        """Whether each guess was right."""
        return np.asarray(self.judged_model == self.from_model)

    @property
    def players(self) -> int:
        """How many different players there are."""
        return distinct(self.player)

    def where(self, chosen: NDArray[Any]) -> Guesses:
        """The guesses at `chosen`, a mask or indices; codes stay what they are."""
        arrays = {
            field.name: array[chosen]
            for field in fields(self)
            if isinstance(array := getattr(self, field.name), np.ndarray)
        }
        return replace(self, **arrays)


def distinct(codes: Codes) -> int:
    """How many different codes (none negative) there are."""
    return int(np.count_nonzero(np.bincount(codes))) if len(codes) else 0


def shares(values: Sequence[Any] | NDArray[Any], name: str) -> Floats:
    """`values` as numbers between 0 and 1. Raises InputError naming what is wrong with them."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as exc:
        raise InputError(f"`{name}` must be numbers between 0 and 1. Check how it was read.") from exc
    if array.ndim != 1:
        raise InputError(f"`{name}` must have one dimension and has {array.ndim}. Give one value a guess.")
    if np.isnan(array).any():
        raise InputError(
            f"`{name}` has {int(np.isnan(array).sum()):,} values that are no number (NaN). "
            "Leave those guesses out first."
        )
    if len(array) and (array.min() < 0 or array.max() > 1):
        raise InputError(f"`{name}` must lie between 0 and 1. Check how it was read.")
    return array


def codes(values: Sequence[Any] | NDArray[Any], name: str, length: int) -> Codes:
    """Labels of `length` guesses (players, items) as codes from 0. Raises InputError naming what is wrong with them."""
    array = np.asarray(values)
    if array.ndim != 1 or len(array) != length:
        raise InputError(f"`{name}` must have one value a guess: {length:,} are needed and {array.size:,} were given.")
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise InputError(f"`{name}` has values that are no number (NaN). Leave those guesses out first.")
    if array.dtype.kind in "iu" and length and array.min() >= 0 and array.max() < 4 * length + 1024:
        return array.astype(np.int64, copy=False)
    return cast(Codes, np.unique(array, return_inverse=True)[1].astype(np.int64).reshape(-1))
