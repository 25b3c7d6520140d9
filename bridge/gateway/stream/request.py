"""One request on a stream, and the answers of those that were launched together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast

from bridge.gateway.catalog import ModelVersion
from bridge.gateway.dialects.call import InferCall
from bridge.gateway.dialects.plain import Plain
from bridge.gateway.gateway import Gateway
from bridge.gateway.launch import Flight, Outcome, Results, Returned, landed
from bridge.gateway.problem import Problem


class StreamOwner(Protocol):
    """The stream on which a request came."""

    def settle(self, request: StreamRequest, outcome: Outcome) -> None:
        """Answer a request with the outcome of its flight; nothing may be raised."""

    def answer(self, request: StreamRequest, answer: bytes) -> None:
        """Answer a request with these bytes."""

    def fail_unless_answered(self, request: StreamRequest) -> None:
        """Answer that something unexpected was raised, unless there is an answer."""

    def refuse(self, request: StreamRequest, error: Problem) -> None:
        """Answer a request with why it did not begin."""

    def refuse_overload(self, request: StreamRequest, retry_after_s: float) -> None:
        """Answer a request with when to come back."""


class StreamRequest:
    """One request in flight; `name` is the caller's id for it, `size` its bytes."""

    __slots__ = ("_stream", "call", "flight", "name", "said", "size", "version")

    def __init__(self, stream: StreamOwner, name: str, size: int) -> None:
        self._stream = stream
        self.name = name
        self.size = size
        self.version: ModelVersion | None = None
        self.call: InferCall | None = None
        self.flight: Flight | None = None
        self.said: Any = None

    def launched(self, version: ModelVersion, flight: Flight, plain: Plain, said: Any) -> None:
        """Hear that the request is on its way; see `TogetherCaller`."""
        self.version, self.flight, self.said = version, flight, said
        self.call = plain.call(said, flight.rows)

    def settle(self, outcome: Outcome) -> None:
        """Hear the outcome; see `Caller`."""
        self._stream.settle(self, outcome)

    def refuse(self, error: Problem) -> None:
        """Hear why the request did not begin."""
        self._stream.refuse(self, error)

    def refuse_overload(self, retry_after_s: float) -> None:
        """Hear when to come back."""
        self._stream.refuse_overload(self, retry_after_s)


class StreamAnswers:
    """Writes the answers of requests that were launched together."""

    __slots__ = ("_gateway", "_model", "_plain", "_stream")

    def __init__(self, stream: StreamOwner, gateway: Gateway, model: str, plain: Plain) -> None:
        self._stream = stream
        self._gateway = gateway
        self._model = model
        self._plain = plain

    def on_returned(self, returned: Sequence[Returned], results: Results) -> None:
        """Answer these requests."""
        try:
            self._answer(returned, results)
        except Exception:
            # It is called among the landings of other requests: nothing may be raised here.
            for one in returned:
                self._stream.fail_unless_answered(cast(StreamRequest, one.flight.caller))

    def _answer(self, returned: Sequence[Returned], results: Results) -> None:
        written = results.written(self._plain)
        if written is None:
            for one in returned:
                one.flight.caller.settle(landed(one, results))
            return
        delays_s = [(one.entry.queue_us + one.entry.batch_us) / 1e6 for one in returned]
        self._gateway.count_answers(returned[0].flight.launch, self._model, delays_s)
        answer, stream = self._plain.answer, self._stream
        for flight, start, _ in returned:
            request = cast(StreamRequest, flight.caller)
            stream.answer(request, answer(request.said, start, flight.rows, written).body)
