"""Structured logs: one JSON object a line with service, tenant, correlation and trace ids; exceptions with their stack."""

import json
import logging
import re
import sys
from typing import Protocol

import orjson
import structlog
from structlog.typing import EventDict

from shared.observability.tracing import add_trace_ids

# Values under these names never reach a log; the tidy test looks for the same names in calls.
SECRET_NAME = re.compile(r"password|secret|token|authorization|api_?key|credential|private_key|database_url|dsn", re.IGNORECASE)
REDACTED = "[redacted]"
# It begins with what is rare: a caller's path of 60,000 letters, tried as a scheme from each of them, takes seconds.
_URL_PASSWORD = re.compile(r"(?<=://)([^\s:/@]*:)[^\s@/]+@")


class LogSettings(Protocol):
    @property
    def log_level(self) -> str: ...
    @property
    def log_format(self) -> str: ...


def redact(_logger: object, _method: str, event: EventDict) -> EventDict:
    for name, value in event.items():
        event[name] = REDACTED if SECRET_NAME.search(name) else _clean(value)
    return event


def _clean(value: object) -> object:
    match value:
        case dict():
            return {k: REDACTED if SECRET_NAME.search(str(k)) else _clean(v) for k, v in value.items()}
        case list() | tuple():
            return [_clean(item) for item in value]
        case str():
            return _URL_PASSWORD.sub(rf"\1{REDACTED}@", value)
        case _:
            return value


def _dumps(event: EventDict, **_: object) -> str:
    try:
        return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # half a surrogate pair, an integer of more than 64 bits: callers can send both
        return json.dumps(event, default=str, skipkeys=True)


def _said_once(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Drop uvicorn's second copy of a text, which contains escape codes."""
    event.pop("color_message", None)
    return event


def configure_logging(service: str, settings: LogSettings) -> None:
    """Call once, first of all. The standard library's loggers (uvicorn, aiokafka, faust, alembic) come out in the same form."""

    def add_service(_logger: object, _method: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    level = logging.getLevelNamesMapping()[settings.log_level]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        _said_once,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_service,
        add_trace_ids,
    ]
    is_console = settings.log_format == "console"
    last: list[structlog.typing.Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        redact,  # after the stack has become a text: it would make a list of the tuple that the stack is found by
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)  # no locals: they hold secrets
        if is_console
        else structlog.processors.JSONRenderer(serializer=_dumps),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = name != "uvicorn.access"  # the web layer writes its own access log
    # One line for each reconnect attempt is what these say while a broker is away; the retries log it already.
    logging.getLogger("aiokafka").setLevel(max(level, logging.WARNING))
    logging.getLogger("httpx").setLevel(max(level, logging.WARNING))
