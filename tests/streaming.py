"""A stream as a stranger's client opens it: aiohttp's WebSocket and the `msgpack` library."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgpack
import numpy as np

ANSWERS_S_MAX = 20.0
_SMALL, _MEDIUM, _MEDIUM_MAX = 125, 126, 0xFFFF


@dataclass(frozen=True)
class Closed:
    """How a stream ended."""

    code: int | None
    reason: str | None


class StreamClient:
    """One stream; answers are kept in the order in which they came."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.answers: list[dict[str, Any]] = []
        self.closed: Closed | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls, http: aiohttp.ClientSession, url: str, model: str, **options: Any
    ) -> AsyncIterator[StreamClient]:
        """A stream to a model."""
        async with http.ws_connect(f"{url}/v2/models/{model}/stream", **options) as socket:
            yield cls(socket)

    async def send(self, *requests: Any) -> None:
        """Send requests in one message: one as a map, several as an array."""
        await self.send_bytes(msgpack.packb(requests[0] if len(requests) == 1 else requests))

    async def send_bytes(self, message: bytes) -> None:
        await self.socket.send_bytes(message)

    async def receive(self) -> bool:
        """Take in the next message; return False if it was the end of the stream."""
        async with asyncio.timeout(ANSWERS_S_MAX):
            message = await self.socket.receive()
        if message.type is not aiohttp.WSMsgType.BINARY:
            self.closed = Closed(self.socket.close_code, message.extra)
            return False
        found = msgpack.unpackb(message.data)
        self.answers += found if isinstance(found, list) else [found]
        return True

    async def ask(self, *requests: Any) -> list[dict[str, Any]]:
        """Send requests; return their answers, and no others, in the order of the requests."""
        count = len(self.answers)
        await self.send(*requests)
        while len(self.answers) < count + len(requests):
            assert await self.receive(), self.closed
        found = {answer["id"]: answer for answer in self.answers[count:]}
        return [found[request["id"]] for request in requests]

    async def end(self) -> Closed:
        """Return how the stream ended, after all answers that came before."""
        while await self.receive():
            pass
        assert self.closed is not None
        return self.closed


def row_request(name: str, x: float, **more: Any) -> dict[str, Any]:
    """A request for a model of one FP64 input `x` of [-1, 1]."""
    return tensors_request(name, {"x": np.array([[x]])}, **more)


def tensors_request(name: str, tensors: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A request of these arrays."""
    names = {"float64": "FP64", "int64": "INT64", "float32": "FP32"}
    inputs = [
        {
            "name": key,
            "shape": list(array.shape),
            "datatype": names[array.dtype.name],
            "data": array.tobytes(),
        }
        for key, array in tensors.items()
    ]
    return {"id": name, "inputs": inputs, **more}


def value_of(answer: dict[str, Any]) -> float:
    """The only value of an answer's only output."""
    assert "error" not in answer, answer
    return float(np.frombuffer(answer["outputs"][0]["data"], "<f8")[0])


def handshake(url: str, model: str, headers: Sequence[str] = ()) -> bytes:
    """The bytes of a WebSocket handshake."""
    lines = [
        f"GET /v2/models/{model}/stream HTTP/1.1",
        f"Host: {urlsplit(url).netloc}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def frame(payload: bytes, opcode: int = 2) -> bytes:
    """A whole WebSocket frame from a client, its mask all zeros."""
    size = len(payload)
    if size <= _SMALL:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size <= _MEDIUM_MAX:
        head = bytes((0x80 | opcode, 0x80 | _MEDIUM)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0xFF)) + size.to_bytes(8, "big")
    return head + bytes(4) + payload
