"""Frames that cannot be used are refused by name, before anything is built from them."""

from __future__ import annotations

import pickle
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from bridge.wire.frame import (
    FRAME_BYTES_MAX,
    FRAME_MODELS_MAX,
    FRAME_REQUESTS_MAX,
    FRAME_TENSORS_MAX,
    MAGIC,
    NAME_CHARS_MAX,
    RANK_MAX,
    WIRE_VERSION,
    ForeignWireVersion,
    MalformedFrame,
    RequestEntry,
    RequestFrame,
    ServedModel,
    Tensor,
    decode_reply,
    decode_request,
    encode_frame,
)
from tests.unit.wire.frames import HEARTBEAT, REQUEST, RESULT, SERVICE

PREAMBLE = bytes((MAGIC, WIRE_VERSION))
BOMB_BYTES_MAX = 200
BOMB_MEMORY_BYTES_MAX = 10_000_000

decoders = pytest.mark.parametrize("decode", [decode_request, decode_reply])
Decode = Callable[[bytes], Any]


def changed(frame: Any, **fields: Any) -> bytes:
    return encode_frame(msgspec.structs.replace(frame, **fields))


def entry(**fields: Any) -> RequestEntry:
    return msgspec.structs.replace(REQUEST.requests[0], **fields)


def tensor(**fields: Any) -> Tensor:
    return msgspec.structs.replace(REQUEST.tensors[0], **fields)


@decoders
@pytest.mark.parametrize("version", [0, WIRE_VERSION + 1, 255])
def test_another_wire_version_is_refused_as_such_whatever_follows(
    decode: Decode, version: int
) -> None:
    with pytest.raises(ForeignWireVersion, match=f"wire version {version}, this process speaks"):
        decode(bytes((MAGIC, version)) + b"\xc1 not MessagePack")


@decoders
@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes((MAGIC,)),
        PREAMBLE,
        PREAMBLE + b"\xc1",
        PREAMBLE + b"\xc0",
        PREAMBLE + b"\x90",
        PREAMBLE + b"\x91\xa7unknown",
        PREAMBLE + b"\x80",
        b"\x00" + encode_frame(REQUEST),
        encode_frame(REQUEST)[2:],
        encode_frame(REQUEST) + b"\x00",
        encode_frame(RESULT) + b"\x00",
        b'{"inputs": []}',
        pickle.dumps(REQUEST.gateway),
        PREAMBLE + pickle.dumps(REQUEST.gateway),
        PREAMBLE + b"\xc7\x01\x01\x00",
    ],
    ids=lambda data: repr(data[:12]),
)
def test_bytes_that_are_no_frame_are_malformed(decode: Decode, data: bytes) -> None:
    with pytest.raises(MalformedFrame):
        decode(data)


@pytest.mark.parametrize("cut", range(len(encode_frame(REQUEST))))
def test_a_request_frame_cut_anywhere_is_malformed(cut: int) -> None:
    with pytest.raises(MalformedFrame):
        decode_request(encode_frame(REQUEST)[:cut])


def test_a_gateway_takes_no_request_frame_for_a_reply() -> None:
    with pytest.raises(MalformedFrame):
        decode_reply(encode_frame(REQUEST))


@pytest.mark.parametrize("frame", [RESULT, HEARTBEAT], ids=["result", "heartbeat"])
def test_a_worker_takes_no_reply_for_a_request_frame(frame: Any) -> None:
    with pytest.raises(MalformedFrame):
        decode_request(encode_frame(frame))


@pytest.mark.parametrize(
    "data",
    [
        changed(REQUEST, frame_id=b"short"),
        changed(REQUEST, gateway="g" * (NAME_CHARS_MAX + 1)),
        changed(REQUEST, lane="express"),
        changed(REQUEST, requests=[]),
        changed(REQUEST, requests=[entry()] * (FRAME_REQUESTS_MAX + 1)),
        changed(REQUEST, requests=[entry(request_id=b"A" * 15)]),
        changed(REQUEST, requests=[entry(request_id=b"A" * 17)]),
        changed(REQUEST, requests=[entry(rows=0)]),
        changed(REQUEST, requests=[entry(rows=2**31 + 1)]),
        changed(REQUEST, requests=[entry(part=-1)]),
        changed(REQUEST, requests=[entry(deadline_us=-1)]),
        changed(REQUEST, requests=[entry(deadline_us=2**53 + 1)]),
        changed(REQUEST, requests=[entry(enqueued_us=1.5)]),
        changed(REQUEST, tensors=[tensor()] * (FRAME_TENSORS_MAX + 1)),
        changed(REQUEST, tensors=[tensor(name="x" * (NAME_CHARS_MAX + 1))]),
        changed(REQUEST, tensors=[tensor(row_shape=(1,) * (RANK_MAX + 1))]),
        changed(REQUEST, tensors=[tensor(row_shape=(-1,))]),
        changed(REQUEST, tensors=[tensor(row_shape=(2**40 + 1,))]),
        changed(REQUEST, tensors=[tensor(data="text instead of a block")]),
        changed(REQUEST, tensors=[tensor(data=None)]),
    ],
)
def test_a_request_frame_beyond_a_bound_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedFrame):
        decode_request(data)


@pytest.mark.parametrize(
    "data",
    [
        changed(RESULT, results=[RESULT.results[0]] * (FRAME_REQUESTS_MAX + 1)),
        changed(RESULT, tensors=[tensor()] * (FRAME_TENSORS_MAX + 1)),
        changed(RESULT, service=msgspec.structs.replace(SERVICE, batch_rows=0)),
        changed(RESULT, results=[msgspec.structs.replace(RESULT.results[0], status="lost")]),
        changed(HEARTBEAT, progress=-1),
        changed(HEARTBEAT, stalled_s="long"),
        changed(HEARTBEAT, models=[ServedModel("m@1", "d", SERVICE)] * (FRAME_MODELS_MAX + 1)),
    ],
)
def test_a_reply_beyond_a_bound_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedFrame):
        decode_reply(data)


@decoders
def test_too_many_bytes_are_refused_by_their_number(decode: Decode) -> None:
    with pytest.raises(MalformedFrame, match="more than"):
        decode(PREAMBLE + bytes(FRAME_BYTES_MAX))


def test_a_frame_at_its_bounds_is_accepted() -> None:
    frame = msgspec.structs.replace(
        REQUEST,
        gateway="g" * NAME_CHARS_MAX,
        requests=[entry(deadline_us=2**53)] * FRAME_REQUESTS_MAX,
        tensors=[tensor(row_shape=(1,) * RANK_MAX)] * FRAME_TENSORS_MAX,
    )
    assert decode_request(encode_frame(frame)) == frame


def test_the_blocks_of_a_decoded_frame_are_views_of_its_bytes() -> None:
    data = encode_frame(REQUEST)
    block = decode_request(data).tensors[0].data
    assert isinstance(block, memoryview)
    assert block.obj is data


_HEAD = PREAMBLE + b"\x96\xa7request\xc4\x10" + b"F" * 16 + b"\xa2gw\xa6online"
_ONE_REQUEST = b"\x91\x95\xc4\x10" + b"A" * 16 + b"\x00\x01\x00\x01"
_TEXT = _HEAD + _ONE_REQUEST + b"\x91\x94\xa1x\xa5BYTES\x90"
_NUMBERS = _HEAD + _ONE_REQUEST + b"\x91\x94\xa1x\xa5INT64\x90"
BOMBS = {
    "an array of 2^32 requests": _HEAD + b"\xdd\xff\xff\xff\xff",
    "an array of 2^32 tensors": _HEAD + _ONE_REQUEST + b"\xdd\xff\xff\xff\xff",
    "text of 2^32 elements": _TEXT + b"\xdd\xff\xff\xff\xff",
    "a block of 2^32 bytes": _NUMBERS + b"\xc6\xff\xff\xff\xff",
    "a map of 2^32 keys": PREAMBLE + b"\xdf\xff\xff\xff\xff",
    "a text of 2^32 bytes": PREAMBLE + b"\x96\xdb\xff\xff\xff\xff",
    "nesting": PREAMBLE + b"\x91" * (BOMB_BYTES_MAX - 2),
    "nested text": _TEXT + b"\x91" * 120,
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_two_hundred_bytes_cannot_make_a_process_allocate(bomb: bytes) -> None:
    assert len(bomb) <= BOMB_BYTES_MAX
    tracemalloc.start()
    try:
        for decode in (decode_request, decode_reply):
            with pytest.raises(MalformedFrame):
                decode(bomb)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < BOMB_MEMORY_BYTES_MAX


def test_a_deeply_nested_megabyte_is_malformed() -> None:
    with pytest.raises(MalformedFrame):
        decode_request(_TEXT + b"\x91" * 1_000_000)


def test_a_frame_with_only_its_text_changed_is_still_bounded() -> None:
    # U+10FFFF is one character and four bytes: the bound counts characters.
    frame = RequestFrame(
        REQUEST.frame_id, "\U0010ffff" * NAME_CHARS_MAX, "batch", REQUEST.requests, []
    )
    assert decode_request(encode_frame(frame)) == frame
