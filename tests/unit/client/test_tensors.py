"""Arrays to what travels and back, against the gateway's own reading and writing."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from bridge.client.call import decode_answers, encode_call, join_requests
from bridge.client.errors import BadAnswer, InvalidRequest
from bridge.client.tensors import OutputTensor, decode_outputs, encode_inputs
from bridge.gateway.stream.message import read_id, split_requests
from tests.unit.client.calls import call_of, parsed, there_and_back
from tests.unit.dialects.doors import door, spec


@pytest.mark.parametrize(
    "array",
    [
        np.array([["maize", ""], ["Ähre", "🌾"]]),
        np.array([["maize", ""], ["Ähre", "🌾"]], dtype=object),
        np.array([[b"maize", b"rye"]]),
        np.array([[b"maize", b"rye"]], dtype=object),
    ],
)
def test_text_arrives_and_comes_back_as_text(array: Any) -> None:
    _, came_back = there_and_back("BYTES", array)
    expected = [item.decode() if isinstance(item, bytes) else item for item in array.ravel()]
    assert came_back.ravel().tolist() == expected


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=">f8").reshape(3, 4),
        np.arange(12, dtype="<f8").reshape(4, 3).T,
        np.arange(24, dtype="<f8").reshape(3, 8)[:, ::2],
    ],
)
def test_byte_order_and_layout_in_memory_do_not_matter(array: Any) -> None:
    arrived, _ = there_and_back("FP64", array)
    np.testing.assert_array_equal(arrived, array)


def test_outputs_can_be_written_to() -> None:
    _, came_back = there_and_back("FP64", np.zeros((1, 1)))
    came_back[0, 0] = 1.0
    assert came_back.tolist() == [[1.0]]


@pytest.mark.parametrize(
    "array", [np.array([1j]), np.array([None]), np.array([7], object), np.array(["2026"], "M8[Y]")]
)
def test_an_array_that_the_protocol_has_no_datatype_for_is_refused(array: Any) -> None:
    with pytest.raises(InvalidRequest):
        encode_inputs({"x": array})


@pytest.mark.parametrize(
    "tensor",
    [
        OutputTensor("y", (2,), "FP64", bytes(8)),
        OutputTensor("y", (-1,), "FP64", b""),
        OutputTensor("y", (1,), "BF16", bytes(2)),
        OutputTensor("y", (1,), "BYTES", b"text"),
        OutputTensor("y", (1,), "FP64", [1.0]),
        OutputTensor("y", (2,), "BYTES", ["text"]),
    ],
)
def test_an_output_that_does_not_add_up_is_a_bad_answer(tensor: OutputTensor) -> None:
    with pytest.raises(BadAnswer):
        decode_outputs([tensor])


@pytest.mark.parametrize("message", [b"", b"\xc1", b"\xc0", b"\x91\x07", b"\x81\xa2id\x07"])
def test_bytes_that_are_no_answers_are_a_bad_answer(message: bytes) -> None:
    with pytest.raises(BadAnswer):
        decode_answers(message)


def test_without_a_timeout_and_a_priority_a_request_says_neither() -> None:
    request = msgspec.msgpack.decode(encode_call(call_of({"x": np.zeros(1)}), 0.0, "a"))
    assert set(request) == {"id", "inputs"}


def test_a_timeout_is_what_is_left_of_it_when_the_request_is_sent() -> None:
    at = door(spec("x", "FP64", -1))
    call = call_of({"x": np.zeros(1)}, is_timed=True, priority="sheddable")
    read = parsed(at, call, now_s=7.5)
    assert (read.timeout_s, read.priority) == (2.5, 3)


def test_a_request_that_is_late_already_still_has_a_timeout() -> None:
    at = door(spec("x", "FP64", -1))
    read = parsed(at, call_of({"x": np.zeros(1)}, is_timed=True), now_s=11.0)
    assert read.timeout_s == 1e-6


@pytest.mark.parametrize("count", [1, 2, 100])
def test_a_message_of_requests_is_what_a_gateway_takes_apart(count: int) -> None:
    call = call_of({"x": np.zeros(1)})
    message = join_requests([encode_call(call, 0.0, str(place)) for place in range(count)])
    names = [read_id(request) for request in split_requests(message, count)]
    assert names == [str(place) for place in range(count)]
