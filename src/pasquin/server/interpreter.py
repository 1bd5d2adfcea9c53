"""Python itself, set up for a server: its garbage collector and how its threads take turns."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_SWITCH_SECONDS: Final = 0.001
"""How long a thread that works (ordering candidates, say) may keep one that has an answer to give waiting; Python's own
five milliseconds are waited for several times on the way of a single request."""


@contextmanager
def restored() -> Iterator[None]:
    """Python may be set up for a server inside; afterwards it is as it was, and nothing is kept from collection."""
    thresholds, seconds = gc.get_threshold(), sys.getswitchinterval()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        sys.setswitchinterval(seconds)


def spare() -> None:
    """What is loaded by now stays: without this, Python looks through all cards again whenever some guesses came in,
    which takes longer than taking the guesses does."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    sys.setswitchinterval(_SWITCH_SECONDS)


def spare_more() -> None:
    """The same for what was loaded since, where a server runs (what is no server keeps nothing)."""
    if gc.get_freeze_count():
        spare()
