"""Frames: the requests that one gateway sends together, the results that a worker sends back.

Every frame is two bytes (MAGIC, WIRE_VERSION) and one MessagePack array. The bytes before the
array let a process that meets another version refuse the frame without decoding it. Tensors are
contiguous, C-order, little-endian blocks, one per tensor and frame: the rows of the requests in
the order in which the frame lists them. Text tensors are arrays of str (or bin, where an output
is not UTF-8). Decoded blocks are views of the frame's own bytes: nothing is copied.

WireError
├── ForeignWireVersion   another version of Batchbridge wrote it
└── MalformedFrame       not a frame at all, or one that breaks a bound
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

MAGIC = 0xBB
WIRE_VERSION = 2

FRAME_BYTES_MAX = 64 * 2**20
FRAME_REQUESTS_MAX = 16_384
FRAME_TENSORS_MAX = 256
FRAME_MODELS_MAX = 4_096
REQUEST_ID_BYTES = 16
NAME_CHARS_MAX = 512
RANK_MAX = 32

_PREAMBLE = bytes((MAGIC, WIRE_VERSION))

RequestId = Annotated[bytes, Meta(min_length=REQUEST_ID_BYTES, max_length=REQUEST_ID_BYTES)]
Name = Annotated[str, Meta(max_length=NAME_CHARS_MAX)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Dimension = Annotated[int, Meta(ge=0, le=2**40)]
Lane = Literal["online", "batch"]


class WireError(Exception):
    """The bytes are not a frame that this process can use."""


class ForeignWireVersion(WireError):
    """The frame was written by a process that speaks another wire version."""


class MalformedFrame(WireError):
    """The bytes are not a frame, or the frame breaks one of its bounds."""


class ResultStatus(StrEnum):
    """What became of one request's rows; the gateway turns it into an HTTP status."""

    OK = "ok"
    EXPIRED = "expired"
    ROWS_FAILED = "rows_failed"
    MODEL_FAILED = "model_failed"
    BAD_OUTPUT = "bad_output"
    UNSERVED = "unserved"


class Tensor(msgspec.Struct, array_like=True, frozen=True):
    """The rows of one tensor: datatype (V2 name), shape of a row, the block itself.

    The elements of a text block are str or bytes (msgspec knows no union of the two);
    `bridge.wire.block` refuses others.
    """

    name: Name
    datatype: Name
    row_shape: Annotated[tuple[Dimension, ...], Meta(max_length=RANK_MAX)]
    data: memoryview | list[Any]


class RequestEntry(msgspec.Struct, array_like=True, frozen=True):
    """One request, or one part of a request that was split: whose rows, how many, until when.

    Times are microseconds on the clock of the Redis server.
    """

    request_id: RequestId
    part: Count
    rows: Annotated[int, Meta(ge=1, le=2**31)]
    enqueued_us: Count
    deadline_us: Count


class RequestFrame(msgspec.Struct, array_like=True, frozen=True, tag="request"):
    """What a gateway sends: requests whose rows may share a batch, and their rows.

    `in_flight_rows`: all the rows of this model version for which the gateway awaits results,
    these included. `overhead_us`: what a request's way costs beside waiting and running, as the
    gateway measures it; 0 where it has not. Frames without it are those of an older gateway, and an
    older worker does not look at it: one wire version.
    """

    frame_id: RequestId
    gateway: Name
    lane: Lane
    requests: Annotated[list[RequestEntry], Meta(min_length=1, max_length=FRAME_REQUESTS_MAX)]
    tensors: Annotated[list[Tensor], Meta(max_length=FRAME_TENSORS_MAX)]
    in_flight_rows: Count = 0
    overhead_us: Count = 0


class ResultEntry(msgspec.Struct, array_like=True, frozen=True):
    """The outcome of one request part; `rows` rows of the frame's tensors are its own if OK.

    `queue_us`: from the gateway to the worker; `batch_us`: in the worker, until its batch ran.
    """

    request_id: RequestId
    part: Count
    status: ResultStatus
    rows: Count
    queue_us: Count
    batch_us: Count


class ServiceReport(msgspec.Struct, array_like=True, frozen=True):
    """The worker's current model of time for a model version: S(b) = fixed + per_row * b.

    `batch_rows` is B; online callers can count on `online_rows` of it (less than B while the batch
    lane is owed its floor). `residual`: the fit's relative error; `typical`: the usual run as a
    share of S(b), which is a p95. `keeps_target`: whether any batch size keeps the latency target.
    """

    fixed_s: float
    per_row_s: float
    jitter: float
    batch_rows: Annotated[int, Meta(ge=1, le=2**31)]
    online_rows: Annotated[int, Meta(ge=1, le=2**31)]
    residual: float = 0.0
    typical: float = 1.0
    keeps_target: bool = True


class BatchReport(msgspec.Struct, array_like=True, frozen=True):
    """The run that these results come from.

    `counted_here` is true in one frame of each run, so that figures are counted once although a
    run answers several gateways. `ended_us`: when the run ended, on the queue's clock;
    `waiting_rows`: the model's rows that the worker had in hand then, which it runs next.
    """

    rows: Count
    run_us: Count
    counted_here: bool
    ended_us: Count = 0
    waiting_rows: Count = 0


class ResultFrame(msgspec.Struct, array_like=True, frozen=True, tag="result"):
    """What a worker sends to one gateway after one run.

    `others_rows`: the rows of this model version that other gateways had in flight, as far as this
    worker has heard from them lately.
    """

    worker: Name
    model_key: Name
    results: Annotated[list[ResultEntry], Meta(max_length=FRAME_REQUESTS_MAX)]
    tensors: Annotated[list[Tensor], Meta(max_length=FRAME_TENSORS_MAX)]
    batch: BatchReport
    service: ServiceReport
    others_rows: Count = 0


class ServedModel(msgspec.Struct, array_like=True, frozen=True):
    """One model version in a heartbeat: its contract's digest and its model of time."""

    model_key: Name
    contract_digest: Name
    service: ServiceReport


class Heartbeat(msgspec.Struct, array_like=True, frozen=True, tag="heartbeat"):
    """What a worker tells every gateway about twice a second, and once more when it leaves.

    `progress` counts runs; `stalled_s` is how long the present run has lasted, 0 between runs.
    `reclaimed` and `dead_lettered` count frames since the last beat, in the copy that goes to one
    of the gateways, so that they are counted once; so are `busy_us`, the time in runs, and
    `gap_us`, the time between runs while there was work in hand.
    """

    worker: Name
    leaving: bool
    progress: Count
    stalled_s: float
    reclaimed: Count
    dead_lettered: Count
    models: Annotated[list[ServedModel], Meta(max_length=FRAME_MODELS_MAX)]
    busy_us: Count = 0
    gap_us: Count = 0


_encoder = msgspec.msgpack.Encoder()
_request_decoder = msgspec.msgpack.Decoder(RequestFrame)
_reply_decoder: msgspec.msgpack.Decoder[ResultFrame | Heartbeat] = msgspec.msgpack.Decoder(
    ResultFrame | Heartbeat
)


def encode_frame(frame: RequestFrame | ResultFrame | Heartbeat) -> bytes:
    """Return the frame's bytes."""
    buffer = bytearray(_PREAMBLE)
    _encoder.encode_into(frame, buffer, len(_PREAMBLE))
    return bytes(buffer)


def decode_request(data: bytes) -> RequestFrame:
    """Return the request frame; its tensors are views of `data`.

    Raises:
        ForeignWireVersion: another version wrote it.
        MalformedFrame: not a request frame, or a bound is broken.
    """
    try:
        return _request_decoder.decode(_body(data))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedFrame(f"not a request frame: {error}") from error


def decode_reply(data: bytes) -> ResultFrame | Heartbeat:
    """Return what a worker sent to a gateway; tensors are views of `data`.

    Raises:
        ForeignWireVersion: another version wrote it.
        MalformedFrame: neither a result frame nor a heartbeat, or a bound is broken.
    """
    try:
        return _reply_decoder.decode(_body(data))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedFrame(f"not a reply: {error}") from error


def _body(data: bytes) -> memoryview:
    if len(data) > FRAME_BYTES_MAX:
        raise MalformedFrame(f"{len(data)} bytes, more than {FRAME_BYTES_MAX} allowed")
    if len(data) < len(_PREAMBLE) or data[0] != MAGIC:
        raise MalformedFrame("the bytes do not start like a frame")
    if data[1] != WIRE_VERSION:
        raise ForeignWireVersion(f"wire version {data[1]}, this process speaks {WIRE_VERSION}")
    return memoryview(data)[len(_PREAMBLE) :]
