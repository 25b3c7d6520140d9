"""The bytes on the wire, pinned: whoever changes them needs a new WIRE_VERSION."""

from __future__ import annotations

import msgspec
import pytest

from bridge.wire.frame import (
    MAGIC,
    WIRE_VERSION,
    Heartbeat,
    RequestFrame,
    ResultFrame,
    decode_reply,
    decode_request,
    encode_frame,
)
from tests.unit.wire.frames import HEARTBEAT, REQUEST, RESULT

GOLDEN_VERSION = 2
GOLDEN_REQUEST = (
    "bb0298a772657175657374c410000102030405060708090a0b0c0d0e0fa26777a66f6e6c696e6592"
    "95c410414141414141414141414141414141410002cd03e8cd07d095c41042424242424242424242"
    "4242424242420101cd03e9ce000111709294a178a5494e5431369102c40c01000200030004000500"
    "060094a4776f7264a542595445539093a161a2c3a9a004cd09c4"
)
# From before `overhead_us`: its array is an element shorter.
OLDER_REQUEST = "bb0297" + GOLDEN_REQUEST[6:-6]
GOLDEN_RESULT = (
    "bb0298a6726573756c74a27731a36d40339296c4104141414141414141414141414141414100a26f"
    "6b020a1496c4104242424242424242424242424242424201ab726f77735f6661696c65640100cd01"
    "2c9194a179a4465033329101c4080000803f000000409503cd05dcc3cd1f400598cb3fd000000000"
    "0000cb3fe0000000000000cb3fc0000000000000201fcb0000000000000000cb3ff0000000000000"
    "c306"
)
GOLDEN_HEARTBEAT = (
    "bb029aa9686561727462656174a27731c20ccb3fe000000000000002019193a36d4033b030313233"
    "34353637383961626364656698cb3fd0000000000000cb3fe0000000000000cb3fc0000000000000"
    "201fcb0000000000000000cb3ff0000000000000c3cd232846"
)


@pytest.mark.parametrize(
    ("frame", "golden"),
    [(REQUEST, GOLDEN_REQUEST), (RESULT, GOLDEN_RESULT), (HEARTBEAT, GOLDEN_HEARTBEAT)],
    ids=["request", "result", "heartbeat"],
)
def test_a_frame_has_the_bytes_of_its_wire_version(
    frame: RequestFrame | ResultFrame | Heartbeat, golden: str
) -> None:
    assert (WIRE_VERSION, encode_frame(frame).hex()) == (GOLDEN_VERSION, golden)


def test_the_golden_request_reads_as_the_request() -> None:
    assert decode_request(bytes.fromhex(GOLDEN_REQUEST)) == REQUEST


def test_a_request_of_an_older_gateway_lacks_the_overhead_only() -> None:
    older = msgspec.structs.replace(REQUEST, overhead_us=0)
    assert decode_request(bytes.fromhex(OLDER_REQUEST)) == older


def test_what_a_newer_gateway_adds_at_the_end_is_no_obstacle() -> None:
    newer = "bb0299" + GOLDEN_REQUEST[6:] + "07"
    assert decode_request(bytes.fromhex(newer)) == REQUEST


@pytest.mark.parametrize(
    ("golden", "frame"),
    [(GOLDEN_RESULT, RESULT), (GOLDEN_HEARTBEAT, HEARTBEAT)],
    ids=["result", "heartbeat"],
)
def test_a_golden_reply_reads_as_what_the_worker_sent(
    golden: str, frame: ResultFrame | Heartbeat
) -> None:
    assert decode_reply(bytes.fromhex(golden)) == frame


def test_the_version_can_be_read_without_decoding_anything() -> None:
    assert encode_frame(HEARTBEAT)[:2] == bytes((MAGIC, WIRE_VERSION))
