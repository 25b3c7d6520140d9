"""What can go wrong before a load test runs, or while its answers are read.

LoadtestError
├── NoAnswer       nobody answers at the URL, or what answers is not HTTP
├── ModelUnknown   the server does not say what the model accepts
├── BadRows        rows or bodies that cannot be made; the message names the file, line and column
├── BadDialect     a template that is wrong, or rows that the dialect cannot carry
├── BadAnswer      an answer that cannot be read, or that cannot be recorded as the expected one
├── BadOption      an option that cannot be used                                (asked.py)
├── BadShares      shares of models that cannot be used                         (subject.py)
├── ScenarioError  a scenario that cannot be run                                (scenario.py)
├── ArrivalsError  arrivals that cannot be drawn, or a trace that cannot be read (trace.py)
├── ResultError    a result file that cannot be read                            (result.py)
├── CapacityError  no capacity can be claimed                                   (capacity.py)
├── NotYourHost    a host that is not this machine                              (loopback.py)
├── GeneratorDied  a generator process ended before its work did                (runner.py)
└── MlperfError    LoadGen is missing, or cannot run this                       (mlperf.py)
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
