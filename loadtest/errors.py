"""What can go wrong before a load test runs, or while its answers are read.

LoadtestError
├── NoAnswer       nobody answers at the URL, or what answers is not HTTP
├── ModelUnknown   the server does not say what the model accepts
├── BadRows        rows or bodies that cannot be made; the message names the file, line and column
├── BadDialect     a template that is wrong, or rows that the dialect cannot carry
└── BadAnswer      an answer that cannot be read, or that cannot be recorded as the expected one
"""

from __future__ import annotations

ECHO_CHARS_MAX = 200


class LoadtestError(Exception):
    """A load test that cannot be run; the message names what was wrong and where."""


class NoAnswer(LoadtestError):
    """Nobody answers at the URL, or what answers is not HTTP."""


class ModelUnknown(LoadtestError):
    """The server does not say what the model accepts; the message names the URL."""


class BadRows(LoadtestError):
    """Rows or bodies that cannot be made; the message names the file, line and column."""


class BadDialect(LoadtestError):
    """A template that is wrong, or rows that the dialect cannot carry."""


class BadAnswer(LoadtestError):
    """An answer that cannot be read, or that cannot be recorded as the expected one."""


def excerpt(body: bytes) -> str:
    """Return the beginning of an answer as one printable line."""
    text = ascii(body[:ECHO_CHARS_MAX].decode("utf-8", "replace"))[1:-1]
    return f"{text}..." if len(body) > ECHO_CHARS_MAX else text
