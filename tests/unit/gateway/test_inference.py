"""The steps of an inference request before a gateway that is asked too much, and remembers."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from bridge.contract.invalid import InvalidCode, InvalidInput
from bridge.gateway.catalog import ModelVersion
from bridge.gateway.dialects.call import TIMEOUT_MAX_S, InferCall
from bridge.gateway.gateway import Gateway
from bridge.gateway.inference import PRESSED_S, Inference, InferHead, may_state_units
from bridge.gateway.problem import Problem, overloaded
from tests.unit.dialects.doors import PAIR, contract, request, spec, tensor

RETRY_AFTER_S = 0.5
VERSION = ModelVersion(contract(spec("x", "FP32", -1, 2)), "digest", PAIR)
# What a body says of its priority: nothing, or the parameter.
SILENT = request(tensor([1.0, 2.0]))
SHEDDABLE = request(tensor([1.0, 2.0]), parameters={"priority": "sheddable"})


@dataclass
class FullGateway:
    """Refuses everything; what it was asked for is `early` and `calls`."""

    early: list[tuple[int, float | None]] = field(default_factory=list)
    calls: list[InferCall] = field(default_factory=list)

    @property
    def entrance(self) -> FullGateway:
        return self

    def find(self, model: str, version: str | None) -> ModelVersion:
        return VERSION

    def check_open(self, version: ModelVersion) -> None: ...

    def refused_early(
        self,
        version: ModelVersion,
        requests: int,
        timeout_s: float | None,
        priority: int,
        received_s: float,
    ) -> list[float]:
        self.early.append((priority, timeout_s))
        return [RETRY_AFTER_S] * requests

    def admit(self, version: ModelVersion, call: InferCall, received_s: float) -> Any:
        self.calls.append(call)
        raise overloaded(RETRY_AFTER_S)


def head(*, priority: str | None = None, timeout_ms: str | None = None) -> InferHead:
    return InferHead("model", None, "application/json", None, timeout_ms, priority)


def ask(inference: Inference, head: InferHead, body: bytes, received_s: float = 0.0) -> None:
    """What a lane does with a request, up to its refusal."""
    opened = inference.open(head)
    if inference.refused_unread(opened, body, received_s) is None:
        with suppress(Problem):
            inference.admit(head, opened, body, received_s)


def asked(head: InferHead, body: bytes, received_s: float = 0.0) -> FullGateway:
    """A gateway that has refused one request, before it got this one."""
    gateway = FullGateway()
    inference = Inference(cast(Gateway, gateway))
    ask(inference, InferHead("model", None, None, None, None, None), SILENT)
    gateway.calls.clear()
    ask(inference, head, body, received_s)
    return gateway


def first_priority(head: InferHead, body: bytes) -> int:
    """The priority that a request is admitted with where nothing was refused before."""
    gateway = FullGateway()
    ask(Inference(cast(Gateway, gateway)), head, body)
    return gateway.calls[0].priority


@pytest.mark.parametrize(
    ("said", "body", "expected"),
    [
        (None, SILENT, 0),
        (None, SHEDDABLE, 3),
        ("critical", SILENT, 1),
        ("critical", SHEDDABLE, 1),
        ("default", SHEDDABLE, 0),
        ("2", SHEDDABLE, 2),
    ],
)
def test_the_headers_priority_beats_the_bodys(said: str | None, body: bytes, expected: int) -> None:
    assert first_priority(head(priority=said), body) == expected


def test_a_header_may_set_timeout_and_priority() -> None:
    gateway = FullGateway()
    ask(Inference(cast(Gateway, gateway)), head(priority="sheddable", timeout_ms="250"), SILENT)
    assert [(call.timeout_s, call.priority) for call in gateway.calls] == [(0.25, 3)]


@pytest.mark.parametrize(
    ("said", "expected"), [(None, 0), ("critical", 1), ("default", 0), ("sheddable", 3), ("7", 7)]
)
def test_after_a_refusal_bodies_are_judged_unread_by_the_heads_priority(
    said: str | None, expected: int
) -> None:
    gateway = asked(head(priority=said), SILENT)
    assert (gateway.early, gateway.calls) == ([(expected, None)], [])


def test_a_priority_in_the_body_does_not_count_where_the_header_has_one() -> None:
    assert asked(head(priority="critical"), SHEDDABLE).early == [(1, None)]


def test_a_timeout_in_the_body_does_not_count_where_the_header_has_one() -> None:
    body = request(tensor([1.0, 2.0]), parameters={"timeout": 9_000_000})
    assert asked(head(timeout_ms="250"), body).early == [(0, 0.25)]


def test_a_timeout_is_capped_before_it_is_judged() -> None:
    assert asked(head(timeout_ms="7200000"), SILENT).early == [(0, TIMEOUT_MAX_S)]


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        pytest.param(head(), SHEDDABLE, id="a priority in the body"),
        pytest.param(
            head(priority="critical"),
            request(tensor([1.0, 2.0]), parameters={"timeout": 250_000}),
            id="a timeout in the body",
        ),
    ],
)
def test_a_body_that_may_count_is_read_before_it_is_judged(sent: InferHead, body: bytes) -> None:
    gateway = asked(sent, body)
    assert (gateway.early, len(gateway.calls)) == ([], 1)


def test_some_time_after_the_last_refusal_bodies_are_read_again() -> None:
    gateway = asked(head(), SILENT, received_s=PRESSED_S)
    assert (gateway.early, len(gateway.calls)) == ([], 1)


def test_a_bad_priority_is_refused_before_the_body_is_there() -> None:
    inference = Inference(cast(Gateway, FullGateway()))
    with pytest.raises(InvalidInput) as refused:
        inference.open(head(priority="high"))
    assert refused.value.code is InvalidCode.BAD_PARAMETER


@pytest.mark.parametrize(
    ("body", "may"),
    [
        (b'{"rows": [{"x": {"value": 1, "unit": "m"}}]}', True),
        (b'{"units": {"x": "m"}}', True),
        (rb'{"rows": [{"x": {"value": 1, "\u0075nit": "m"}}]}', True),
        (rb'{"rows": [{"x": {"value": 1, "uni\u0074": "m"}}]}', True),
        (b'{"rows": [{"x": 1}]}', False),
    ],
)
def test_a_body_that_can_state_a_unit_is_known_however_it_is_spelled(
    body: bytes, *, may: bool
) -> None:
    assert may_state_units(body) == may
