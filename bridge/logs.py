"""Logs: one JSON line per event, on standard error."""

from __future__ import annotations

import logging
import sys

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

TEXT_CHARS_MAX = 1_000


def configure_logs(process: str) -> None:
    """Send every event of this process to standard error as one JSON line."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _named(process),
            _bounded,
            structlog.processors.JSONRenderer(serializer=_dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries that use the standard logging speak up only when something is wrong.
    logging.basicConfig(level=logging.WARNING, handlers=[_JsonHandler()], force=True)


class _JsonHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger(record.name).warning("library", text=record.getMessage())


def _named(process: str) -> structlog.typing.Processor:
    def add(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    return add


def _bounded(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if isinstance(value, str) and len(value) > TEXT_CHARS_MAX and key != "exception":
            event[key] = value[:TEXT_CHARS_MAX] + "..."
    return event


def _dumps(event: object, **_: object) -> str:
    # orjson escapes control characters, so that no value can break a line in two.
    return orjson.dumps(event, default=str).decode()
