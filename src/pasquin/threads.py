"""How the threads of torch's arithmetic wait for each other."""

from __future__ import annotations

import os
from typing import Final

_SPINS: Final = "10000"


def spin_briefly() -> None:
    """Let threads that wait spin for some 50 microseconds, then sleep. To be called before torch is first imported.

    GNU's OpenMP reads it once. Its own way, to spin for milliseconds, makes training several times slower beside any
    other busy program; not to spin at all makes it a fifth slower where there is none, as a step has thousands of short
    operations (docs/train.md). Whoever sets either variable has it that way.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
