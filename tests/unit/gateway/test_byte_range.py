"""Ranges: what is asked for, against what there is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.gateway.jobs.byte_range import byte_range
from bridge.gateway.problem import Problem

DATA = bytes(range(10))
ETAG = '"a"'


@given(st.integers(0, 9), st.integers(0, 99))
def test_a_range_is_the_bytes_between_its_ends(first: int, more: int) -> None:
    found = byte_range(f"bytes={first}-{first + more}", None, ETAG, len(DATA))
    assert found is not None
    assert DATA[found.start : found.stop] == DATA[first : first + more + 1]


@given(st.integers(1, 99))
def test_a_suffix_is_the_last_bytes(length: int) -> None:
    found = byte_range(f"bytes=-{length}", None, ETAG, len(DATA))
    assert found is not None
    assert DATA[found.start : found.stop] == DATA[-length:]


@pytest.mark.parametrize(
    "text",
    [None, "", "bytes", "bytes=", "bytes=-", "bytes=3-2", "bytes=0-1,3-4", "rows=0-1", "bytes=a-b"],
)
def test_what_is_no_single_range_is_ignored(text: str | None) -> None:
    assert byte_range(text, None, ETAG, len(DATA)) is None


@pytest.mark.parametrize(("if_range", "is_whole"), [(ETAG, False), ('"b"', True), ('W/"a"', True)])
def test_a_range_of_something_else_is_ignored(if_range: str, is_whole: bool) -> None:
    assert (byte_range("bytes=0-1", if_range, ETAG, len(DATA)) is None) == is_whole


@pytest.mark.parametrize("text", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_a_range_after_the_end_is_refused(text: str) -> None:
    with pytest.raises(Problem):
        byte_range(text, None, ETAG, len(DATA))


def test_no_range_of_nothing_can_be_had() -> None:
    with pytest.raises(Problem):
        byte_range("bytes=0-", None, ETAG, 0)
