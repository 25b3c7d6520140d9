"""One turn's requests become few frames: who shares one, in which order, how large it gets."""

from __future__ import annotations

import numpy as np

from bridge.gateway.framer import FRAME_BYTES_TARGET
from bridge.wire.block import from_block
from bridge.wire.frame import FRAME_BYTES_MAX, FRAME_REQUESTS_MAX, RequestFrame
from tests.unit.gateway.flights import Sky


def rows_of(frame: RequestFrame) -> list[float]:
    rows = sum(item.rows for item in frame.requests)
    values: list[float] = from_block(frame.tensors[0], rows)[:, 0].tolist()
    return values


def test_the_requests_of_a_turn_share_a_frame_in_their_order() -> None:
    sky = Sky()
    first, second = sky.launch(1, 2), sky.launch(3)
    (frame,) = sky.framed()
    assert [item.request_id for item in frame.requests] == [first.request_id, second.request_id]
    assert rows_of(frame) == [1, 2, 3]


def test_models_share_no_frame() -> None:
    sky = Sky()
    sky.launch(1, model_key="a@1")
    sky.launch(2, model_key="b@1")
    sky.launch(3, model_key="a@1")
    assert [frame.lane.model_key for frame in sky.packed()] == ["a@1", "b@1"]


def test_rows_of_different_shapes_share_no_frame() -> None:
    sky = Sky()
    sky.launch(1, width=2)
    sky.launch(2, width=3)
    sky.launch(3, width=2)
    frames = sky.framed()
    assert [frame.tensors[0].row_shape for frame in frames] == [(2,), (3,)]
    assert [rows_of(frame) for frame in frames] == [[1, 3], [2]]


def test_a_frame_holds_no_more_rows_than_a_batch() -> None:
    sky = Sky(batch_rows=4)
    for size in (3, 1, 2, 3):
        sky.launch(*[float(size)] * size)
    assert [rows_of(frame) for frame in sky.framed()] == [[3, 3, 3, 1], [2, 2], [3, 3, 3]]


def test_a_request_with_more_rows_than_a_batch_is_split_in_order() -> None:
    sky = Sky(batch_rows=4)
    flight = sky.launch(*range(10))
    frames = sky.framed()
    assert [rows_of(frame) for frame in frames] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    entries = [item for frame in frames for item in frame.requests]
    assert [(item.request_id, item.part, item.rows) for item in entries] == [
        (flight.request_id, 0, 4),
        (flight.request_id, 1, 4),
        (flight.request_id, 2, 2),
    ]
    assert flight.parts.rows == [4, 4, 2]


def test_the_last_part_of_a_split_request_shares_its_frame() -> None:
    sky = Sky(batch_rows=4)
    sky.launch(*range(5))
    sky.launch(9)
    assert [rows_of(frame) for frame in sky.framed()] == [[0, 1, 2, 3], [4, 9]]


def test_every_split_request_of_a_frame_keeps_its_carriers() -> None:
    sky = Sky(batch_rows=4)
    flight = sky.launch(*range(6))
    assert [frame.flights for frame in sky.packed()] == [(flight,), (flight,)]


def test_requests_that_nobody_waits_for_are_left_out() -> None:
    sky = Sky()
    gone, _ = sky.launch(1), sky.launch(2)
    sky.table.abandon(gone)
    assert [rows_of(frame) for frame in sky.framed()] == [[2]]


def test_a_turn_whose_callers_have_all_gone_makes_no_frame() -> None:
    sky = Sky()
    sky.table.abandon(sky.launch(1))
    assert sky.packed() == []


def test_what_was_drained_is_not_sent_again() -> None:
    sky = Sky()
    sky.launch(1)
    assert sky.framer.oldest_s() is not None
    assert len(sky.packed()) == 1
    assert sky.framer.oldest_s() is None
    assert sky.packed() == []


def test_frames_have_ids_of_their_own() -> None:
    sky = Sky(batch_rows=1)
    for number in range(50):
        sky.launch(number)
    assert len({frame.frame_id for frame in sky.framed()}) == 50


def test_a_frame_says_whose_it_is_and_until_when() -> None:
    sky = Sky()
    sky.launch(1, timeout_s=2.5)
    (frame,) = sky.framed()
    assert (frame.gateway, frame.lane) == ("gw", "online")
    times = (frame.requests[0].enqueued_us, frame.requests[0].deadline_us)
    assert times == (1_000_000_000, 1_002_500_000)


def test_a_frame_stays_below_its_target_in_bytes() -> None:
    sky = Sky(batch_rows=1024)
    half = np.zeros((1, FRAME_BYTES_TARGET // 16 - 1), "<f8")
    for _ in range(5):
        sky.launch(x=half)
    assert [len(frame.requests) for frame in sky.framed()] == [2, 2, 1]


def test_a_request_larger_than_the_target_is_split_by_bytes() -> None:
    sky = Sky(batch_rows=1024)
    flight = sky.launch(x=np.zeros((3, FRAME_BYTES_TARGET // 16), "<f8"))
    frames = sky.packed()
    assert flight.parts.rows == [2, 1]
    assert all(len(frame.data) <= FRAME_BYTES_MAX for frame in frames)


def texts(*values: str) -> np.ndarray:  # type: ignore[type-arg]
    array = np.empty((len(values), 1), dtype=object)
    array[:, 0] = values
    return array


def test_long_texts_fill_a_frame_by_their_real_length() -> None:
    sky = Sky(batch_rows=1024)
    # As many bytes as a body may have: nine of them are more than a frame may hold.
    for _ in range(9):
        sky.launch(x=texts("é" * (4 * 2**20 - 100)))
    frames = sky.packed()
    assert [len(frame.flights) for frame in frames] == [4, 4, 1]
    assert all(len(frame.data) <= FRAME_BYTES_MAX for frame in frames)


def test_text_arrives_as_it_was_sent() -> None:
    sky = Sky()
    sky.launch(x=texts("wheat", "é", ""))
    (frame,) = sky.framed()
    assert frame.tensors[0].data == ["wheat", "é", ""]


def test_a_frame_names_no_more_requests_than_the_wire_allows() -> None:
    sky = Sky(batch_rows=10**6)
    one = np.zeros((1, 1), "u1")
    for _ in range(FRAME_REQUESTS_MAX + 1):
        sky.launch(x=one)
    assert [len(frame.flights) for frame in sky.packed()] == [FRAME_REQUESTS_MAX, 1]


def test_rows_without_elements_travel_too() -> None:
    sky = Sky()
    sky.launch(x=np.zeros((3, 0), "<f4"))
    (frame,) = sky.framed()
    assert (frame.requests[0].rows, frame.tensors[0].row_shape) == (3, (0,))


def test_a_frame_says_what_the_way_costs() -> None:
    sky = Sky()
    sky.launch(1)
    (frame,) = sky.framed()
    assert frame.overhead_us == 3_000


def test_the_lanes_share_no_frame_and_each_frame_says_which_is_its() -> None:
    sky = Sky()
    sky.launch(1)
    sky.launch(2, lane="batch")
    sky.launch(3)
    assert [(frame.lane, rows_of(frame)) for frame in sky.framed()] == [
        ("online", [1, 3]),
        ("batch", [2]),
    ]


def test_a_batch_lane_frame_does_not_count_among_the_online_rows() -> None:
    sky = Sky()
    sky.launch(1, 2, 3)
    sky.launch(4, lane="batch")
    assert [(frame.lane, frame.in_flight_rows) for frame in sky.framed()] == [
        ("online", 3),
        ("batch", 0),
    ]
