"""Batch-lane frames that nobody waits for are taken out of the queue, each once."""

from __future__ import annotations

from bridge.gateway.batch_frames import BatchFrames
from bridge.gateway.framer import PackedFrame
from bridge.wire import keys
from tests.unit.gateway.flights import MODEL, Sky

STREAM = keys.batch_key(MODEL)


def queued(sky: Sky) -> tuple[BatchFrames, PackedFrame]:
    """What was launched in one frame, in the queue as entry 1-0."""
    frames = BatchFrames(sky.table.waits_for)
    (frame,) = sky.packed()
    frames.queued(frame, b"1-0")
    return frames, frame


def test_a_frame_stays_as_long_as_one_of_its_requests_waits() -> None:
    sky = Sky()
    first, second = sky.launch(1, lane="batch"), sky.launch(2, lane="batch")
    frames, _ = queued(sky)
    sky.table.abandon(first)
    assert frames.take_unwanted() == {}
    sky.table.abandon(second)
    assert frames.take_unwanted() == {STREAM: [b"1-0"]}
    assert frames.take_unwanted() == {}


def test_a_frame_that_has_expired_leaves() -> None:
    sky = Sky()
    sky.launch(1, lane="batch", timeout_s=1.0)
    frames, _ = queued(sky)
    sky.loop.advance(1.0)
    assert frames.take_unwanted() == {STREAM: [b"1-0"]}


def test_online_frames_are_left_to_their_deadlines() -> None:
    sky = Sky()
    flight = sky.launch(1)
    frames, _ = queued(sky)
    sky.table.abandon(flight)
    assert frames.take_unwanted() == {}
