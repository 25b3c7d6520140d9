"""What every dialect does, and the HTTP/1.1 request that all of them write."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

from loadtest.datatypes import Array, Rows
from loadtest.errors import BadDialect
from loadtest.server_model import ServerModel

Headers = tuple[tuple[str, str], ...]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(r"[!-~]+")
_VALUE = re.compile(r"[\t -~\x80-\xff]*")
_OURS = frozenset({"content-length", "host", "transfer-encoding"})


class Dialect(Protocol):
    """A way to put rows into a request and to read outputs from the body of its answer.

    Instances are immutable and can be pickled: a run's processes share them.
    """

    @property
    def name(self) -> str:
        """What the run's JSON calls it."""

    @property
    def hides_infinities(self) -> bool:
        """Whether NaN and infinities look the same in an answer (JSON writes both as null)."""

    @property
    def may_leave_out_rows(self) -> bool:
        """Whether the answer to one row may come without the dimension of the rows."""

    def target(self, model: ServerModel) -> str:
        """Return the request target: the path on the model's server."""

    def request(self, host_header: str, target: str, rows: Rows) -> bytes:
        """Return a complete HTTP/1.1 request that holds all `rows`.

        Raises:
            BadDialect: a datatype or number of rows that the dialect cannot carry.
        """

    def request_of(self, host_header: str, target: str, body: bytes) -> bytes:
        """Return a complete HTTP/1.1 request around a body that the caller made.

        Raises:
            BadDialect: a body that the dialect's headers cannot be made for.
        """

    def outputs(self, body: bytes) -> dict[str, Array]:
        """Return the outputs in the body of a 200 by name.

        Raises:
            BadAnswer: not an answer in this dialect.
        """


def http_request(
    method: str, target: str, host_header: str, headers: Sequence[tuple[str, str]], body: bytes
) -> bytes:
    """Return the bytes of an HTTP/1.1 request.

    Raises:
        BadDialect: a method, target or header that HTTP does not allow, or a header that says how
            long the body is: that is written here.
    """
    _check(_TOKEN, method, "method")
    _check(_TARGET, target, "path")
    lines = [f"{method} {target} HTTP/1.1"]
    for name, value in (("Host", host_header), *headers):
        _check(_TOKEN, name, "header")
        _check(_VALUE, value, f"header {name}")
        if len(lines) > 1 and name.lower() in _OURS:
            raise BadDialect(f"header {name}: it is written by the load tester")
        lines.append(f"{name}: {value}")
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def body_of(request: bytes) -> bytes:
    """Return the body of a request that `http_request` wrote."""
    return request.partition(b"\r\n\r\n")[2]


def merged(headers: Headers, more: Headers) -> Headers:
    """Return `headers` and `more`, which wins where a name is in both."""
    names = {name.lower() for name, _ in more}
    return (*(pair for pair in headers if pair[0].lower() not in names), *more)


def url_prefix(model: ServerModel) -> str:
    """Return the path that the server's URL has before its own paths, "" for none."""
    _, slash, prefix = model.url.partition("://")[2].partition("/")
    return slash + prefix


def _check(pattern: re.Pattern[str], text: Any, what: str) -> None:
    if not isinstance(text, str) or not pattern.fullmatch(text):
        raise BadDialect(f"{what}: {text!a} is not allowed in an HTTP request")
