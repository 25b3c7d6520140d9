"""Messages of a stream: one MessagePack map, or an array of several.

A request is the MessagePack body that the same request has over HTTP, with an `id`. An answer is
the body that HTTP answers with, or an `ErrorAnswer`. A `LeavingNote` is no answer: it has no id.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from bridge.gateway.dialects.call import InputLimits

# By which a client finds its request again; longer ones are refused by HTTP as well.
ID_CHARS_MAX = InputLimits().id_chars_max
UNSET = msgspec.UNSET
_FIXARRAY, _FIXARRAY_MAX = 0x90, 0x0F
_ARRAY16, _ARRAY32 = 0xDC, 0xDD
_ARRAY16_MAX = 0xFFFF


class CloseCode(IntEnum):
    """Why a stream ends (RFC 6455, 7.4.1)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    NOT_BINARY = 1003
    MALFORMED = 1007
    TOO_MANY = 1008
    TOO_BIG = 1009


class Violation(Exception):
    """A message that is not what a stream carries: the stream ends, once all is answered."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class ErrorAnswer(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Why the request `id` has no outputs: `error`, `code` and `status` as over HTTP.

    `refused` says that nothing was started, so that it is safe to send the request again.
    """

    id: str
    error: str
    code: str
    status: int
    retry_after_ms: int | msgspec.UnsetType = UNSET
    refused: bool = False


class LeavingNote(msgspec.Struct, frozen=True, gc=False):
    """Says that this gateway is about to close: new requests belong on another connection."""

    going_away: bool = True


class _Named(msgspec.Struct, gc=False):
    id: str


_raws = msgspec.msgpack.Decoder(list[msgspec.Raw])
_named = msgspec.msgpack.Decoder(_Named)


def split_requests(message: bytes, requests_max: int) -> list[bytes]:
    """Return the requests of a message, undecoded, each in memory of its own unless it is alone.

    Raises:
        Violation: neither a map nor an array, or more than `requests_max` requests.
    """
    announced = _announced(message)
    if announced is None:
        return [message]
    if announced > requests_max:
        # Looked at first: a million empty elements would be a million objects.
        raise Violation(CloseCode.TOO_MANY, f"more than {requests_max} requests in one message")
    try:
        return [bytes(raw) for raw in _raws.decode(message)]
    except (msgspec.DecodeError, RecursionError):
        raise Violation(CloseCode.MALFORMED, "not MessagePack") from None


def read_id(request: bytes) -> str:
    """Return a request's id, whatever else is wrong with it.

    Raises:
        Violation: there is none, or one that could not be sent back.
    """
    try:
        name = _named.decode(request).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _nameless() from None
    if not 0 < len(name) <= ID_CHARS_MAX:
        raise _nameless()
    return name


def join_answers(answers: list[bytes]) -> bytes:
    """Return the message that holds encoded answers: one as it is, several as an array."""
    return answers[0] if len(answers) == 1 else _array_head(len(answers)) + b"".join(answers)


def _nameless() -> Violation:
    return Violation(
        CloseCode.MALFORMED, f"a request needs an id, text of 1 to {ID_CHARS_MAX} characters"
    )


def _announced(message: bytes) -> int | None:
    """Return how many elements the array announces that a message is; None for a map."""
    first = message[0] if message else 0
    if first & 0xF0 == _FIXARRAY:
        return first & _FIXARRAY_MAX
    if first == _ARRAY16:
        return int.from_bytes(message[1:3], "big")
    if first == _ARRAY32:
        return int.from_bytes(message[1:5], "big")
    return None


def _array_head(count: int) -> bytes:
    if count <= _FIXARRAY_MAX:
        return bytes((_FIXARRAY | count,))
    if count <= _ARRAY16_MAX:
        return bytes((_ARRAY16,)) + count.to_bytes(2, "big")
    return bytes((_ARRAY32,)) + count.to_bytes(4, "big")
