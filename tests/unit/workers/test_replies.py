"""Rows find their way back to the request and the gateway that they came from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bridge.wire.block import from_block
from bridge.wire.frame import (
    FRAME_BYTES_MAX,
    BatchReport,
    ResultFrame,
    ResultStatus,
    ServiceReport,
    decode_reply,
)
from tests.unit.workers.taken import entry, slices_of, taken
from workers.hand import Slice
from workers.isolation import Run
from workers.replies import FRAME_BYTES_TARGET, result_frames

SERVICE = ServiceReport(0.5, 0.25, 0.05, 8, 8)
REPORT = BatchReport(rows=9, run_us=1234, counted_here=True, ended_us=9_999, waiting_rows=3)
NOTHING_ELSE: Mapping[str, int] = {}


def replies(
    run: Run, report: BatchReport = REPORT, others_rows: Mapping[str, int] = NOTHING_ELSE
) -> dict[str, ResultFrame]:
    frames = {}
    for gateway, data in result_frames("w", "m@1", run, report, SERVICE, others_rows):
        frame = decode_reply(data)
        assert isinstance(frame, ResultFrame)
        frames[gateway] = frame
    return frames


def rows_by_request(frame: ResultFrame) -> dict[bytes, list[float]]:
    y = from_block(frame.tensors[0], sum(item.rows for item in frame.results))
    rows, start = {}, 0
    for item in frame.results:
        rows[item.request_id] = y[start : start + item.rows, 0].tolist()
        start += item.rows
    return rows


def ok(*slices: Slice) -> Run:
    count = sum(piece.entry.rows for piece in slices)
    return Run(list(slices), ResultStatus.OK, {"y": np.arange(count, dtype="<f8").reshape(-1, 1)})


def test_every_request_gets_the_rows_of_its_own_place_in_the_batch() -> None:
    first, second = slices_of(taken(entry(2), entry(3)))
    rows = rows_by_request(replies(ok(first, second))["gw"])
    assert rows == {first.entry.request_id: [0, 1], second.entry.request_id: [2, 3, 4]}


def test_a_batch_of_several_gateways_is_parted_between_them() -> None:
    a, b = slices_of(taken(entry(2), entry(1), gateway="one"))
    (c,) = slices_of(taken(entry(2), gateway="two"))
    (d,) = slices_of(taken(entry(1), gateway="one"))
    frames = replies(ok(a, c, b, d))
    assert {gateway: rows_by_request(frame) for gateway, frame in frames.items()} == {
        "one": {a.entry.request_id: [0, 1], b.entry.request_id: [4], d.entry.request_id: [5]},
        "two": {c.entry.request_id: [2, 3]},
    }


def test_text_is_parted_like_numbers() -> None:
    (a,) = slices_of(taken(entry(1), gateway="one"))
    (b,) = slices_of(taken(entry(1), gateway="two"))
    run = Run([a, b], ResultStatus.OK, {"y": np.array([["left"], ["right"]], dtype=object)})
    assert {name: frame.tensors[0].data for name, frame in replies(run).items()} == {
        "one": ["left"],
        "two": ["right"],
    }


def test_a_failure_carries_no_tensors_and_names_every_request() -> None:
    slices = slices_of(taken(entry(2), entry(1)))
    frame = replies(Run(slices, ResultStatus.ROWS_FAILED, {}))["gw"]
    assert frame.tensors == []
    assert [(item.request_id, item.status) for item in frame.results] == [
        (piece.entry.request_id, ResultStatus.ROWS_FAILED) for piece in slices
    ]


def test_a_run_is_counted_in_one_frame_only() -> None:
    (a,) = slices_of(taken(entry(), gateway="one"))
    (b,) = slices_of(taken(entry(), gateway="two"))
    frames = replies(ok(a, b)).values()
    assert sorted(frame.batch.counted_here for frame in frames) == [False, True]


def test_a_run_that_is_not_to_be_counted_is_not() -> None:
    frames = replies(ok(*slices_of(taken(entry()))), BatchReport(1, 0, counted_here=False))
    assert not frames["gw"].batch.counted_here


def test_a_reply_says_where_the_time_went() -> None:
    frame = taken(entry())
    frame.taken_us = 700
    frame.frame.requests[0] = asked = type(frame.frame.requests[0])(b"Q" * 16, 0, 1, 500, 9_000)
    report = BatchReport(1, 4_000, counted_here=True, ended_us=5_000)
    (result,) = replies(ok(Slice(frame, asked, 0)), report)["gw"].results
    assert (result.queue_us, result.batch_us) == (200, 300)


def test_clocks_that_disagree_make_no_negative_times() -> None:
    frame = taken(entry(enqueued_us=700))
    frame.taken_us = 600
    report = BatchReport(1, 100, counted_here=True, ended_us=500)
    (result,) = replies(ok(*slices_of(frame)), report)["gw"].results
    assert (result.queue_us, result.batch_us) == (0, 0)


def test_a_reply_carries_the_part_the_run_and_the_model_of_time() -> None:
    (piece,) = slices_of(taken(entry(part=3)))
    frame = replies(ok(piece))["gw"]
    assert frame.results[0].part == 3
    assert (frame.worker, frame.model_key) == ("w", "m@1")
    assert (frame.batch, frame.service) == (REPORT, SERVICE)


def test_a_reply_tells_each_gateway_what_the_others_have_in_flight() -> None:
    (a,) = slices_of(taken(entry(), gateway="one"))
    (b,) = slices_of(taken(entry(), gateway="two"))
    frames = replies(ok(a, b), others_rows={"one": 5})
    assert {name: frame.others_rows for name, frame in frames.items()} == {"one": 5, "two": 0}


def test_long_texts_travel_in_as_many_frames_as_they_need() -> None:
    pieces = slices_of(taken(entry(1), entry(1), entry(1)))
    text = "x" * (FRAME_BYTES_TARGET // 2)
    outputs = {"y": np.array([text, text, text], dtype=object)}
    run = Run(list(pieces), ResultStatus.OK, outputs)
    frames = [data for _, data in result_frames("w", "m@1", run, REPORT, SERVICE, NOTHING_ELSE)]
    counts = [len(frame.results) for frame in map(decode_reply, frames)]
    assert (counts, max(map(len, frames)) < FRAME_BYTES_MAX) == ([1, 1, 1], True)


def test_an_answer_larger_than_a_frame_is_a_bad_output_and_its_neighbour_is_answered() -> None:
    pieces = slices_of(taken(entry(1), entry(1)))
    outputs = {"y": np.array(["x" * (FRAME_BYTES_TARGET + 1), "small"], dtype=object)}
    run = Run(list(pieces), ResultStatus.OK, outputs)
    frames = [
        decode_reply(data)
        for _, data in result_frames("w", "m@1", run, REPORT, SERVICE, NOTHING_ELSE)
    ]
    statuses = [item.status for frame in frames for item in frame.results]
    assert statuses == [ResultStatus.BAD_OUTPUT, ResultStatus.OK]
