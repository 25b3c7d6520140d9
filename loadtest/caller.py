"""One caller that asks one question at a time over one connection, blocking; plain HTTP/1.1.

For what comes before a run: the server's metadata, expected answers. Nothing here is measured.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import Self
from urllib.parse import urlsplit

from loadtest.errors import NoAnswer

ANSWER_S_MAX = 30.0
ANSWER_BYTES_MAX = 256 * 2**20
_PORT_DEFAULT = 80


@dataclass(frozen=True, slots=True)
class BaseUrl:
    """A server's address, taken apart; `prefix` is the path before its own paths, "" or "/x"."""

    host: str
    port: int
    host_header: str
    prefix: str

    @classmethod
    def parse(cls, text: str) -> BaseUrl:
        """Return the parts of `http://host[:port][/prefix]`.

        Raises:
            NoAnswer: another scheme, no host, a port that is none, a query.
        """
        try:
            parts = urlsplit(text)
            port = parts.port or _PORT_DEFAULT
        except ValueError as error:
            raise NoAnswer(f"{text}: not a URL: {error}") from error
        if parts.scheme != "http" or not parts.hostname:
            raise NoAnswer(f"{text}: not of the form http://host:port")
        if parts.query or parts.fragment or parts.username is not None:
            raise NoAnswer(f"{text}: only host, port and a path are understood")
        return cls(parts.hostname, port, parts.netloc, parts.path.rstrip("/"))


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    body: bytes


class Caller:
    """A keep-alive connection, made when first needed and again when the server has closed it."""

    def __init__(self, base_url: str, timeout_s: float = ANSWER_S_MAX) -> None:
        self.url = BaseUrl.parse(base_url)
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def get(self, path: str) -> Answer:
        """Ask for `path`, below the URL's prefix.

        Raises:
            NoAnswer: no connection, or no HTTP answer in time.
        """
        return self.ask(self._head("GET", path, 0))

    def post(self, path: str, body: bytes) -> Answer:
        """Send a JSON body to `path`, below the URL's prefix; raises as `get` does."""
        return self.ask(self._head("POST", path, len(body)) + body)

    def ask(self, request: bytes) -> Answer:
        """Send a complete HTTP/1.1 request and return its answer; raises as `get` does."""
        is_reused = self._socket is not None
        try:
            return self._exchange(request)
        except (OSError, HTTPException) as error:
            self.close()
            # A server may close an idle connection at any moment: that is no failure of it.
            if not is_reused or isinstance(error, TimeoutError):
                raise self._no_answer(error) from error
        try:
            return self._exchange(request)
        except (OSError, HTTPException) as error:
            self.close()
            raise self._no_answer(error) from error

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _head(self, method: str, path: str, length: int) -> bytes:
        lines = [
            f"{method} {self.url.prefix}{path} HTTP/1.1",
            f"Host: {self.url.host_header}",
            "Accept: application/json",
        ]
        if method == "POST":
            lines += ["Content-Type: application/json", f"Content-Length: {length}"]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _exchange(self, request: bytes) -> Answer:
        if self._socket is None:
            self._socket = socket.create_connection(
                (self.url.host, self.url.port), timeout=self._timeout_s
            )
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        response = HTTPResponse(self._socket)
        try:
            response.begin()
            body = response.read(ANSWER_BYTES_MAX + 1)
            # Read with a limit, http.client gives a cut answer as if it were whole.
            if response.length and len(body) <= ANSWER_BYTES_MAX:
                raise IncompleteRead(body, response.length)
        finally:
            response.close()
        if response.will_close or len(body) > ANSWER_BYTES_MAX:
            self.close()
        if len(body) > ANSWER_BYTES_MAX:
            raise HTTPException(f"an answer of more than {ANSWER_BYTES_MAX} bytes")
        return Answer(response.status, body)

    def _no_answer(self, error: Exception) -> NoAnswer:
        what = "no answer in time" if isinstance(error, TimeoutError) else str(error)
        return NoAnswer(
            f"http://{self.url.host_header}{self.url.prefix}: {what or type(error).__name__}"
        )
