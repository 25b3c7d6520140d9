"""Chunks on the wire: addresses that read back, results that read back, and junk refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.wire.chunk import (
    ChunkAddress,
    ChunkResult,
    FailedRow,
    chunk_address,
    decode_chunk_result,
    encode_chunk_result,
    is_chunk,
)
from bridge.wire.frame import ForeignWireVersion, MalformedFrame, ResultStatus, Tensor

RESULT = ChunkResult(
    "w",
    3,
    [FailedRow(1, ResultStatus.ROWS_FAILED, "ValueError at pipeline.py:3")],
    [Tensor("y", "FP32", (), memoryview(b"12345678"))],
    batch_rows=64,
)


@given(
    st.text("0123456789abcdef", min_size=1, max_size=64),
    st.integers(0, 10**15 - 1),
    st.integers(0, 10**9 - 1),
    st.integers(0, 10**9 - 1),
    st.integers(0, 99),
)
def test_an_address_reads_back(job: str, chunk: int, start: int, end: int, losses: int) -> None:
    address = ChunkAddress(job, chunk, start, end, losses)
    assert (chunk_address(str(address)), is_chunk(str(address))) == (address, True)


@pytest.mark.parametrize(
    "text",
    ["", "4f2a", "job:", "job:ab:1:0-2", "job:XY:1:0-2:2", "job:ab:1:0-2:2 ", "job:ab:-1:0-2:2"],
)
def test_what_is_no_address_is_nobodys(text: str) -> None:
    assert (chunk_address(text), is_chunk(text)) == (None, False)


def test_a_result_reads_back() -> None:
    assert decode_chunk_result(encode_chunk_result(RESULT)) == RESULT


def test_the_bytes_of_a_result_are_what_they_have_always_been() -> None:
    assert encode_chunk_result(RESULT).hex() == (
        "bb0297a56368756e6ba17703919301ab726f77735f6661696c6564bb56616c75654572726f722061742070697065"
        "6c696e652e70793a33919"
        "4a179a44650333290c4083132333435363738a040"
    )


def test_a_result_of_another_wire_version_is_told_from_junk() -> None:
    data = bytearray(encode_chunk_result(RESULT))
    data[1] += 1
    with pytest.raises(ForeignWireVersion):
        decode_chunk_result(bytes(data))


@given(st.binary(max_size=60))
def test_junk_is_refused(junk: bytes) -> None:
    with pytest.raises((MalformedFrame, ForeignWireVersion)):
        decode_chunk_result(b"\xbb\x02" + junk)
