"""The requests that arrived in one turn of the event loop, begun together.

Callers that ask at the same time mostly ask the same: one model version, plain JSON. They are begun
and answered as one, at a fraction of the cost; see `together.py`. All others are begun one by one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, cast

from bridge.contract.invalid import InvalidInput
from bridge.gateway.dialects.plain import Plain
from bridge.gateway.express.exchange import Exchange, Exchanges
from bridge.gateway.inference import InferHead, Opened, inference_length
from bridge.gateway.launch import Results, Returned, landed, timings_of
from bridge.gateway.problem import Problem
from bridge.gateway.reply import server_timing
from bridge.gateway.together import Alike, Together


class Arrived(NamedTuple):
    """A request that is all there; see `Exchange.begin`."""

    exchange: Exchange
    head: InferHead
    opened: Opened | None
    body: bytes
    received_s: float


class Turn:
    """Collects the requests of a turn; its owner begins them when the turn ends."""

    def __init__(
        self, shared: Exchanges, at_end_of_turn: Callable[[Callable[[], None]], object]
    ) -> None:
        """`at_end_of_turn` calls what it is given when the present turn of the loop is over."""
        self._shared = shared
        self._together = Together(shared.gateway, shared.inference)
        self._at_end_of_turn = at_end_of_turn
        self._arrived: list[Arrived] = []
        self._since_s = 0.0

    def add(self, arrived: Arrived) -> None:
        """Take in a request that is all there."""
        self._arrived.append(arrived)
        if len(self._arrived) == 1:
            # Not the loop's time, which stands still during a turn and counts milliseconds.
            self._since_s = time.monotonic()
            self._at_end_of_turn(self._begin)

    def _begin(self) -> None:
        arrived, self._arrived = self._arrived, []
        for head, requests in _by_head(arrived):
            try:
                rest = self._begin_together(head, requests)
            except Exception:
                for one in requests:
                    one.exchange.fail_unless_begun()
            else:
                for one in rest:
                    one.exchange.begin(one.head, one.opened, one.body, one.received_s)

    def _begin_together(self, head: InferHead, requests: list[Arrived]) -> list[Arrived]:
        """Begin the plain ones of requests with equal heads; return the others."""
        shared = self._shared
        try:
            opened = shared.inference.open(head)
            header_bytes = inference_length(head)
            plain = opened.version.door.plain(head.content_type, header_bytes)
        except (InvalidInput, Problem):
            return requests
        if plain is None:
            return requests
        places = self._together.begin(
            Alike(opened, plain, header_bytes or 0, self._since_s),
            [one.body for one in requests],
            [one.exchange for one in requests],
            PlainAnswers(shared, opened.version.contract.name, plain),
        )
        return [requests[place] for place in places]


class PlainAnswers:
    """Writes the answers of requests that were launched together."""

    __slots__ = ("_model", "_plain", "_shared")

    def __init__(self, shared: Exchanges, model: str, plain: Plain) -> None:
        self._shared = shared
        self._model = model
        self._plain = plain

    def on_returned(self, returned: Sequence[Returned], results: Results) -> None:
        """Answer these requests."""
        try:
            self._answer(returned, results)
        except Exception:
            for one in returned:
                cast(Exchange, one.flight.caller).fail_unless_answered()

    def _answer(self, returned: Sequence[Returned], results: Results) -> None:
        written = results.written(self._plain)
        if self._shared.gateway.is_draining or written is None:
            for one in returned:
                one.flight.caller.settle(landed(one, results))
            return
        delays_s = [(one.entry.queue_us + one.entry.batch_us) / 1e6 for one in returned]
        launch = returned[0].flight.launch
        self._shared.gateway.count_answers(launch, self._model, delays_s)
        reply_bytes, answer = self._shared.reply_bytes, self._plain.answer
        delays, timing = (-1, -1), ""
        for flight, start, entry in returned:
            if delays != (entry.queue_us, entry.batch_us):
                delays = (entry.queue_us, entry.batch_us)
                timing = server_timing(timings_of(entry, results))
            exchange = cast(Exchange, flight.caller)
            plain_answer = answer(exchange.said, start, flight.rows, written)
            exchange.end(reply_bytes.answer(exchange.request_id, timing, plain_answer))


def _by_head(arrived: list[Arrived]) -> Iterator[tuple[InferHead, list[Arrived]]]:
    """Return the requests by head; those whose callers have gone meanwhile are left out."""
    groups: dict[InferHead, list[Arrived]] = {}
    head, group = None, []
    for one in arrived:
        if one.exchange.is_abandoned:
            continue
        # A head that came before is the same object.
        if one.head is not head:
            head = one.head
            group = groups.setdefault(head, [])
        group.append(one)
    yield from groups.items()
