"""A Ray cluster as workers: every item is a task, done by whichever node has a core to spare.

Ray starts a task again elsewhere when its node dies, so the work finishes as long as a node is left; a task that was
done twice leaves the same files. Nodes need the same version of Pasquin and the workspace under the same path (a shared
folder); what goes through Ray itself is small.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from pasquin import __version__
from pasquin.errors import ResourceError

Item = TypeVar("Item")
Result = TypeVar("Result")

RETRIES: Final = 10
"""How often a task may lose its node."""
_AHEAD: Final = 2


class Cluster:
    """The nodes of the Ray cluster that this process is connected to; use `open_cluster`."""

    def __init__(self, ray: Any) -> None:
        """`ray` is the module, connected."""
        self._ray = ray

    @property
    def count(self) -> int:
        """Cores of all nodes that are there now."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    @property
    def nodes(self) -> int:
        """Nodes with a core that are there now."""
        return max(1, len(nodes_with_cores(self._ray)))

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """`function` of each item, in their order."""
        task = self._ray.remote(max_retries=RETRIES, num_cpus=1)(_same_version)
        waiting: deque[Any] = deque()
        try:
            for item in items:
                waiting.append(task.remote(__version__, function, item))
                if len(waiting) >= self.count * (1 + _AHEAD):
                    yield self.get(waiting.popleft())
            while waiting:
                yield self.get(waiting.popleft())
        finally:
            for reference in waiting:
                self._ray.cancel(reference, force=True)

    def get(self, reference: Any) -> Any:
        """The value of an object reference; what a task raised is raised here, what befell it is a ResourceError."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as exc:
            raise cause_of(exc) from None
        except errors.RayError as exc:
            raise ResourceError(
                f"The Ray cluster lost a piece of work for good ({str(exc).splitlines()[0]}). "
                "See that it has a node with enough memory, then run the same command again: it goes on."
            ) from exc


def nodes_with_cores(ray: Any) -> dict[str, float]:
    """The ids of the nodes that are there now and have a core, in a fixed order, and how many cores each has."""
    alive = {str(node["NodeID"]): float(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]}
    return {name: alive[name] for name in sorted(alive) if alive[name] >= 1}


def cause_of(error: Any) -> Exception:
    """What was raised on the node, of the RayTaskError that came of it."""
    cause = error.cause
    return cause if isinstance(cause, Exception) else Exception(str(error))


def _same_version(wanted: str, function: Callable[[Any], Any], item: Any) -> Any:
    check_version(wanted)
    return function(item)


def check_version(wanted: str) -> None:
    """Raise ResourceError on a node whose Pasquin is not `wanted`, that of whoever asks."""
    if wanted != __version__:
        raise ResourceError(
            f"A node of the Ray cluster has Pasquin {__version__}, and {wanted} is wanted. Install that on all nodes."
        )


@contextmanager
def open_cluster(on: str) -> Iterator[Cluster]:
    """The Ray cluster `on`: `ray` (the one this process is in, the one of RAY_ADDRESS, one that runs on this machine,
    or a new one on its cores) or the address of a head's client port. A connection made here ends with the block.

    Raises ResourceError when Ray is not installed or does not answer.
    """
    try:
        import ray
    except ImportError as exc:
        raise ResourceError("`--on ray` needs Ray. Install it with `pip install 'pasquin[ray]'`.") from exc
    ours = not ray.is_initialized()
    if ours:
        try:
            with warnings.catch_warnings(action="ignore"):  # what it warns of, it raises afterwards
                ray.init(address=None if on == "ray" else on, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, RuntimeError, ValueError, OSError, ImportError) as exc:
            raise ResourceError(
                f"The Ray cluster `{on}` does not answer ({str(exc).strip().splitlines()[0]}). "
                "Check its address and that it runs (`ray status`)."
            ) from exc
    try:
        yield Cluster(ray)
    finally:
        if ours:
            ray.shutdown()
