"""One HTTP connection as long as it brings plain inference requests.

Requests are taken out of the bytes as they arrive, begun at once, up to `PIPELINED_MAX` of them,
and answered in their order. The first byte that is not part of a plain inference request, see
`head.py`, ends this: when all before it is answered, aiohttp's protocol takes the connection over,
with all bytes from the beginning of that request.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import cast

import msgspec

from bridge.contract.invalid import InvalidInput
from bridge.gateway.connection import READ_BUFFER_BYTES, Connections, GatewayConnection
from bridge.gateway.express.exchange import Exchange, Exchanges
from bridge.gateway.express.head import HEAD_END, ExpressHead, Heads
from bridge.gateway.express.segment import sole, split
from bridge.gateway.express.turn import Arrived, Turn
from bridge.gateway.inference import BODY_S_MAX, Opened, body_timeout
from bridge.gateway.problem import Problem
from bridge.gateway.sending import SendingWatch

# As many as aiohttp reads ahead; begun again when half of them are answered.
PIPELINED_MAX = 32
PIPELINED_LOW = PIPELINED_MAX // 2


class Lane(msgspec.Struct, frozen=True):
    """What all express connections of a gateway share; `successor` makes aiohttp's protocol."""

    exchanges: Exchanges
    turn: Turn
    heads: Heads
    connections: Connections
    successor: Callable[[], GatewayConnection]
    body_s_max: float = BODY_S_MAX


class _Partial(msgspec.Struct, frozen=True):
    """A request whose body is not all there: where it ends in the buffer, since when it is read."""

    head: ExpressHead
    opened: Opened
    size: int
    begun_s: float


class ExpressConnection(asyncio.Protocol):
    """Takes plain inference requests; gives the connection to aiohttp with the first other one."""

    __slots__ = (
        "_buffer",
        "_discard_bytes",
        "_idle_since_s",
        "_is_leaving",
        "_is_over",
        "_is_reading_paused",
        "_is_sending_due",
        "_is_sending_paused",
        "_lane",
        "_loop",
        "_partial",
        "_sending",
        "_timer",
        "_transport",
        "_waiting",
    )

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._loop = asyncio.get_running_loop()
        self._sending = SendingWatch(lane.connections.limits.send_s)
        self._waiting: deque[Exchange] = deque()
        # Bytes that are not taken yet; they begin where a request begins.
        self._buffer = bytearray()
        self._partial: _Partial | None = None
        self._discard_bytes = 0
        self._is_leaving = False
        self._is_over = False
        self._is_reading_paused = False
        self._is_sending_due = False
        self._is_sending_paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection in, and close it at once when there are too many."""
        # uvloop's transports are not asyncio's classes, they only do the same.
        self._transport = cast(asyncio.Transport, transport)
        known = transport.get_extra_info("socket")
        if known is not None:
            known.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._idle_since_s = self._loop.time()
        self._timer = self._loop.call_at(self._headers_by_s(), self._check_time)
        if not self._lane.connections.enter(self):
            self.cut_off()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give the connection's place back; nobody waits for what is in flight."""
        self._lane.connections.leave(self)
        self._end()
        for exchange in self._waiting:
            exchange.abandon()
        self._waiting.clear()

    def close_if_idle(self) -> None:
        """Close the connection unless a request on it has begun and is not answered."""
        if not self._waiting and self._partial is None and not self._buffer:
            self.cut_off()

    def cut_off(self) -> None:
        """Close the connection, whatever is going on."""
        self._end()
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Begin the requests that are whole, keep the rest."""
        if self._is_over:
            self._discard(len(data))
        elif not self._buffer and self._may_begin():
            request = sole(data, self._lane.heads)
            if request is None:
                self._take(data)
            else:
                self._begin(request.head, None, request.body, self._loop.time())
        else:
            self._keep(data)
            if self._partial is not None or len(self._waiting) <= PIPELINED_LOW:
                self._go_on()

    def pause_writing(self) -> None:
        """The client takes its answers more slowly than they are written: begin no more."""
        self._is_sending_paused = True
        self._sending.start(self._transport)

    def resume_writing(self) -> None:
        """The client has taken what was written."""
        self._is_sending_paused = False
        self._sending.stop()
        self._go_on()

    def on_answered(self) -> None:
        """Write the answers that are due, in the order of their requests."""
        if len(self._waiting) == 1:
            self._send_due()
        elif not self._is_sending_due:
            # Others on this connection may be answered in the same turn: one write for them all.
            self._is_sending_due = True
            self._loop.call_soon(self._send_due)

    def _send_due(self) -> None:
        self._is_sending_due = False
        waiting = self._waiting
        due: list[bytes] = []
        closes = False
        while waiting and not closes and (answer := waiting[0].answer) is not None:
            due.append(answer)
            closes = waiting.popleft().closes
        if self._is_over or not due:
            return
        self._transport.write(due[0] if len(due) == 1 else b"".join(due))
        self._idle_since_s = self._loop.time()
        if closes:
            self._close_after_answer()
        elif self._buffer and len(waiting) <= PIPELINED_LOW:
            # Not at once: `_take` may be in the middle of beginning what comes before it.
            self._loop.call_soon(self._go_on)

    def _may_begin(self) -> bool:
        return len(self._waiting) < PIPELINED_MAX and not (
            self._is_leaving or self._is_sending_paused or self._is_over
        )

    def _go_on(self) -> None:
        """Begin what was kept, or hand the connection over, if the time for it has come."""
        if self._is_over:
            return
        if self._is_leaving and not self._waiting and not self._is_sending_paused:
            self._hand_over()
        elif self._buffer and self._may_begin():
            if self._partial is not None:
                self._begin_partial(self._partial)
            if self._partial is None and self._buffer and self._may_begin():
                data = bytes(self._buffer)
                self._buffer.clear()
                self._take(data)
            self._resume_reading()

    def _take(self, data: bytes) -> None:
        """Begin the whole requests at the start of `data`, keep the rest of it.

        Nothing is begun before all of `data` was looked at: bytes that are not plain go to aiohttp
        together with what came with them, so that it refuses what it would have refused.
        """
        segment = split(data, self._lane.heads, PIPELINED_MAX - len(self._waiting))
        if segment is None:
            self._leave(data)
            return
        for request in segment.whole:
            self._begin(request.head, None, request.body, self._loop.time())
        if segment.rest_at < len(data) and not self._is_over:
            self._keep(data[segment.rest_at :])
            if segment.is_room_left:
                self._expect_rest(segment.partial)

    def _begin(
        self, head: ExpressHead, opened: Opened | None, body: bytes, received_s: float
    ) -> None:
        if not self._is_over:
            exchange = Exchange(self._lane.exchanges, self, head)
            self._waiting.append(exchange)
            self._lane.turn.add(Arrived(exchange, head.infer, opened, body, received_s))

    def _keep(self, data: bytes) -> None:
        self._buffer += data
        expected = 0 if self._partial is None else self._partial.size
        if len(self._buffer) > expected + READ_BUFFER_BYTES and not self._is_reading_paused:
            self._is_reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._is_reading_paused and len(self._buffer) <= READ_BUFFER_BYTES:
            self._is_reading_paused = False
            self._transport.resume_reading()

    def _expect_rest(self, head: ExpressHead | None) -> None:
        """The buffer holds a part of a request: less than its head, or all of `head`."""
        if head is None:
            # Who sends a head in pieces is not in a hurry, unless it only follows other requests.
            if not self._waiting:
                self._leave(b"")
            return
        try:
            opened = self._lane.exchanges.inference.open(head.infer)
        except (InvalidInput, Problem):
            # aiohttp's lane answers before the body is there, and reads it for a while.
            self._leave(b"")
            return
        size = self._buffer.index(HEAD_END) + len(HEAD_END) + head.body_bytes
        self._partial = _Partial(head, opened, size, self._loop.time())
        self._timer.cancel()
        self._check_time()

    def _begin_partial(self, partial: _Partial) -> None:
        if len(self._buffer) >= partial.size:
            self._partial = None
            body = bytes(
                memoryview(self._buffer)[partial.size - partial.head.body_bytes : partial.size]
            )
            del self._buffer[: partial.size]
            self._begin(partial.head, partial.opened, body, partial.begun_s)

    def _leave(self, data: bytes) -> None:
        """Hand the connection over, with `data` after what is kept, once all is answered."""
        self._is_leaving = True
        self._keep(data)
        self._go_on()

    def _hand_over(self) -> None:
        self._end()
        if self._is_reading_paused:
            self._transport.resume_reading()
        self._lane.successor().take_over(
            self, self._transport, bytes(self._buffer), self._headers_by_s()
        )

    def _check_time(self) -> None:
        """Close what is idle for too long; one timer serves a connection, not each request."""
        now_s = self._loop.time()
        partial = self._partial
        if partial is not None and len(self._buffer) < partial.size:
            due_s = partial.begun_s + self._lane.body_s_max
            if now_s >= due_s:
                self._time_out(partial)
                return
        elif self._waiting or self._buffer:
            due_s = now_s + self._lane.connections.limits.keepalive_s
        else:
            due_s = self._headers_by_s()
            if now_s >= due_s:
                self.cut_off()
                return
        self._timer = self._loop.call_at(due_s, self._check_time)

    def _headers_by_s(self) -> float:
        return self._idle_since_s + self._lane.connections.limits.keepalive_s

    def _time_out(self, partial: _Partial) -> None:
        self._discard_bytes = partial.size - len(self._buffer)
        self._partial = None
        self._buffer.clear()
        exchange = Exchange(self._lane.exchanges, self, partial.head)
        self._waiting.append(exchange)
        exchange.refuse(body_timeout())

    def _close_after_answer(self) -> None:
        """Close when the answer is sent; a refused body is still read for a moment.

        Otherwise its client would see a reset and not the answer.
        """
        self._end()
        if self._discard_bytes > 0:
            lingering_s = self._lane.connections.limits.lingering_s
            self._timer = self._loop.call_later(lingering_s, self._transport.close)
        else:
            self._transport.close()

    def _discard(self, count: int) -> None:
        if self._discard_bytes > 0:
            self._discard_bytes -= count
            if self._discard_bytes <= 0:
                self._transport.close()

    def _end(self) -> None:
        self._is_over = True
        self._timer.cancel()
        self._sending.stop()
