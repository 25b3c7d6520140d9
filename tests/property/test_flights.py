"""A gateway and a worker, joined by bytes: every caller gets its own rows, in any weather."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bridge.gateway.framer import PackedFrame
from bridge.gateway.launch import Flight, Landed
from bridge.gateway.problem import Problem
from bridge.wire.block import from_block, to_block
from bridge.wire.frame import (
    BatchReport,
    RequestEntry,
    ResultEntry,
    ResultFrame,
    ResultStatus,
    decode_reply,
    decode_request,
    encode_frame,
)
from tests.unit.gateway.flights import MODEL, SERVICE, Sky


@dataclass
class Plan:
    """One request: which model, how many rows of which width, and what becomes of it."""

    model: str
    rows: int
    width: int
    fate: str


plans = st.builds(
    Plan,
    st.sampled_from(["a@1", "b@1"]),
    st.integers(1, 12),
    st.integers(1, 2),
    st.sampled_from(["answered", "answered", "answered", "abandoned", "failed", "lost"]),
)


def as_worker(packed: PackedFrame, fates: dict[bytes, str]) -> list[ResultFrame]:
    """What a worker sends for a frame: y = 2 x + 1, or a failure of single requests."""
    frame = decode_request(packed.data)
    x = from_block(frame.tensors[0], sum(item.rows for item in frame.requests))
    replies, start, fine, ys = [], 0, [], []
    for item in frame.requests:
        rows = x[start : start + item.rows]
        start += item.rows
        fate = fates[item.request_id]
        if fate == "failed":
            replies.append(reply(packed.lane.model_key, [(item, ResultStatus.ROWS_FAILED)], []))
        elif fate != "lost":
            fine.append((item, ResultStatus.OK))
            ys.append(rows * 2 + 1)
    if fine:
        replies.append(reply(packed.lane.model_key, fine, ys))
    return replies


def reply(
    model_key: str,
    entries: list[tuple[RequestEntry, ResultStatus]],
    ys: list[np.ndarray],  # type: ignore[type-arg]
) -> ResultFrame:
    results = [
        ResultEntry(item.request_id, item.part, status, item.rows, 0, 0) for item, status in entries
    ]
    blocks = [to_block("y", ys)] if ys else []
    sent = ResultFrame("w", model_key, results, blocks, BatchReport(1, 1, True), SERVICE)
    arrived = decode_reply(encode_frame(sent))
    assert isinstance(arrived, ResultFrame)
    return arrived


def launched(sky: Sky, asked: list[Plan]) -> list[Flight]:
    """Launch every request with rows of its own, so that any crossing shows."""
    flights, first = [], 0.0
    for plan in asked:
        x = np.arange(first, first + plan.rows * plan.width).reshape(plan.rows, plan.width)
        first += plan.rows * plan.width
        flights.append(sky.launch(x=x, model_key=plan.model))
    return flights


@given(
    st.lists(plans, min_size=1, max_size=12),
    st.integers(1, 8),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_every_caller_gets_its_own_rows_once_or_a_problem(
    asked: list[Plan], batch_rows: int, random: object, delivered_twice: bool
) -> None:
    sky = Sky(batch_rows)
    flights = launched(sky, asked)
    fates = {flight.request_id: plan.fate for flight, plan in zip(flights, asked, strict=True)}
    replies = [frame for packed in sky.packed() for frame in as_worker(packed, fates)]
    replies *= 1 + delivered_twice
    random.shuffle(replies)  # type: ignore[attr-defined]
    for flight in flights:
        if fates[flight.request_id] == "abandoned":
            sky.table.abandon(flight)
    for frame in replies:
        sky.table.land(frame)
    sky.loop.advance(3600)

    for flight, plan in zip(flights, asked, strict=True):
        outcomes = sky.outcomes[flight.request_id]
        if plan.fate == "abandoned":
            assert outcomes == []
            continue
        (outcome,) = outcomes
        if plan.fate == "answered":
            assert isinstance(outcome, Landed)
            assert outcome.outputs["y"].tolist() == (flight.tensors["x"] * 2 + 1).tolist()
        else:
            assert isinstance(outcome, Problem)
            expected = "rows_failed" if plan.fate == "failed" else "deadline_exceeded"
            assert outcome.code.value == expected
    assert (len(sky.table), sky.admission.own_rows(MODEL)) == (0, 0)


@given(st.lists(plans, min_size=1, max_size=12), st.integers(1, 8))
def test_frames_hold_every_row_once_in_order_and_no_more_than_a_batch(
    asked: list[Plan], batch_rows: int
) -> None:
    sky = Sky(batch_rows)
    flights = launched(sky, asked)
    got: dict[bytes, list[float]] = {flight.request_id: [] for flight in flights}
    for packed in sky.packed():
        frame = decode_request(packed.data)
        rows = sum(item.rows for item in frame.requests)
        assert rows <= batch_rows
        x, start = from_block(frame.tensors[0], rows), 0
        for item in frame.requests:
            got[item.request_id] += x[start : start + item.rows].ravel().tolist()
            start += item.rows
    assert got == {flight.request_id: flight.tensors["x"].ravel().tolist() for flight in flights}
