"""Counters, a histogram and gauges, told in Prometheus' text format 0.0.4. Safe to share between threads."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
Labels = tuple[tuple[str, str], ...]
Gauge = tuple[str, str, Iterable[tuple[Labels, float]]]
"""Name, help, and values by labels."""


class Metrics:
    """Counters by name and labels, and one histogram of seconds by one label."""

    def __init__(self, counters: Mapping[str, str], histogram: tuple[str, str, str]) -> None:
        """`counters` is the help of each, by full name; `histogram` its name, help and label. All begin at zero."""
        self._help, self._histogram = dict(counters), histogram
        self._lock = threading.Lock()
        self._counts: dict[str, dict[Labels, float]] = {name: defaultdict(float) for name in counters}
        self._buckets: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = defaultdict(float)

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        """Count; `name` without `pasquin_` and `_total`. Labels come from a bounded set, never from a client."""
        with self._lock:
            self._counts[f"pasquin_{name}_total"][tuple(labels.items())] += amount

    def observe(self, label: str, seconds: float) -> None:
        """Note how long something took."""
        with self._lock:
            buckets = self._buckets.setdefault(label, [0] * (len(_BOUNDS) + 1))
            buckets[next((at for at, bound in enumerate(_BOUNDS) if seconds <= bound), len(_BOUNDS))] += 1
            self._seconds[label] += seconds

    def total(self, name: str, **labels: str) -> float:
        """The sum of a counter over all that has these labels."""
        wanted = set(labels.items())
        with self._lock:
            counted = self._counts[f"pasquin_{name}_total"].items()
            return sum(value for labelled, value in counted if wanted <= set(labelled))

    @property
    def mean_seconds(self) -> float:
        """How long it took on average so far; 1 before there was anything."""
        with self._lock:
            count = sum(map(sum, self._buckets.values()))
            return sum(self._seconds.values()) / count if count else 1.0

    def text(self, gauges: Iterable[Gauge]) -> str:
        """Everything, with `gauges` (name, help, values by label) taken now."""
        lines: list[str] = []
        with self._lock:
            for name, counted in self._counts.items():
                lines += _block(name, self._help[name], "counter", list(counted.items()))
            for name, says, values in gauges:
                lines += _block(name, says, "gauge", values)
            name, says, key = self._histogram
            lines += [f"# HELP {name} {says}", f"# TYPE {name} histogram"]
            for value, buckets in self._buckets.items():
                for at, bound in enumerate((*map(str, _BOUNDS), "+Inf")):
                    label = _labels(((key, value), ("le", bound)))
                    lines.append(f"{name}_bucket{label} {sum(buckets[: at + 1])}")
                label = _labels(((key, value),))
                lines += [f"{name}_sum{label} {self._seconds[value]:.6f}", f"{name}_count{label} {sum(buckets)}"]
        return "\n".join(lines) + "\n"


def _block(name: str, says: str, kind: str, values: Iterable[tuple[Labels, float]]) -> list[str]:
    rows = [f"{name}{_labels(labels)} {value:.15g}" for labels, value in values]
    return [f"# HELP {name} {says}", f"# TYPE {name} {kind}", *rows]


def _labels(labels: Labels) -> str:
    escaped = ((key, value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")) for key, value in labels)
    inside = ",".join(f'{key}="{value}"' for key, value in escaped)
    return f"{{{inside}}}" if inside else ""
