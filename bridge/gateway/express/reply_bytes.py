"""Replies as the bytes that aiohttp would write for them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

from bridge.gateway.dialects.plain import PlainAnswer
from bridge.gateway.problem import overloaded
from bridge.gateway.reply import REQUEST_ID_HEADER, SERVER, Reply, problem_reply, retry_after

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus
}
_KEEP = "\r\n\r\n"
# An answer up to each place where one differs from the next; a test holds it to `write`.
_ANSWER = f"{_STATUS_LINES[200]}{REQUEST_ID_HEADER}: "
_ANSWER_TIMING = "\r\nServer-Timing: "
_ANSWER_LENGTH = f"\r\nServer: {SERVER}\r\nContent-Length: "
_CLOSE = "\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class _Overloaded:
    """The text of a 429 up to each place where one differs from the next."""

    status: str
    seconds: str
    milliseconds: str
    length: str
    body: str
    end: str
    body_bytes: int


def _overloaded_parts() -> _Overloaded:
    mark = "<id>"
    reply = problem_reply(overloaded(0.001), mark)
    named = [f"{name}: {value}" for name, value in reply.headers]
    before = named.index(f"{REQUEST_ID_HEADER}: {mark}")
    first = "\r\n".join([_STATUS_LINES[reply.status][:-2], *named[:before], ""])
    body, _, end = reply.body.decode().partition(mark)
    return _Overloaded(
        status=f"{first}{REQUEST_ID_HEADER}: ",
        seconds="\r\nRetry-After: ",
        milliseconds="\r\nretry-after-ms: ",
        length=f"\r\nServer: {SERVER}\r\nContent-Length: ",
        body=body,
        end=end,
        body_bytes=len(body) + len(end),
    )


class ReplyBytes:
    """Writes replies; the date is made once a second."""

    def __init__(self, wall_s: Callable[[], float] = time.time) -> None:
        """`wall_s` is the wall clock, in seconds since 1970."""
        self._wall_s = wall_s
        self._second = -1
        self._date = ""
        self._overloaded = _overloaded_parts()

    def write(self, reply: Reply, *, closes: bool) -> bytes:
        """Return the whole response; with `closes` it says that the connection ends with it."""
        lines = "".join([f"{name}: {value}\r\n" for name, value in reply.headers])
        head = (
            f"{_STATUS_LINES[reply.status]}{lines}Server: {SERVER}\r\n"
            f"Content-Length: {len(reply.body)}\r\nDate: {self._now()}"
            f"{_CLOSE if closes else _KEEP}"
        )
        return head.encode("latin-1") + reply.body

    def overloaded(self, retry_after_s: float, request_id: str) -> bytes:
        """Return what `write` makes of that refusal: most of an overloaded gateway's answers."""
        seconds, milliseconds = retry_after(retry_after_s)
        parts = self._overloaded
        size = parts.body_bytes + len(request_id)
        return (
            f"{parts.status}{request_id}{parts.seconds}{seconds}{parts.milliseconds}{milliseconds}"
            f"{parts.length}{size}\r\nDate: {self._now()}{_KEEP}{parts.body}{request_id}{parts.end}"
        ).encode("ascii")

    def answer(self, request_id: str, server_timing: str, answer: PlainAnswer) -> bytes:
        """Return what `write` makes of the answer that `answer_reply` makes of this body."""
        headers, body = answer
        head = (
            f"{_ANSWER}{request_id}\r\n{headers}{_ANSWER_TIMING}{server_timing}{_ANSWER_LENGTH}"
            f"{len(body)}\r\nDate: {self._now()}{_KEEP}"
        )
        return head.encode("latin-1") + body

    def _now(self) -> str:
        second = int(self._wall_s())
        if second != self._second:
            self._second = second
            self._date = formatdate(second, usegmt=True)
        return self._date
