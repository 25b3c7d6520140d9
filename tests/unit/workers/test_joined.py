"""The inputs of a batch: views where that is possible, copies where the model may write."""

from __future__ import annotations

import numpy as np

from tests.unit.workers.taken import entry, slices_of, taken
from workers.hand import joined

FIRST = taken(entry(2), entry(1), entry(2), first=10)
SECOND = taken(entry(1), entry(1), first=20)


def test_the_rows_of_several_frames_follow_each_other() -> None:
    inputs = joined([*slices_of(FIRST), *slices_of(SECOND)], own=False)
    assert inputs["x"][:, 0].tolist() == [10, 11, 12, 13, 14, 20, 21]


def test_a_request_left_out_leaves_out_its_rows() -> None:
    first, _, third = slices_of(FIRST)
    assert joined([first, third], own=False)["x"][:, 0].tolist() == [10, 11, 13, 14]


def test_slices_are_joined_in_their_own_order() -> None:
    first, second, _ = slices_of(FIRST)
    assert joined([second, first], own=False)["x"][:, 0].tolist() == [12, 10, 11]


def test_neighbouring_requests_of_one_frame_are_one_view() -> None:
    first, second, _ = slices_of(FIRST)
    x = joined([first, second], own=False)["x"]
    assert np.shares_memory(x, FIRST.arrays["x"])
    assert x[:, 0].tolist() == [10, 11, 12]


def test_own_arrays_are_writable_and_shared_with_nobody() -> None:
    x = joined(slices_of(FIRST), own=True)["x"]
    assert x.flags.writeable
    assert not np.shares_memory(x, FIRST.arrays["x"])


def test_own_arrays_of_several_frames_are_writable_too() -> None:
    assert joined([*slices_of(FIRST), *slices_of(SECOND)], own=True)["x"].flags.writeable
