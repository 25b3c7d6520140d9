"""Which heads the express lane takes; everything else is aiohttp's to answer or refuse."""

from __future__ import annotations

import pytest

from bridge.gateway.express.head import HEAD_BYTES_MAX, HEADERS_MAX, Heads, could_be_taken
from bridge.gateway.inference import BODY_BYTES_MAX, InferHead
from tests.raw_http import request

PATH = "/v2/models/m/infer"
LENGTH = "Content-Length: 5"


def post(*headers: str, path: str = PATH, length: str = LENGTH) -> bytes:
    return request("POST", path, [*headers, length])


TAKEN: dict[str, bytes] = {
    "plain": post(),
    "a version": post(path="/v2/models/m/versions/12/infer"),
    "a name with dots and dashes": post(path="/v2/models/a.b-c_D9/infer"),
    "keep-alive": post("Connection: Keep-Alive"),
    "no space after the colon": post("Accept:*/*"),
    "the largest body": post(length=f"Content-Length: {BODY_BYTES_MAX}"),
    "no body": post(length="Content-Length: 0"),
    "names in other letters": post(length="cOnTent-LENGTH: 5"),
    "as many headers as are taken": post(*(f"X-{n}: a" for n in range(HEADERS_MAX - 2))),
}
NOT_TAKEN: dict[str, bytes] = {
    "another method": request("GET", PATH, [LENGTH]),
    "another path": post(path="/v2/models/m"),
    "a query": post(path=PATH + "?a=b"),
    "an escape": post(path="/v2/models/%6d/infer"),
    "dots for a name": post(path="/v2/models/../infer"),
    "a version in words": post(path="/v2/models/m/versions/x/infer"),
    "HTTP/1.0": post().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "two spaces": post().replace(b"POST ", b"POST  "),
    "no length": request("POST", PATH),
    "two lengths": post(LENGTH),
    "a length with a sign": post(length="Content-Length: +5"),
    "a length in other digits": post(length="Content-Length: \xb2"),
    "a list of lengths": post(length="Content-Length: 5, 5"),
    "a length in many digits": post(length="Content-Length: 00000005"),
    "a body too large": post(length=f"Content-Length: {BODY_BYTES_MAX + 1}"),
    "chunks": post("Transfer-Encoding: chunked"),
    "an encoding": post("Content-Encoding: identity"),
    "an expectation": post("Expect: 100-continue"),
    "a preference": post("Prefer: respond-async"),
    "an upgrade": post("Upgrade: websocket"),
    "a close": post("Connection: close"),
    "two connections": post("Connection: keep-alive, te"),
    "trailers": post("TE: trailers"),
    "a WebSocket": post("Sec-WebSocket-Key: a"),
    "no host": post().replace(b"Host", b"Hots"),
    "two hosts": post("Host: other"),
    "two ids": post("X-Request-Id: a", "X-Request-Id: b"),
    "two of anything": post("X: a", "x: b"),
    "a bare LF": post("X: a\nY: b"),
    "a bare CR": post("X: a\rY: b"),
    "a folded header": post("X: a\r\n b"),
    "a NUL": post("X: \x00"),
    "a tab": post("X: a\tb"),
    "bytes beyond ASCII": post("X: \xe9"),
    "a space before the colon": post("X : a"),
    "two spaces after the colon": post("X:  a"),
    "a space at the end": post("X: a "),
    "an empty value": post("X:"),
    "an empty name": post(": a"),
    "a name with a space": post("X Y: a"),
    "a line in front": b"\r\n" + post(),
    "too many headers": post(*(f"X-{n}: a" for n in range(HEADERS_MAX - 1))),
    "too many bytes": post("X: " + "a" * HEAD_BYTES_MAX),
}


@pytest.mark.parametrize("head", TAKEN.values(), ids=TAKEN.keys())
def test_a_plain_head_is_taken(head: bytes) -> None:
    assert Heads().read(head) is not None


@pytest.mark.parametrize("head", NOT_TAKEN.values(), ids=NOT_TAKEN.keys())
def test_a_head_with_anything_unusual_is_not_taken(head: bytes) -> None:
    assert Heads().read(head) is None


def test_a_head_says_all_that_the_request_needs() -> None:
    read = Heads().read(
        post(
            "Content-Type: application/json; charset=utf-8",
            "Inference-Header-Content-Length: 3",
            "X-Request-Timeout-Ms: 50",
            "X-Priority: sheddable",
            "X-Request-Id: a-1",
            path="/v2/models/m/versions/7/infer",
        )
    )
    assert read is not None
    assert (read.infer, read.body_bytes, read.request_id) == (
        InferHead("m", "7", "application/json; charset=utf-8", "3", "50", "sheddable"),
        5,
        "a-1",
    )


def test_a_head_that_comes_again_is_not_read_again() -> None:
    heads = Heads()
    assert heads.read(post()) is heads.read(post())


@pytest.mark.parametrize("header", ["X-Request-Id: a", "Authorization: b", "Cookie: c"])
def test_what_belongs_to_one_caller_is_not_remembered(header: str) -> None:
    heads = Heads()
    assert heads.read(post(header)) is not heads.read(post(header))


def test_only_so_many_heads_are_remembered() -> None:
    heads = Heads()
    for number in range(5_000):
        heads.read(post(f"X: {number}"))
    assert len(heads._known) <= 512


@pytest.mark.parametrize("beginning", [b"P", b"POST /v2/mod", b"POST /v2/models/m HTTP/1.1\r\nX: "])
def test_the_beginning_of_a_plain_head_may_become_one(beginning: bytes) -> None:
    assert could_be_taken(b"abc" + beginning, 3)


@pytest.mark.parametrize("beginning", [b"G", b"POST /v1", b"\r\n", b"\x16\x03\x01", b"POST\t"])
def test_another_beginning_may_not(beginning: bytes) -> None:
    assert not could_be_taken(b"abc" + beginning, 3)


def test_a_beginning_without_an_end_is_bounded() -> None:
    assert not could_be_taken(b"POST /v2/models/" + b"a" * HEAD_BYTES_MAX, 0)
