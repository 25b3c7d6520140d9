"""One HTTP connection of a test: it knows exactly which bytes were sent and what came back."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

from tests.faults.fault_models import FINE, answer_of
from tests.gate import HELD
from tests.tiny_models import infer_body

ANSWER_BYTES_MAX = 2**20


class NoAnswerError(Exception):
    """The connection ended before a whole answer."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One single-row request; `model` does with it what `mark` and `pause_ms` say."""

    nonce: int
    mark: int = FINE
    pause_ms: float = 0.0
    model: str = "mirror"
    timeout_ms: int | None = None

    def encode(self) -> bytes:
        """The whole HTTP request."""
        columns = (
            ("nonce", "INT64", self.nonce),
            ("mark", "INT64", self.mark),
            ("pause_ms", "FP64", self.pause_ms),
        )
        tensors = [
            {"name": name, "shape": [1], "datatype": datatype, "data": [value]}
            for name, datatype, value in columns
        ]
        return http_post(self.model, json.dumps({"inputs": tensors}).encode(), self.timeout_ms)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, after `seconds`."""

    status: int
    headers: dict[str, str]
    body: Any
    seconds: float = field(compare=False)

    @property
    def code(self) -> str:
        """The code of an error, "ok" for an answer."""
        return "ok" if self.status == 200 else f"{self.status} {self.body.get('code')}"

    @property
    def value(self) -> Any:
        """The only element of the only output."""
        return self.body["outputs"][0]["data"][0]

    def is_for(self, ask: Ask) -> bool:
        """Whether an answer with 200 holds exactly the caller's own row."""
        return bool(self.body["outputs"][0]["data"] == [answer_of(ask.nonce)])


def http_post(model: str, body: bytes, timeout_ms: int | None = None) -> bytes:
    """An inference request with this body."""
    lines = [
        f"POST /v2/models/{model}/infer HTTP/1.1",
        "Host: test",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    if timeout_ms is not None:
        lines.append(f"X-Request-Timeout-Ms: {timeout_ms}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def http_get(path: str) -> bytes:
    """A GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode()


def held_request(timeout_ms: int | None = None) -> bytes:
    """A request whose run waits at the gate."""
    return http_post("hold", json.dumps(infer_body([HELD])).encode(), timeout_ms)


class Connection:
    """A connection that the test opens, uses for one request at a time, and closes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._sent_s = 0.0
        self.answers = 0
        self.is_open = True

    @classmethod
    async def open(cls, url: str) -> Connection:
        """Connect; raises OSError when nobody listens."""
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(
            parts.hostname, parts.port, limit=ANSWER_BYTES_MAX
        )
        return cls(reader, writer)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.abort()

    async def ask(self, ask: Ask) -> Answer:
        """Send a request and return its answer."""
        return await self.exchange(ask.encode())

    async def exchange(self, request: bytes) -> Answer:
        """Send bytes and return the answer to them.

        Raises:
            NoAnswerError: the connection ended first.
        """
        await self.send(request)
        return await self.receive()

    async def send(self, request: bytes) -> None:
        """Send bytes, all of them.

        Raises:
            NoAnswerError: the connection has ended.
        """
        self._sent_s = asyncio.get_running_loop().time()
        try:
            self._writer.write(request)
            await self._writer.drain()
        except OSError as error:
            self.abort()
            raise NoAnswerError(repr(error)) from error

    async def receive(self) -> Answer:
        """Return the next answer.

        Raises:
            NoAnswerError: the connection ended first.
        """
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
            status, headers = _parsed(head)
            body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        except (asyncio.IncompleteReadError, OSError) as error:
            self.abort()
            raise NoAnswerError(repr(error)) from error
        self.answers += 1
        if headers.get("connection", "").lower() == "close":
            self.abort()
        seconds = asyncio.get_running_loop().time() - self._sent_s
        is_json = headers.get("content-type") == "application/json"
        return Answer(status, headers, json.loads(body) if is_json else body.decode(), seconds)

    def abort(self) -> None:
        """Go away at once, whatever is under way."""
        self.is_open = False
        self._writer.transport.abort()


def _parsed(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(first.split()[1]), {name.lower(): value for name, value in headers.items()}
