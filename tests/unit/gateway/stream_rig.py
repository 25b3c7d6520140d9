"""A stream before a backend that the test answers for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import numpy as np

from bridge.contract.invalid import InvalidInput
from bridge.gateway.catalog import ModelVersion
from bridge.gateway.dialects.messagepack import CONTENT_TYPE
from bridge.gateway.entrance import Admitted
from bridge.gateway.gateway import Gateway
from bridge.gateway.inference import Inference, InferHead, Opened
from bridge.gateway.launch import Landed, Outcome, Timings
from bridge.gateway.problem import Problem, overloaded
from bridge.gateway.reply import Reply, invalid_reply, problem_reply
from bridge.gateway.stream.limits import DEFAULT_STREAM_LIMITS, StreamLimits
from bridge.gateway.stream.stream import Stream
from bridge.gateway.together import Together
from tests.unit.dialects.doors import contract, door, spec

TENSORS = (spec("x", "FP64", -1, 1),)
OUTPUTS = (spec("y", "FP64", -1, 1),)
VERSION = ModelVersion(
    contract(*TENSORS, outputs=OUTPUTS), "digest", door(*TENSORS, outputs=OUTPUTS)
)
HEAD = InferHead("model", None, CONTENT_TYPE, None, None, None)
HINT_S = 0.25


def request(name: Any = "a", x: float = 1.0, **more: Any) -> dict[str, Any]:
    """A request of one row."""
    data = np.array([x]).tobytes()
    tensor = {"name": "x", "shape": [1, 1], "datatype": "FP64", "data": data}
    return {"id": name, "inputs": [tensor], **more}


@dataclass
class Backend:
    """The gateway and the steps of a request; `refuses` is what every request is answered."""

    settles: list[Callable[[Outcome], None]] = field(default_factory=list)
    abandoned: list[int] = field(default_factory=list)
    counted: list[object] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    refuses: Problem | None = None
    refuses_all: Problem | None = None
    is_pressed: bool = False
    is_draining: bool = False
    is_broken: bool = False

    def open(self, head: InferHead) -> Opened:
        if self.refuses_all is not None:
            raise self.refuses_all
        return Opened(VERSION, None, None)

    def refused_unread(self, opened: object, body: bytes, received_s: float) -> float | None:
        return HINT_S if self.is_pressed else None

    def admit(self, head: InferHead, opened: object, body: bytes, received_s: float) -> Admitted:
        if self.is_broken:
            raise RuntimeError("broken")
        call = VERSION.door.parse(head.content_type, None, body)
        if self.refuses is not None:
            raise self.refuses
        return Admitted(VERSION, call, cast(Any, None), received_s)

    def launch(self, admitted: Admitted, settle: Callable[[Outcome], None]) -> int:
        self.settles.append(settle)
        return len(self.settles) - 1

    def abandon(self, flight: int) -> None:
        self.abandoned.append(flight)

    def count(self, flight: int, model: str, outcome: object) -> None:
        self.counted.append(outcome)

    def count_refusal(self, code: Any) -> None:
        self.refused.append(code.value)

    def refusal(self, error: Problem | InvalidInput, request_id: str) -> Reply:
        if isinstance(error, InvalidInput):
            self.count_refusal(error.code)
            return invalid_reply(error, request_id)
        return problem_reply(error, request_id)


class NonePlain:
    """Leaves all requests to be begun one by one."""

    def begin(self, alike: object, bodies: list[bytes], *others: object) -> list[int]:
        return list(range(len(bodies)))


class Rig:
    """A stream; `due` counts how often it said that there is something to be sent."""

    def __init__(self, limits: StreamLimits = DEFAULT_STREAM_LIMITS, **backend: Any) -> None:
        self.backend = Backend(**backend)
        self.due = 0
        self.stream = Stream(
            cast(Gateway, self.backend),
            cast(Inference, self.backend),
            cast(Together, NonePlain()),
            HEAD,
            limits,
            "connection-1",
            self._note_due,
        )

    def _note_due(self) -> None:
        self.due += 1

    def take(self, message: Any) -> None:
        """Take a message, given decoded."""
        self.stream.take(msgspec.msgpack.encode(message), 0.0)

    def answer(self, place: int, y: float) -> None:
        """Answer the request that was launched at this place."""
        self.settle(place, Landed({"y": np.array([[y]])}, Timings(0.0, 0.0, 0.0)))

    def settle(self, place: int, outcome: Outcome) -> None:
        self.backend.settles[place](outcome)

    def sent(self) -> Any:
        """The next message, decoded; None if there is none."""
        message = self.stream.next_message()
        return None if message is None else msgspec.msgpack.decode(message)


def answered(name: str, y: float) -> dict[str, Any]:
    """The answer to a request."""
    output = {"name": "y", "shape": [1, 1], "datatype": "FP64", "data": np.array([y]).tobytes()}
    return {"model_name": "model", "model_version": "3", "outputs": [output], "id": name}


def too_much(name: str, hint_s: float) -> dict[str, Any]:
    """The refusal of a request that could not be answered in time."""
    return {
        "id": name,
        "error": overloaded(0.0).message,
        "code": "overloaded",
        "status": 429,
        "retry_after_ms": round(hint_s * 1e3),
        "refused": True,
    }
