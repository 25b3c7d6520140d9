"""A gateway without sockets, queue and worker: bytes in, frames out, results in, bytes out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, cast

import numpy as np

from bridge.contract.model import ModelContract, contract_digest, encode_contract
from bridge.gateway.framer import PackedFrame
from bridge.gateway.gateway import Gateway
from bridge.wire.block import to_block
from bridge.wire.clock import ServerClock
from bridge.wire.frame import (
    BatchReport,
    Heartbeat,
    ResultEntry,
    ResultFrame,
    ResultStatus,
    ServedModel,
    ServiceReport,
    decode_request,
    encode_frame,
)

# Turns of the event loop until all is through; more mean that something is lost.
TURNS_MAX = 100


class Lost(Exception):
    """The gateway did not do what a stage waits for."""


class Wire:
    """A transport that counts what is written to it, and keeps the last of it."""

    def __init__(self) -> None:
        self.writes = 0
        self.last = b""

    def write(self, data: bytes) -> None:
        self.writes += 1
        self.last = data

    def writelines(self, pieces: list[bytes]) -> None:
        self.write(b"".join(pieces))

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def close(self) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


@dataclass
class Stages:
    """CPU seconds by stage, of so many requests.

    `taken_in`: from bytes to flights that wait for a frame; `framed`: the frames' bytes;
    `answered`: from result frames to written bytes; `refused`: from bytes to a written 429.
    """

    taken_in: float = 0.0
    framed: float = 0.0
    answered: float = 0.0
    refused: float = 0.0

    def per_request_us(self, requests: int) -> Stages:
        return Stages(*(getattr(self, one.name) * 1e6 / requests for one in fields(self)))


class Rig:
    """A gateway that believes in its queue and its worker, and `width` connections to it."""

    def __init__(self, contract: ModelContract, width: int, protocol: Callable[[], Any]) -> None:
        self.contract = contract
        self.encoded = encode_contract(contract)
        self.clock = ServerClock()
        self.connections = [connect(protocol) for _ in range(width)]

    def begin(self, gateway: Gateway, service: ServiceReport) -> None:
        self.gateway, self.service = gateway, service
        gateway.link._connected = gateway.link._writable = True
        gateway.on_contract(self.contract, contract_digest(self.encoded))
        self.beat()

    def beat(self) -> None:
        """Hear from the worker, as every 0.3 s."""
        served = ServedModel(self.contract.key, contract_digest(self.encoded), self.service)
        beat = Heartbeat("worker", False, 1, 0.0, 0, 0, [served])
        self.gateway.on_reply(encode_frame(beat))
        self.beat_s = time.monotonic()

    @property
    def writes(self) -> int:
        return sum(wire.writes for _, wire in self.connections)

    def receive(self, data: bytes) -> None:
        for connection, _ in self.connections:
            connection.data_received(data)

    async def answered_turn(self, data: bytes, stages: Stages) -> None:
        """One request on each connection, to the end."""
        gateway, width, before = self.gateway, len(self.connections), self.writes
        with _clocked(stages, "taken_in"):
            self.receive(data)
            await turns_until(lambda: len(gateway.flights) == width)
        with _clocked(stages, "framed"):
            frames = gateway._take_frames()
        results = [self._result(frame) for frame in frames]
        with _clocked(stages, "answered"):
            for result in results:
                gateway.on_reply(result)
            await turns_until(lambda: self.writes == before + width)

    async def refused_turn(self, data: bytes, stages: Stages) -> None:
        """One request on each connection, refused."""
        before = self.writes
        with _clocked(stages, "refused"):
            self.receive(data)
            await turns_until(lambda: self.writes == before + len(self.connections))

    def check(self, status: bytes) -> None:
        said = {wire.last[: len(status)] for _, wire in self.connections}
        if said != {status}:
            raise Lost(f"answers begin with {said}, not with {status!r}")

    def _result(self, packed: PackedFrame) -> bytes:
        """What a worker would answer: ones."""
        frame = decode_request(packed.data)
        rows = sum(entry.rows for entry in frame.requests)
        outputs = [
            to_block(one.name, [np.ones((rows, *one.shape[1:]), dtype=one.type.dtype)])
            for one in self.contract.outputs
        ]
        entries = [
            ResultEntry(one.request_id, one.part, ResultStatus.OK, one.rows, 100, 100)
            for one in frame.requests
        ]
        run = BatchReport(rows, 200, True, self.clock.server_us(time.monotonic()), 0)
        return encode_frame(
            ResultFrame("worker", self.contract.key, entries, outputs, run, self.service)
        )


def connect(protocol: Callable[[], Any]) -> tuple[Any, Wire]:
    connection, wire = protocol(), Wire()
    connection.connection_made(cast(asyncio.BaseTransport, wire))
    return connection, wire


@contextmanager
def _clocked(stages: Stages, stage: str) -> Iterator[None]:
    began_s = time.thread_time()
    yield
    setattr(stages, stage, getattr(stages, stage) + time.thread_time() - began_s)


async def turns_until(is_done: Callable[[], bool]) -> None:
    for _ in range(TURNS_MAX):
        if is_done():
            return
        await asyncio.sleep(0)
    raise Lost(f"not done after {TURNS_MAX} turns of the event loop")
