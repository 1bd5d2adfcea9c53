"""Traces: OpenTelemetry spans around commands and requests, where the packages are there and somebody wants them.

Wanted means: `OTEL_EXPORTER_OTLP_ENDPOINT` is set (`pip install 'pasquin[otel]'`), or a program that uses Pasquin has
set up a tracer provider. Otherwise a span costs a look into a dictionary. Attributes are names and numbers: no post, no
address, no secret.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from pasquin.errors import ResourceError

ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
TIMEOUT: Final = "OTEL_EXPORTER_OTLP_TIMEOUT"
_PATIENCE_SECONDS: Final = 2.0
"""How long a command waits at its end for a collector that does not answer."""


class Span:
    """A span that may be none."""

    def __init__(self, inner: Any = None) -> None:
        self._inner = inner

    def rename(self, name: str) -> None:
        """Give it another name."""
        if self._inner is not None:
            self._inner.update_name(name)

    def note(self, **attributes: str | float | bool) -> None:
        """Add attributes (`pasquin.` is put before each)."""
        if self._inner is None:
            return
        for key, value in attributes.items():
            self._inner.set_attribute(f"pasquin.{key}", value)


@contextmanager
def span(name: str, **attributes: str | float | bool) -> Iterator[Span]:
    """A span around the block; what goes wrong in it is noted by its kind, not by its words."""
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        yield Span()
        return
    with api.get_tracer("pasquin").start_as_current_span(
        name, record_exception=False, set_status_on_exception=False
    ) as inner:
        found = Span(inner)
        found.note(**attributes)
        try:
            yield found
        except BaseException as exc:
            inner.set_status(api.Status(api.StatusCode.ERROR, type(exc).__name__))
            raise


def start() -> None:
    """Export traces over OTLP/HTTP when the environment names where to. Raises ResourceError without the packages."""
    if not os.environ.get(ENDPOINT):
        return
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as exc:
        raise ResourceError(f"{ENDPOINT} is set, and traces need packages: pip install 'pasquin[otel]'.") from exc
    provider = TracerProvider(
        resource=Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "pasquin")})
    )
    patience = None if TIMEOUT in os.environ else _PATIENCE_SECONDS  # None: as the environment says
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=patience)))
    trace.set_tracer_provider(provider)
