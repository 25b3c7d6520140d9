"""Whatever is sent arrives as it was; whatever else arrives is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bridge.contract.datatype import DATATYPES
from bridge.wire.block import from_block, to_block
from bridge.wire.clock import ServerClock
from bridge.wire.frame import (
    MAGIC,
    NAME_CHARS_MAX,
    WIRE_VERSION,
    BatchReport,
    ForeignWireVersion,
    Heartbeat,
    MalformedFrame,
    RequestEntry,
    RequestFrame,
    ResultEntry,
    ResultFrame,
    ResultStatus,
    ServedModel,
    ServiceReport,
    WireError,
    decode_reply,
    decode_request,
    encode_frame,
)
from tests.property.arrays import Array, arrays, row_shapes, same
from tests.unit.wire.frames import HEARTBEAT, REQUEST, RESULT

names = st.text(max_size=20) | st.text("é\U0001f600", min_size=1, max_size=NAME_CHARS_MAX)
ids = st.binary(min_size=16, max_size=16)
counts = st.integers(0, 2**53)
finite = st.floats(allow_nan=False)


@st.composite
def tensors_of(draw: st.DrawFn, rows: int) -> dict[str, Array]:
    """Named arrays of so many rows, each of its own datatype and row shape."""
    chosen = draw(st.lists(names, max_size=4, unique=True))
    return {
        name: draw(arrays(draw(st.sampled_from(list(DATATYPES))), (rows, *draw(row_shapes))))
        for name in chosen
    }


requests = st.lists(
    st.builds(RequestEntry, ids, counts, st.integers(1, 4), counts, counts), min_size=1, max_size=3
)
results = st.lists(
    st.builds(ResultEntry, ids, counts, st.sampled_from(ResultStatus), counts, counts, counts),
    max_size=3,
)
sizes = st.integers(1, 2**31)
services = st.builds(ServiceReport, finite, finite, finite, sizes, sizes)
batches = st.builds(BatchReport, counts, counts, st.booleans(), counts, counts)
heartbeats = st.builds(
    Heartbeat,
    names,
    st.booleans(),
    counts,
    finite,
    counts,
    counts,
    st.lists(st.builds(ServedModel, names, names, services), max_size=3),
)


def arrays_of(frame: RequestFrame | ResultFrame, rows: int) -> dict[str, Array]:
    return {tensor.name: from_block(tensor, rows) for tensor in frame.tensors}


@given(st.data(), ids, names, st.sampled_from(["online", "batch"]), requests)
def test_a_request_frame_arrives_as_it_was_sent(
    data: st.DataObject, frame_id: bytes, gateway: str, lane: Any, entries: list[RequestEntry]
) -> None:
    rows = sum(entry.rows for entry in entries)
    sent = data.draw(tensors_of(rows))
    blocks = [to_block(name, [array]) for name, array in sent.items()]
    frame = RequestFrame(frame_id, gateway, lane, entries, blocks)
    arrived = decode_request(encode_frame(frame))
    assert (arrived.frame_id, arrived.gateway, arrived.lane) == (frame_id, gateway, lane)
    assert arrived.requests == entries
    got = arrays_of(arrived, rows)
    assert list(got) == list(sent)
    assert all(same(got[name], sent[name]) for name in sent)


@given(st.data(), names, names, results, batches, services)
def test_a_result_frame_arrives_as_it_was_sent(
    data: st.DataObject,
    worker: str,
    model_key: str,
    entries: list[ResultEntry],
    batch: BatchReport,
    service: ServiceReport,
) -> None:
    sent = data.draw(tensors_of(3))
    blocks = [to_block(name, [array]) for name, array in sent.items()]
    arrived = decode_reply(
        encode_frame(ResultFrame(worker, model_key, entries, blocks, batch, service))
    )
    assert isinstance(arrived, ResultFrame)
    assert (arrived.worker, arrived.model_key) == (worker, model_key)
    assert (arrived.results, arrived.batch, arrived.service) == (entries, batch, service)
    got = arrays_of(arrived, 3)
    assert all(same(got[name], sent[name]) for name in sent)


@given(heartbeats)
def test_a_heartbeat_arrives_as_it_was_sent(heartbeat: Heartbeat) -> None:
    assert decode_reply(encode_frame(heartbeat)) == heartbeat


@given(st.data(), st.sampled_from(list(DATATYPES)), row_shapes)
def test_the_parts_of_a_block_come_back_as_one_array(
    data: st.DataObject, datatype: str, row_shape: tuple[int, ...]
) -> None:
    sizes = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    parts = [data.draw(arrays(datatype, (rows, *row_shape))) for rows in sizes]
    got = from_block(to_block("x", parts), sum(sizes))
    assert same(got, np.concatenate(parts))


@given(st.data(), st.sampled_from(list(DATATYPES)), row_shapes, st.integers(0, 9))
def test_a_block_is_taken_for_its_own_number_of_rows_only(
    data: st.DataObject, datatype: str, row_shape: tuple[int, ...], claimed: int
) -> None:
    array = data.draw(arrays(datatype, (3, *row_shape)))
    assume(array.size > 0 and claimed != 3)
    with pytest.raises(MalformedFrame):
        from_block(to_block("x", [array]), claimed)


def decode_all(data: bytes) -> None:
    """Use bytes as both sides do, blocks included; only a WireError may come of it."""
    try:
        request = decode_request(data)
        arrays_of(request, sum(entry.rows for entry in request.requests))
    except WireError:
        pass
    try:
        reply = decode_reply(data)
        if isinstance(reply, ResultFrame):
            arrays_of(reply, sum(entry.rows for entry in reply.results))
    except WireError:
        pass


PREAMBLE = bytes((MAGIC, WIRE_VERSION))


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda tail: PREAMBLE + tail))
def test_random_bytes_are_refused_as_wire_errors(data: bytes) -> None:
    decode_all(data)


@given(
    st.sampled_from([encode_frame(REQUEST), encode_frame(RESULT), encode_frame(HEARTBEAT)]),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4),
    st.binary(max_size=4),
)
def test_damaged_frames_are_refused_as_wire_errors(
    frame: bytes, damage: list[tuple[int, int]], tail: bytes
) -> None:
    data = bytearray(frame)
    for place, value in damage:
        data[place % len(data)] = value
    decode_all(bytes(data) + tail)


@given(st.integers(0, 255), st.binary(max_size=50))
def test_every_other_version_is_foreign(version: int, tail: bytes) -> None:
    assume(version != WIRE_VERSION)
    with pytest.raises(ForeignWireVersion):
        decode_request(bytes((MAGIC, version)) + tail)


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 0.9)), min_size=1, max_size=20),
    st.floats(0, 1e9),
)
def test_the_server_clock_is_never_further_off_than_half_its_best_round_trip(
    asked: list[tuple[float, float]], offset_s: float
) -> None:
    clock = ServerClock()
    for sent_s, round_trip_s in asked:
        # The server looks at its clock somewhere between: here, at the very end.
        answered_us = int((sent_s + round_trip_s + offset_s) * 1e6)
        clock.observe(sent_s, sent_s + round_trip_s, answered_us)
    best_s = min(round_trip_s for _, round_trip_s in asked[-16:])
    error_us = abs(clock.server_us(100.0) - (100.0 + offset_s) * 1e6)
    assert error_us <= best_s / 2 * 1e6 + 3
