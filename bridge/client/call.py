"""A call and its answer, as they travel on a stream and in HTTP bodies."""

from __future__ import annotations

import msgspec

from bridge.client.errors import BadAnswer, Failure
from bridge.client.tensors import OutputTensor

UNSET = msgspec.UNSET
Priority = str | int


class Call(msgspec.Struct, frozen=True):
    """What is asked; `inputs` are encoded.

    `deadline_s` is an instant of the loop's clock. `is_timed` says that it is the caller's own, so
    that the server must know of it; otherwise the model's target and timeout hold there.
    """

    model: str
    version: str | None
    inputs: msgspec.Raw
    deadline_s: float
    is_timed: bool
    priority: Priority | None


class _Parameters(msgspec.Struct, omit_defaults=True, gc=False):
    timeout: int | msgspec.UnsetType = UNSET
    priority: Priority | msgspec.UnsetType = UNSET


class _Request(msgspec.Struct, omit_defaults=True, gc=False):
    inputs: msgspec.Raw
    id: str | msgspec.UnsetType = UNSET
    parameters: _Parameters | msgspec.UnsetType = UNSET


class Answer(msgspec.Struct, gc=False):
    """What a stream brings: outputs, or an error, for `id`; or the note that it will end."""

    id: str = ""
    outputs: list[OutputTensor] | None = None
    error: str = ""
    code: str = ""
    status: int = 0
    retry_after_ms: int | None = None
    refused: bool = False
    going_away: bool = False

    @property
    def failure(self) -> Failure:
        """What the server said instead of outputs."""
        hint_s = None if self.retry_after_ms is None else self.retry_after_ms / 1e3
        return Failure(self.status, self.code, self.error, hint_s, self.refused)


_encode = msgspec.msgpack.Encoder().encode
_answers = msgspec.msgpack.Decoder(list[Answer] | Answer)


def encode_call(call: Call, now_s: float, name: str | None = None) -> bytes:
    """Return the request body of a call, or, with its id `name`, a message of a stream."""
    parameters: _Parameters | msgspec.UnsetType = UNSET
    if call.is_timed or call.priority is not None:
        left_us = max(1, round((call.deadline_s - now_s) * 1e6))
        parameters = _Parameters(
            left_us if call.is_timed else UNSET,
            UNSET if call.priority is None else call.priority,
        )
    return _encode(_Request(call.inputs, UNSET if name is None else name, parameters))


def join_requests(requests: list[bytes]) -> bytes:
    """Return the message that holds encoded requests."""
    if len(requests) == 1:
        return requests[0]
    return _encode([msgspec.Raw(request) for request in requests])


def decode_answers(message: bytes) -> list[Answer]:
    """Return what a message of a stream, or one body, holds.

    Raises:
        BadAnswer: it is not what a gateway sends.
    """
    try:
        answers = _answers.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadAnswer(f"not an answer: {error}") from None
    return answers if isinstance(answers, list) else [answers]
