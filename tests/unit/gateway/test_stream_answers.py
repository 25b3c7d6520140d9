"""Answers of requests that were launched together on a stream, when writing them goes wrong."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from bridge.gateway.gateway import Gateway
from bridge.gateway.launch import Results, Returned
from bridge.gateway.stream.request import StreamAnswers, StreamRequest
from tests.unit.gateway.stream_rig import VERSION, Rig, request


class Unwritable:
    """A form in which nothing can be written."""

    def write(self, arrays: object) -> object:
        raise RuntimeError("broken")


def test_what_is_raised_reaches_nobody_else_and_every_request_is_answered() -> None:
    rig = Rig()
    rig.take([request("a"), request("b")])
    requests = [cast(StreamRequest, rig.stream._in_flight[name]) for name in ("a", "b")]
    answers = StreamAnswers(
        rig.stream, cast(Gateway, rig.backend), VERSION.contract.name, cast(Any, Unwritable())
    )
    returned = [
        Returned(cast(Any, SimpleNamespace(caller=one, rows=1)), place, cast(Any, None))
        for place, one in enumerate(requests)
    ]
    answers.on_returned(returned, Results({}, 0.0))
    sent = rig.sent()
    assert [(one["id"], one["code"]) for one in sent] == [("a", "internal"), ("b", "internal")]
    assert rig.stream.in_flight == 0
