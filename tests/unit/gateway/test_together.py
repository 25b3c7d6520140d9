"""Requests that are alike, begun together by a gateway that believes in its queue and worker."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from bridge.contract.model import ModelContract, Serving, TensorSpec, ValueRules
from bridge.gateway.catalog import ModelVersion
from bridge.gateway.dialects.call import TIMEOUT_MAX_S, InputLimits
from bridge.gateway.dialects.plain import Plain
from bridge.gateway.gateway import Gateway
from bridge.gateway.inference import Inference, Opened
from bridge.gateway.launch import Flight, Outcome, Results, Returned
from bridge.gateway.metrics import GatewayMetrics
from bridge.gateway.problem import Problem, bad_result
from bridge.gateway.together import Alike, Together
from bridge.wire.block import from_block
from bridge.wire.frame import RequestFrame, ServiceReport, decode_request
from tests.gateway_in_process import Rig

pytestmark = pytest.mark.asyncio

CONTRACT = ModelContract(
    name="m",
    version="1",
    platform="onnx_onnxv1",
    inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, 1), rules=ValueRules(range=(0, 99))),),
    outputs=(TensorSpec(name="y", datatype="FP32", shape=(-1, 1)),),
    serving=Serving(latency_target_s=1.0),
)
AMPLE = ServiceReport(1e-4, 1e-6, 0.05, 1024, 1024)
# 0.1 s a row, one at a time: of those that come together about ten are in time.
TIGHT = ServiceReport(0.1, 0.0, 0.0, 1, 1)


def body(value: float, rows: int = 1) -> bytes:
    item = {"name": "x", "shape": [rows, 1], "datatype": "FP32", "data": [value] * rows}
    return json.dumps({"inputs": [item]}).encode()


@dataclass
class Caller:
    """Remembers what it was told."""

    heard: list[object] = field(default_factory=list)
    flight: Flight | None = None
    settled: asyncio.Event = field(default_factory=asyncio.Event)

    def refuse(self, error: Problem) -> None:
        self.heard.append(error.code.value)

    def refuse_overload(self, retry_after_s: float) -> None:
        self.heard.append(retry_after_s)

    def launched(self, version: ModelVersion, flight: Flight, plain: Plain, said: Any) -> None:
        self.flight = flight

    def settle(self, outcome: Outcome) -> None:
        self.heard.append(outcome)
        self.settled.set()


@dataclass
class Answers:
    """Remembers whose rows came back, and which."""

    rows: dict[Flight, list[float]] = field(default_factory=dict)

    def on_returned(self, returned: Sequence[Returned], results: Results) -> None:
        for flight, start, _ in returned:
            self.rows[flight] = results.arrays["y"][start : start + flight.rows, 0].tolist()


class Begun:
    """Requests that were begun together, and what became of them."""

    def __init__(self, service: ServiceReport = AMPLE) -> None:
        self.gateway = Gateway("redis://127.0.0.1:1", InputLimits(), GatewayMetrics(None))
        self.rig = Rig(CONTRACT, 0, lambda: None)
        self.rig.begin(self.gateway, service)
        self.inference = Inference(self.gateway)
        self.together = Together(self.gateway, self.inference)
        self.version = self.gateway.find("m", None)
        self.answers = Answers()
        self.callers: list[Caller] = []

    def begin(
        self, *bodies: bytes, timeout_s: float | None = None, now_s: float | None = None
    ) -> list[int]:
        plain = self.version.door.plain("application/json", None)
        assert plain is not None
        now_s = time.monotonic() if now_s is None else now_s
        alike = Alike(Opened(self.version, timeout_s, None), plain, 0, now_s)
        callers = [Caller() for _ in bodies]
        self.callers += callers
        return self.together.begin(alike, bodies, callers, self.answers)

    def frames(self) -> list[RequestFrame]:
        return [decode_request(frame.data) for frame in self.gateway._take_frames()]

    def answer_all(self) -> None:
        """What a worker answers: ones."""
        for packed in self.gateway._take_frames():
            self.gateway.on_reply(self.rig._result(packed))

    @property
    def own_rows(self) -> int:
        return self.gateway.admission.own_rows("m@1")


async def test_they_travel_in_one_frame_in_their_order() -> None:
    begun = Begun()
    begun.begin(body(1.0), body(2.0, rows=2), body(3.0))
    (frame,) = begun.frames()
    rows = from_block(frame.tensors[0], 4)[:, 0].tolist()
    assert (rows, [item.rows for item in frame.requests]) == ([1.0, 2.0, 2.0, 3.0], [1, 2, 1])


async def test_what_is_not_plain_or_not_right_is_left_to_others() -> None:
    begun = Begun()
    assert begun.begin(body(1.0), b"{", body(2.0)) == [1]
    assert [caller.flight is None for caller in begun.callers] == [False, True, False]


async def test_a_value_that_is_not_accepted_leaves_all_to_others() -> None:
    begun = Begun()
    assert begun.begin(body(1.0), body(100.0)) == [0, 1]
    assert begun.own_rows == 0


async def test_each_gets_its_own_rows_back() -> None:
    begun = Begun()
    begun.begin(body(1.0), body(2.0, rows=3))
    begun.answer_all()
    assert list(begun.answers.rows.values()) == [[1.0], [1.0, 1.0, 1.0]]
    assert (begun.own_rows, [caller.heard for caller in begun.callers]) == (0, [[], []])


async def test_of_too_many_the_first_are_let_in_and_the_others_are_told_when() -> None:
    begun = Begun(TIGHT)
    begun.begin(*(body(1.0) for _ in range(40)))
    let_in = [caller.flight is not None for caller in begun.callers]
    count = sum(let_in)
    assert 0 < count < 40
    assert let_in == [True] * count + [False] * (40 - count)
    assert begun.own_rows == count
    hints = [caller.heard for caller in begun.callers[count:]]
    assert all(len(heard) == 1 and isinstance(heard[0], float) for heard in hints)


async def test_after_a_refusal_others_are_refused_unread() -> None:
    begun = Begun(TIGHT)
    begun.begin(*(body(1.0) for _ in range(40)))
    assert begun.begin(b"not read") == []
    assert [type(heard) for heard in begun.callers[-1].heard] == [float]


async def test_who_speaks_of_a_timeout_is_read_first() -> None:
    begun = Begun(TIGHT)
    begun.begin(*(body(1.0) for _ in range(40)))
    assert begun.begin(b"timeout") == [0]


async def test_a_timeout_that_is_capped_is_left_to_others() -> None:
    assert Begun().begin(body(1.0), timeout_s=TIMEOUT_MAX_S + 1) == [0]


async def test_one_who_leaves_is_not_sent_and_the_others_are() -> None:
    begun = Begun()
    begun.begin(body(1.0), body(2.0), body(3.0))
    gone = begun.callers[1].flight
    assert gone is not None
    begun.gateway.abandon(gone)
    (frame,) = begun.frames()
    assert from_block(frame.tensors[0], 2)[:, 0].tolist() == [1.0, 3.0]


async def test_one_whose_rows_fail_fails_alone() -> None:
    begun = Begun()
    begun.begin(body(1.0), body(2.0))
    failing = begun.callers[0].flight
    assert failing is not None
    begun.gateway.flights.fail(failing, bad_result())
    begun.answer_all()
    assert [len(caller.heard) for caller in begun.callers] == [1, 0]
    assert list(begun.answers.rows.values()) == [[1.0]]


async def test_without_a_queue_each_is_told() -> None:
    begun = Begun()
    begun.gateway.link._connected = False
    begun.begin(body(1.0), body(2.0))
    assert [caller.heard for caller in begun.callers] == [["queue_unavailable"]] * 2


async def test_at_their_deadline_all_expire_and_their_room_is_given_back() -> None:
    begun = Begun()
    begun.begin(body(1.0), body(2.0), timeout_s=0.05)
    for caller in begun.callers:
        await caller.settled.wait()
    assert (begun.own_rows, [len(caller.heard) for caller in begun.callers]) == (0, [1, 1])
