"""Keeping freed memory: every step frees and asks again for the same few gigabytes.

glibc gives large blocks back to the kernel at once, which must then zero the same pages anew, step after step; on small
virtual machines that costs more than the arithmetic. Inside `kept_memory` it keeps them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

_TRIM_THRESHOLD: Final = -1
_MMAP_MAX: Final = -4
_ARENA_MAX: Final = -8


@contextmanager
def kept_memory() -> Iterator[None]:
    """Make glibc's malloc keep what is freed inside the block; without glibc nothing changes."""
    libc = _glibc()
    if libc is None:
        yield
        return
    libc.mallopt(_MMAP_MAX, 0)
    libc.mallopt(_TRIM_THRESHOLD, -1)
    libc.mallopt(_ARENA_MAX, 1)
    try:
        yield
    finally:
        libc.mallopt(_MMAP_MAX, 65_536)
        libc.mallopt(_TRIM_THRESHOLD, 128 * 1024)
        libc.malloc_trim(0)


def _glibc() -> Any:
    try:
        libc = ctypes.CDLL(None)
    except (OSError, TypeError):  # no dynamic loading here
        return None
    return libc if hasattr(libc, "gnu_get_libc_version") and hasattr(libc, "mallopt") else None
