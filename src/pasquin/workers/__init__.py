"""Who does a stage's parallel work: this process, processes on this machine, or a Ray cluster (`--on ray`).

A stage hands over a function and items and gets the results in the order of the items, whoever did them, so the result
of a stage does not depend on where it ran. Functions are importable and take one item; items and results are pickled.
An item may be done twice when a worker dies in the middle, so what a function leaves on a disk must be the same each
time and appear whole (`workspace.files.replacing`). On a cluster every node must see the workspace under its path.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeVar

from pasquin.errors import UsageError

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers(Protocol):
    """Something that can apply a function to many items at a time."""

    @property
    def count(self) -> int:
        """How many items are worked on at a time."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """`function` of each item, in their order; what one raises is raised here."""


class Here:
    """Works in this process, one item after the other."""

    count = 1

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """`function` of each item, when it is asked for."""
        return map(function, items)


def open_workers(on: str | None = None, processes: int | None = None) -> AbstractContextManager[Workers]:
    """Workers `on` this machine (None) or a Ray cluster: `ray` (the one of this machine or its environment, or a new
    one) or an address (`ray://head:10001`).

    `processes` bounds those on this machine; None is one a core. Raises UsageError for another word, ResourceError when
    Ray is not installed or does not answer.
    """
    if on is None:
        count = processes or len(os.sched_getaffinity(0))
        if count == 1:
            return _here()
        from pasquin.workers.processes import open_processes

        return open_processes(count)
    check_place(on)
    from pasquin.workers.cluster import open_cluster

    return open_cluster(on)


def check_place(on: str) -> None:
    """Raise UsageError unless `on` is a place that `--on` knows."""
    if on != "ray" and not on.startswith("ray://"):
        raise UsageError(f"`--on {on}` is no place to work on. Give `--on ray` or `--on ray://HOST:10001`.")


@contextmanager
def _here() -> Iterator[Workers]:
    yield Here()
