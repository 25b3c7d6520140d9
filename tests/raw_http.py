"""HTTP over a bare socket: what no client library would send, and every answer that came back."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

READ_BYTES = 2**16
ANSWER_S_MAX = 20.0


# What an error must never show: paths, addresses, tracebacks, types and functions of ours.
LEAKS = re.compile(
    rb"/(tmp|work|usr|home|root)/|\.py\b|Traceback|0x[0-9a-f]{6}|127\.0\.0\.1|[Rr]edis|[Vv]alkey|msgspec"
    rb"|orjson|numpy|aiohttp|[a-z]Error\b|bb:|\x1b|\xe2\x80"
)
ERROR_BYTES_MAX = 512
_PASSING = re.compile(
    r"^(Date:|X-Request-Id:|Server-Timing:|Retry-After:|retry-after-ms:) .*", re.M
)


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes
    head: str = ""

    @property
    def lasting(self) -> tuple[str, bytes]:
        """Head and body byte for byte, without what differs from one answer to the next."""
        request_id = self.headers.get("x-request-id", "")
        body = self.body.replace(request_id.encode(), b"<id>") if request_id else self.body
        return _PASSING.sub(r"\1 <differs>", self.head), body

    @property
    def document(self) -> Any:
        """The body as JSON, read strictly: NaN and Infinity are no JSON."""
        return json.loads(self.body, parse_constant=_refuse_constant)

    @property
    def code(self) -> str:
        """The `code` of an error body."""
        return str(self.document["code"])

    @property
    def is_error_body(self) -> bool:
        """Whether it has the shape, size and type of every error, and shows nothing inside."""
        document = self.document
        return (
            self.headers["content-type"] == "application/json"
            and list(document) == ["error", "code", "request_id"]
            and all(isinstance(value, str) for value in document.values())
            and document["request_id"] == self.headers["x-request-id"]
            and len(self.body) <= ERROR_BYTES_MAX
            and LEAKS.search(self.body) is None
        )


class Connection:
    """A connection to one gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def send(self, *pieces: bytes) -> None:
        """Send each piece; what the server no longer wants to read is not an error."""
        for piece in pieces:
            self.writer.write(piece)
            try:
                await self.writer.drain()
            except ConnectionError:
                return

    async def answer(self, *, to_head: bool = False) -> Answer | None:
        """Return the next response, None where the connection ends before one begins."""
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except ConnectionError:
            return None
        except asyncio.IncompleteReadError as error:
            assert not error.partial, "the connection ended inside of an answer"
            return None
        status_line, *lines = head.decode("latin-1").split("\r\n")[:-2]
        headers = {name.lower(): value.strip() for name, _, value in map(_parted, lines)}
        length = 0 if to_head else int(headers.get("content-length", 0))
        body = await self._reader.readexactly(length)
        return Answer(int(status_line.split()[1]), headers, body, head.decode("latin-1"))

    async def answers(self) -> list[Answer]:
        """Return every response until the server closes the connection."""
        found: list[Answer] = []
        while (answer := await self.answer()) is not None:
            found.append(answer)
        return found

    def end_sending(self) -> None:
        """Say that nothing more will come."""
        # The server may have closed the connection without our having read that yet.
        with suppress(OSError):
            if not self.writer.transport.is_closing():
                self.writer.write_eof()

    async def bytes_left(self) -> int:
        """Return how many bytes still come until the connection ends, in whatever way."""
        count = 0
        try:
            while data := await self._reader.read(READ_BYTES):
                count += len(data)
        except ConnectionError:
            pass
        return count


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    """A new connection to the server at `url`; it is reset at the end of the block."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=2**24)
    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            yield Connection(reader, writer)
    finally:
        writer.transport.abort()


async def exchange(url: str, *pieces: bytes) -> list[Answer]:
    """Send the pieces over a connection of their own; return all answers until it is closed."""
    async with connected(url) as connection:
        await connection.send(*pieces)
        return await connection.answers()


async def ask(url: str, *pieces: bytes) -> Answer | None:
    """Send the pieces over a connection of their own; return the first answer, if there is one."""
    async with connected(url) as connection:
        await connection.send(*pieces)
        return await connection.answer()


def request(
    method: str = "GET",
    path: str = "/v2/health/live",
    headers: Iterable[str] = (),
    body: bytes | None = None,
) -> bytes:
    """A request as bytes; Content-Length is added where there is a body."""
    lines = [f"{method} {path} HTTP/1.1", "Host: gateway", *headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def chunked(*chunks: bytes) -> bytes:
    """A whole chunked body."""
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def resident_bytes(pid: int) -> int:
    """The resident memory of a process; what hostile bytes must not make grow."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def _parted(line: str) -> tuple[str, str, str]:
    return line.partition(":")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
