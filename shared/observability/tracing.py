"""Correlation and trace context, from HTTP and messages to messages. It uses only the OpenTelemetry API: a deployment that wants spans
installs an SDK; without one the ids are passed on too."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROPAGATOR = TraceContextTextMapPropagator()


def current_traceparent() -> str | None:
    """Return the W3C `traceparent` of the current span, if there is one."""
    if not trace.get_current_span().get_span_context().is_valid:
        return None
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get("traceparent")


def current_correlation() -> str | None:
    value = structlog.contextvars.get_contextvars().get("correlation")
    return str(value) if value else None


@contextmanager
def continued(traceparent: str | None, **ids: str | None) -> Iterator[None]:
    """Make the block a part of that trace. Its log lines carry the ids (`tenant=`, `correlation=`, …)."""
    bound = structlog.contextvars.bind_contextvars(**{name: value for name, value in ids.items() if value})
    token = None
    if traceparent:
        token = otel.attach(_PROPAGATOR.extract({"traceparent": traceparent}))
    try:
        yield
    finally:
        if token is not None:
            otel.detach(token)
        structlog.contextvars.reset_contextvars(**bound)


def add_trace_ids(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A processor of structlog."""
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        event["trace_id"], event["span_id"] = format(span.trace_id, "032x"), format(span.span_id, "016x")
    return event
