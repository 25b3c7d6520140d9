"""An express connection on a wire that remembers, before a backend that the test answers for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from bridge.contract.invalid import InvalidCode, InvalidInput
from bridge.gateway.connection import ConnectionLimits, Connections
from bridge.gateway.express.connection import ExpressConnection, Lane
from bridge.gateway.express.exchange import Exchanges
from bridge.gateway.express.head import Heads
from bridge.gateway.express.reply_bytes import ReplyBytes
from bridge.gateway.express.turn import Turn
from bridge.gateway.inference import InferHead
from bridge.gateway.problem import Problem, no_worker
from bridge.gateway.reply import Reply, problem_reply
from tests.raw_http import request

PATH = "/v2/models/m/infer"


def post(body: bytes = b"{}", *headers: str) -> bytes:
    return request("POST", PATH, headers, body)


class Wire:
    """What the connection did with its transport."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.writes = 0
        self.is_reading_paused = False
        self.first_written = asyncio.Event()
        self.closed = asyncio.Event()

    @property
    def is_closed(self) -> bool:
        return self.closed.is_set()

    def write(self, data: bytes) -> None:
        self.writes += 1
        while data:
            head, _, data = data.partition(b"\r\n\r\n")
            size = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
            self.bodies.append(data[:size])
            data = data[size:]
        self.first_written.set()

    def close(self) -> None:
        self.closed.set()

    abort = close

    def pause_reading(self) -> None:
        self.is_reading_paused = True

    def resume_reading(self) -> None:
        self.is_reading_paused = False

    def get_write_buffer_size(self) -> int:
        return 1

    def get_extra_info(self, name: str) -> None:
        return None


class Successor:
    """What comes after the express lane."""

    def __init__(self) -> None:
        self.received: bytes | None = None
        self.handovers = 0

    def take_over(self, before: object, wire: Wire, received: bytes, headers_by_s: float) -> None:
        self.received = received
        self.handovers += 1


@dataclass
class Backend:
    """The gateway and the steps of a request: bodies that came in, answers when the test says."""

    begun: list[bytes] = field(default_factory=list)
    settles: list[Callable[[Any], None]] = field(default_factory=list)
    abandoned: list[int] = field(default_factory=list)
    is_draining: bool = False
    refuses_heads: bool = False

    def open(self, head: InferHead) -> object:
        if self.refuses_heads:
            raise no_worker()
        return AdmittedStub()

    def refused_unread(self, opened: object, body: bytes, received_s: float) -> float | None:
        return 0.25 if body == b"too many" else None

    def admit(self, head: InferHead, opened: object, body: bytes, received_s: float) -> Any:
        self.begun.append(body)
        if body == b"refused":
            raise InvalidInput(InvalidCode.BAD_JSON, "no")
        if body == b"broken":
            raise RuntimeError("broken")
        return AdmittedStub()

    def launch(self, admitted: object, settle: Callable[[Any], None]) -> int:
        self.settles.append(settle)
        return len(self.settles) - 1

    def abandon(self, flight: int) -> None:
        self.abandoned.append(flight)

    def count(self, flight: int, model: str, outcome: object) -> None: ...

    def count_refusal(self, code: object) -> None: ...

    def reply(self, version: object, call: object, landed: bytes, request_id: str) -> Reply:
        return Reply(200, (), landed)

    def refusal(self, error: Problem | InvalidInput, request_id: str) -> Reply:
        if isinstance(error, Problem):
            reply = problem_reply(error, request_id)
            return Reply(reply.status, (), str(reply.status).encode(), reply.closes)
        return Reply(400, (), b"400")


@dataclass(frozen=True)
class Named:
    """Something with a name."""

    name: str = "m"


@dataclass(frozen=True)
class Doorless:
    """A door through which no request is plain."""

    def plain(self, content_type: str | None, inference_header_length: int | None) -> None: ...


@dataclass(frozen=True)
class Versioned:
    """Something with a contract and a door."""

    contract: Named = field(default_factory=Named)
    door: Doorless = field(default_factory=Doorless)


@dataclass(frozen=True)
class Call:
    """A call without an id."""

    id: None = None


@dataclass(frozen=True)
class AdmittedStub:
    """As much of an admitted call, and of an opened request, as is looked at."""

    version: Versioned = field(default_factory=Versioned)
    call: Call = field(default_factory=Call)


@dataclass
class Rig:
    """A connection between a wire and a backend."""

    limits: ConnectionLimits = field(default_factory=ConnectionLimits)
    body_s_max: float = 10.0
    wire: Wire = field(default_factory=Wire)
    backend: Backend = field(default_factory=Backend)
    successor: Successor = field(default_factory=Successor)

    def __post_init__(self) -> None:
        shared = cast(Any, object.__new__(Exchanges))
        shared.gateway = shared.inference = self.backend
        shared.reply_bytes = ReplyBytes()
        self.connections = Connections(self.limits)
        successor = cast(Any, lambda: self.successor)
        turn = Turn(shared, lambda begin: begin())
        lane = Lane(shared, turn, Heads(), self.connections, successor, self.body_s_max)
        self.connection = ExpressConnection(lane)
        self.connection.connection_made(cast(asyncio.BaseTransport, self.wire))

    def receive(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.connection.data_received(piece)

    def answer(self, place: int, text: bytes) -> None:
        self.backend.settles[place](text)


async def a_turn() -> None:
    """What was left for the loop's next turn has happened."""
    turned = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(turned.set_result, None)
    await turned
