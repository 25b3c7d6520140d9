"""Messages of a stream, as bytes."""

from __future__ import annotations

import msgspec
import pytest

from bridge.gateway.stream.message import (
    ID_CHARS_MAX,
    CloseCode,
    Violation,
    join_answers,
    read_id,
    split_requests,
)

encode = msgspec.msgpack.encode
MAX = 70_000


def refused(message: bytes, requests_max: int = MAX) -> CloseCode:
    with pytest.raises(Violation) as violation:
        split_requests(message, requests_max)
    return violation.value.code


@pytest.mark.parametrize("count", [0, 1, 15, 16, 65_535, 65_536])
def test_an_array_of_requests_comes_apart(count: int) -> None:
    requests = [encode({"id": str(number)}) for number in range(count)]
    message = encode([msgspec.Raw(request) for request in requests])
    assert split_requests(message, MAX) == requests


def test_a_map_is_one_request() -> None:
    message = encode({"id": "a"})
    assert split_requests(message, MAX) == [message]


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"\xdd\xff\xff\xff\xff", id="32 bits of count"),
        pytest.param(b"\xdc\xff\xff" + bytes(65_535), id="16 bits of count"),
        pytest.param(encode([{}, {}, {}]), id="one too many"),
    ],
)
def test_too_many_requests_are_refused_by_their_announced_number(message: bytes) -> None:
    assert refused(message, requests_max=2) is CloseCode.TOO_MANY


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"\x93\x80", id="cut off"),
        pytest.param(b"\x91\xc1", id="a byte that MessagePack does not use"),
        pytest.param(b"\x91\x80\x80", id="more than the array"),
        pytest.param(b"\xdc\x00", id="half a head"),
        pytest.param(b"\x91" * 200_000, id="nested for ever"),
    ],
)
def test_an_array_that_is_not_messagepack_is_refused(message: bytes) -> None:
    assert refused(message) is CloseCode.MALFORMED


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xc0", id="nil"),
        pytest.param(b"junk", id="junk"),
        pytest.param(encode({}), id="without an id"),
        pytest.param(encode({"id": 7}), id="a number"),
        pytest.param(encode({"id": None}), id="null"),
        pytest.param(encode({"id": ""}), id="empty"),
        pytest.param(encode({"id": "x" * (ID_CHARS_MAX + 1)}), id="too long"),
        pytest.param(b"\x81\xa2id\xa1\xff", id="not UTF-8"),
        pytest.param(b"\x82\xa1x" + b"\x91" * 200_000, id="nested for ever"),
    ],
)
def test_a_request_whose_id_cannot_be_sent_back_ends_the_stream(request_: bytes) -> None:
    with pytest.raises(Violation) as violation:
        read_id(request_)
    assert violation.value.code is CloseCode.MALFORMED


@pytest.mark.parametrize(
    "request_",
    [{"id": "a"}, {"inputs": 1, "id": "a"}, {"unknown": [{}, [1.5, None]], "id": "a"}],
)
def test_an_id_is_read_whatever_else_is_wrong(request_: dict[str, object]) -> None:
    assert read_id(encode(request_)) == "a"


@pytest.mark.parametrize("count", [2, 15, 16, 65_535, 65_536])
def test_several_answers_are_an_array(count: int) -> None:
    assert msgspec.msgpack.decode(join_answers([encode(7)] * count)) == [7] * count


def test_one_answer_is_no_array() -> None:
    assert join_answers([encode({"id": "a"})]) == encode({"id": "a"})
