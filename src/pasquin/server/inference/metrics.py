"""What the endpoint counts, in Prometheus' text format 0.0.4."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

_BOUNDS: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_HELP: Final = {
    "pasquin_requests_total": "Requests answered under /v1, by status.",
    "pasquin_prompt_tokens_total": "Tokens of prompts read.",
    "pasquin_completion_tokens_total": "Tokens generated.",
    "pasquin_cancelled_total": "Sequences dropped before they ended, because the client left or time ran out.",
}
Labels = tuple[tuple[str, str], ...]
Gauge = tuple[str, str, Iterable[tuple[Labels, float]]]
"""Name, help, and values by labels."""


class Metrics:
    """Counters and one histogram (seconds from request to the end of the answer)."""

    def __init__(self) -> None:
        """All zero."""
        self._counts: dict[str, dict[Labels, float]] = {name: defaultdict(float) for name in _HELP}
        self._buckets: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = defaultdict(float)

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        """Count; `name` without `pasquin_` and `_total`. Labels come from a bounded set, never from a client."""
        self._counts[f"pasquin_{name}_total"][tuple(labels.items())] += amount

    def observe(self, model: str, seconds: float) -> None:
        """Note how long a request took."""
        buckets = self._buckets.setdefault(model, [0] * (len(_BOUNDS) + 1))
        buckets[next((at for at, bound in enumerate(_BOUNDS) if seconds <= bound), len(_BOUNDS))] += 1
        self._seconds[model] += seconds

    @property
    def mean_seconds(self) -> float:
        """How long a request took so far; 1 before there was any."""
        count = sum(map(sum, self._buckets.values()))
        return sum(self._seconds.values()) / count if count else 1.0

    def text(self, gauges: Iterable[Gauge]) -> str:
        """Everything, with `gauges` (name, help, values by label) taken now."""
        lines: list[str] = []
        for name, counted in self._counts.items():
            lines += _block(name, _HELP[name], "counter", counted.items())
        for name, says, values in gauges:
            lines += _block(name, says, "gauge", values)
        name = "pasquin_request_seconds"
        lines += [f"# HELP {name} Seconds from request to the end of its answer.", f"# TYPE {name} histogram"]
        for model, buckets in self._buckets.items():
            for at, bound in enumerate((*map(str, _BOUNDS), "+Inf")):
                label = _labels((("model", model), ("le", bound)))
                lines.append(f"{name}_bucket{label} {sum(buckets[: at + 1])}")
            label = _labels((("model", model),))
            lines += [f"{name}_sum{label} {self._seconds[model]:.6f}", f"{name}_count{label} {sum(buckets)}"]
        return "\n".join(lines) + "\n"


def _block(name: str, says: str, kind: str, values: Iterable[tuple[Labels, float]]) -> list[str]:
    rows = [f"{name}{_labels(labels)} {value:.15g}" for labels, value in values]
    return [f"# HELP {name} {says}", f"# TYPE {name} {kind}", *rows]


def _labels(labels: Labels) -> str:
    escaped = ((key, value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")) for key, value in labels)
    inside = ",".join(f'{key}="{value}"' for key, value in escaped)
    return f"{{{inside}}}" if inside else ""
