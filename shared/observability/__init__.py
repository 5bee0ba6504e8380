"""Logs, metrics, traces."""

from shared.observability.logs import configure_logging
from shared.observability.tracing import continued, current_correlation, current_traceparent

__all__ = ["configure_logging", "continued", "current_correlation", "current_traceparent"]
