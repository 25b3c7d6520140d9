"""A closed loop over HTTP/1.1: each connection sends its next request when it is answered.

A closed loop measures the highest throughput that so many callers can get. It does not measure
latency under a given load: a slow answer delays the next request (coordinated omission).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import cast

import uvloop

CONNECT_S_MAX = 10.0
_END_OF_HEADERS = b"\r\n\r\n"
_CONTENT_LENGTH = b"\r\ncontent-length:"
_STATUS_START, _STATUS_END = 9, 12


@dataclass(frozen=True, slots=True)
class Load:
    """One measurement: where, what, how many connections, how long."""

    host: str
    port: int
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    connections: int
    seconds: float

    def request(self) -> bytes:
        """Return the bytes of one request."""
        lines = [
            f"POST {self.path} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            f"Content-Length: {len(self.body)}",
            *(f"{name}: {value}" for name, value in self.headers),
        ]
        return "\r\n".join(lines).encode() + _END_OF_HEADERS + self.body


@dataclass(slots=True)
class Result:
    """What a measurement saw: answers by status, latencies in seconds, the generator's own CPU."""

    seconds: float = 0.0
    cpu_s: float = 0.0
    statuses: dict[int, int] = field(default_factory=dict)
    latencies_s: list[float] = field(default_factory=list)

    @property
    def answered(self) -> int:
        """Answers with status 200."""
        return self.statuses.get(200, 0)

    @property
    def per_s(self) -> float:
        """Answers with status 200 per second."""
        return self.answered / self.seconds

    def percentile_s(self, share: float) -> float:
        """Return the latency below which `share` of the answers lie, in seconds."""
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class _Caller(asyncio.Protocol):
    """One connection; complete when it has been told to stop and has its last answer."""

    def __init__(self, request: bytes, result: Result, ends_s: float) -> None:
        self._request = request
        self._result = result
        self._ends_s = ends_s
        self._sent_s = 0.0
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio.Transport.
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head_end = self._buffer.find(_END_OF_HEADERS)
        if head_end < 0:
            return
        head = self._buffer[:head_end].lower()
        start = head.find(_CONTENT_LENGTH) + len(_CONTENT_LENGTH)
        end = head.find(b"\r\n", start)
        length = int(head[start : end if end >= 0 else None])
        total = head_end + len(_END_OF_HEADERS) + length
        if len(self._buffer) < total:
            return
        self._buffer = self._buffer[total:]
        now_s = time.perf_counter()
        status = int(head[_STATUS_START:_STATUS_END])
        self._result.statuses[status] = self._result.statuses.get(status, 0) + 1
        self._result.latencies_s.append(now_s - self._sent_s)
        if now_s < self._ends_s:
            self._send()
        elif self._transport is not None:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.done.done():
            return
        if exc is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(exc)

    def _send(self) -> None:
        assert self._transport is not None
        self._sent_s = time.perf_counter()
        self._transport.write(self._request)


def measure(load: Load) -> Result:
    """Run one measurement; it stops by itself.

    Raises:
        OSError: the server cannot be reached or closes a connection with an error.
    """
    return uvloop.run(_measure(load))


async def _measure(load: Load) -> Result:
    loop = asyncio.get_running_loop()
    result = Result()
    request = load.request()
    started_s, cpu_s = time.perf_counter(), time.process_time()
    ends_s = started_s + load.seconds
    callers: list[_Caller] = []
    async with asyncio.timeout(CONNECT_S_MAX):
        for _ in range(load.connections):
            _, caller = await loop.create_connection(
                lambda: _Caller(request, result, ends_s), load.host, load.port
            )
            callers.append(caller)
    await asyncio.gather(*(caller.done for caller in callers))
    result.seconds = time.perf_counter() - started_s
    result.cpu_s = time.process_time() - cpu_s
    return result
