"""Rows B32, B33 and B43, and S8: bytes that two servers could read as different requests.

Each attack carries a second request. It must not be answered, and must not even be run.
"""

from __future__ import annotations

import pytest

from tests.raw_http import Answer, connected, exchange, request
from tests.typed_model import TYPED, TypedSystem, body, counted_request

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("still_right")]

SMUGGLED, MARKER = -7.0, 7.0
SECOND = counted_request(SMUGGLED)
REFUSED_ONCE: list[list[tuple[int, str]]] = [[(400, "bad_framing")], [(400, "header")]]
CHUNKED = "Transfer-Encoding: chunked"
NO_CHUNKS = b"0\r\n\r\n"


def post(*headers: str, version: str = "HTTP/1.1") -> bytes:
    """The head of an inference request."""
    return request("POST", TYPED, headers).replace(b"HTTP/1.1", version.encode(), 1)


# Each is followed by the second request.
HEADS: dict[str, bytes] = {
    "negative length": post("Content-Length: -5"),
    "length with a plus": post("Content-Length: +5") + b"12345",
    "two lengths": post("Content-Length: 5", "Content-Length: 6") + b"12345",
    "the same length twice": post("Content-Length: 5", "Content-Length: 5") + b"12345",
    "list of lengths": post("Content-Length: 5, 5") + b"12345",
    "length in words": post("Content-Length: five") + b"12345",
    "hexadecimal length": post("Content-Length: 0x5") + b"12345",
    "no digits": post("Content-Length:"),
    "length with a fraction": post("Content-Length: 5.0") + b"12345",
    "length with an exponent": post("Content-Length: 5e0") + b"12345",
    "length with an underscore": post("Content-Length: 0_5") + b"12345",
    "length with a space inside": post("Content-Length: 0 5") + b"12345",
    "length in other digits": post("Content-Length: \xb2") + b"12345",
    "length above 64 bits": post("Content-Length: 18446744073709551616"),
    "space before the colon": post("Content-Length : 5") + b"12345",
    "tab before the colon": post("Content-Length\t: 5") + b"12345",
    "length and chunks": post("Content-Length: 5", CHUNKED) + NO_CHUNKS,
    "chunks and length": post(CHUNKED, "Content-Length: 5") + NO_CHUNKS,
    "xchunked": post("Transfer-Encoding: xchunked") + NO_CHUNKS,
    "chunkedx": post("Transfer-Encoding: chunkedx") + NO_CHUNKS,
    "identity": post("Transfer-Encoding: identity"),
    "chunked not last": post("Transfer-Encoding: chunked, gzip") + NO_CHUNKS,
    "chunked twice": post("Transfer-Encoding: chunked, chunked") + NO_CHUNKS,
    "two transfer encodings": post(CHUNKED, "Transfer-Encoding: identity") + NO_CHUNKS,
    "two chunked": post(CHUNKED, CHUNKED) + NO_CHUNKS,
    "vertical tab": post("Transfer-Encoding: \x0bchunked") + NO_CHUNKS,
    "quoted": post('Transfer-Encoding: "chunked"') + NO_CHUNKS,
    "NUL after chunked": post("Transfer-Encoding: chunked\x00") + NO_CHUNKS,
    "chunked in HTTP/1.0": post(CHUNKED, version="HTTP/1.0") + NO_CHUNKS,
    "space after the name": post("Transfer-Encoding : chunked") + NO_CHUNKS,
    "folded transfer encoding": post("Transfer-Encoding:", "  chunked") + NO_CHUNKS,
    "folded header": post("X-First: a", "  b"),
    "header that begins with a space": post(" Content-Length: 5") + b"12345",
    "bare LF ends lines": post("Content-Length: 0").replace(b"\r\n", b"\n"),
    "one bare LF": post("X-First: a\nContent-Length: 5") + b"12345",
    "bare CR": post("X-First: a\rContent-Length: 5") + b"12345",
    "CR CR LF": post("X-First: a\r") + b"12345",
    "NUL in a value": post("X-First: a\x00b"),
    "NUL in a name": post("X\x00: a"),
    "space in a name": post("X First: a"),
    "no colon": post("Content-Length 5") + b"12345",
    "empty name": post(": 5"),
    "no Host": b"POST " + TYPED.encode() + b" HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "two Hosts": post("Host: other"),
    "chunk size -1": post(CHUNKED) + b"-1\r\n",
    "chunk size 0x5": post(CHUNKED) + b"0x5\r\nhello\r\n" + NO_CHUNKS,
    "chunk size +5": post(CHUNKED) + b"+5\r\nhello\r\n" + NO_CHUNKS,
    "space after a chunk size": post(CHUNKED) + b"5 \r\nhello\r\n" + NO_CHUNKS,
    "chunk size 1_0": post(CHUNKED) + b"1_0\r\nhello\r\n" + NO_CHUNKS,
    "chunk size above 64 bits": post(CHUNKED) + b"F" * 17 + b"\r\nhello\r\n" + NO_CHUNKS,
    "no chunk size": post(CHUNKED) + b"\r\n" + NO_CHUNKS,
    "chunks with bare LF": post(CHUNKED) + b"5\nhello\n0\n\n",
    "chunk without an end": post(CHUNKED) + b"5\r\nhelloX" + NO_CHUNKS,
    "chunk longer than it says": post(CHUNKED) + b"5\r\nhello world\r\n" + NO_CHUNKS,
    "extension with bare LF": post(CHUNKED) + b"5;a\nhello\r\n" + NO_CHUNKS,
    "extension with bare CR": post(CHUNKED) + b"5;a\rb\r\nhello\r\n" + NO_CHUNKS,
    "extension with NUL": post(CHUNKED) + b"5;a\x00b\r\nhello\r\n" + NO_CHUNKS,
    "trailer Content-Length": post(CHUNKED) + b"2\r\n{}\r\n0\r\nContent-Length: 9\r\n\r\n",
    "trailer Transfer-Encoding": post(CHUNKED)
    + b"2\r\n{}\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "trailer with bare LF": post(CHUNKED) + b"2\r\n{}\r\n0\r\nX: y\n\n",
    "HTTP/1.2": post(version="HTTP/1.2"),
    "HTTP/3.0": post(version="HTTP/3.0"),
    "lower-case version": post(version="http/1.1"),
    "space before the method": b" " + post(),
    "space in the path": b"POST /v2 /x HTTP/1.1\r\nHost: x\r\n\r\n",
    "tab in the request line": b"POST\t/v2 HTTP/1.1\r\nHost: x\r\n\r\n",
    "raw bytes in the path": b"POST /v2/\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "unknown method": b"SMUGGLE /v2 HTTP/1.1\r\nHost: x\r\n\r\n",
    "method of 10 kB": b"A" * 10_000 + b" /v2 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a URL with no host": b"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "TLS": bytes.fromhex("16030100f4010000f00303") + bytes(240),
    "a WebSocket of old": post("Sec-WebSocket-Key1: x"),
    "only NULs": bytes(64),
    "Redis": b"*1\r\n$4\r\nPING\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
}  # fmt: skip

# These make it to a handler of ours.
REFUSED_BY_US: dict[str, tuple[bytes, int, str]] = {
    "HTTP/0.9": (b"GET /v2/health/live\r\n\r\n", 400, "bad_framing"),
    "HTTP/0.9 in words": (post(version="HTTP/0.9"), 400, "bad_framing"),
    "HTTP/2.0 in words": (post(version="HTTP/2.0"), 400, "bad_framing"),
    "a tunnel": (b"CONNECT example:443 HTTP/1.1\r\nHost: example:443\r\n\r\n", 400, "bad_framing"),
    "a tunnel to a path": (b"CONNECT /v2 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_framing"),
    "gzip, chunked": (post("Transfer-Encoding: gzip, chunked") + NO_CHUNKS, 415, "encoding"),
    "length of all 64 bits": (post("Content-Length: 18446744073709551615"), 413, "too_large"),
}

# What comes when the handler already reads the body.
LATE: dict[str, bytes] = {
    "first chunk bad": b"ZZ\r\nhello\r\n" + NO_CHUNKS,
    "second chunk bad": b"5\r\nhello\r\nZZ\r\nhello\r\n" + NO_CHUNKS,
    "chunk longer than it says": b"5\r\nhello world\r\n" + NO_CHUNKS,
    "trailer Content-Length": b"2\r\n{}\r\n0\r\nContent-Length: 9\r\n\r\n",
    "10,000 trailers": b"2\r\n{}\r\n0\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
    "a trailer of 10 kB": b"2\r\n{}\r\n0\r\nX: " + b"y" * 10_000 + b"\r\n\r\n",
}

# Odd, but with one reading only: both requests are requests.
LAWFUL: dict[str, bytes] = {
    "length with zeros in front": post("Content-Length: 00002") + b"{}",
    "tab before chunked": post("Transfer-Encoding:\tchunked") + b"2\r\n{}\r\n" + NO_CHUNKS,
    "chunked in capitals": post("Transfer-Encoding: CHUNKED") + b"2\r\n{}\r\n" + NO_CHUNKS,
    "chunk size with zeros in front": post(CHUNKED) + b"0002\r\n{}\r\n" + NO_CHUNKS,
    "chunk extension": post(CHUNKED) + b'2;a=b;c="d"\r\n{}\r\n' + NO_CHUNKS,
    "trailer": post(CHUNKED) + b"2\r\n{}\r\n0\r\nX-Sum: y\r\n\r\n",
    "an upgrade that is not wanted": post(
        "Connection: Upgrade", "Upgrade: websocket", "Content-Length: 2"
    )
    + b"{}",
    "two spaces before the path": post("Content-Length: 2").replace(b" ", b"  ", 1) + b"{}",
    "empty lines before it": b"\r\n\r\n" + post("Content-Length: 2") + b"{}",
}


async def all_that_ran(typed_system: TypedSystem) -> list[float]:
    """What `counted` has run since it was last forgotten, and then the marker."""
    await exchange(typed_system.url, closing(counted_request(MARKER)))
    return [row for batch in typed_system.counted.batches() for row in batch["first"]]


def closing(whole: bytes) -> bytes:
    """The request with `Connection: close`."""
    return whole.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


def outcomes(answers: list[Answer]) -> list[tuple[int, str]]:
    """Status and code of errors."""
    return [(answer.status, answer.code) for answer in answers]


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
async def test_bytes_with_two_readings_are_refused_and_nothing_after_them_is_run(
    typed_system: TypedSystem, head: bytes
) -> None:
    typed_system.counted.forget()
    answers = await exchange(typed_system.url, head + SECOND)
    assert (await all_that_ran(typed_system), outcomes(answers) in REFUSED_ONCE) == (
        [MARKER],
        True,
    ), answers


@pytest.mark.parametrize(
    ("head", "status", "code"), REFUSED_BY_US.values(), ids=REFUSED_BY_US.keys()
)
async def test_what_the_parser_lets_through_is_refused_and_nothing_after_it_is_run(
    typed_system: TypedSystem, head: bytes, status: int, code: str
) -> None:
    typed_system.counted.forget()
    answers = await exchange(typed_system.url, head + SECOND)
    assert (await all_that_ran(typed_system), outcomes(answers)) == ([MARKER], [(status, code)])


@pytest.mark.parametrize("late", LATE.values(), ids=LATE.keys())
async def test_a_body_found_out_while_it_is_read_is_refused_at_once_and_only_once(
    typed_system: TypedSystem, late: bytes
) -> None:
    typed_system.counted.forget()
    async with connected(typed_system.url) as connection:
        await connection.send(post(CHUNKED, "Expect: 100-continue"))
        await connection.answer()
        await connection.send(late + SECOND)
        answers = await connection.answers()
    assert (await all_that_ran(typed_system), outcomes(answers)) == (
        [MARKER],
        [(400, "bad_framing")],
    )


@pytest.mark.parametrize("first", LAWFUL.values(), ids=LAWFUL.keys())
async def test_an_odd_request_with_one_reading_is_answered_and_the_next_one_too(
    typed_system: TypedSystem, first: bytes
) -> None:
    answers = await exchange(typed_system.url, first + closing(SECOND))
    assert [answer.status for answer in answers] == [400, 200]


async def test_a_body_longer_than_announced_is_no_second_request(typed_system: TypedSystem) -> None:
    whole = body()
    answers = await exchange(typed_system.url, post(f"Content-Length: {len(whole) - 5}") + whole)
    # Both in one segment, so the parser gives up before the first is handed out.
    assert outcomes(answers) == [(400, "bad_framing")]
