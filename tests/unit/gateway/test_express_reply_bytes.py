"""Replies as bytes: what aiohttp's lane would send, and the short way for refusals."""

from __future__ import annotations

import pytest

from bridge.gateway.dialects.call import Body
from bridge.gateway.dialects.plain import PlainAnswer
from bridge.gateway.express.reply_bytes import ReplyBytes
from bridge.gateway.launch import Timings
from bridge.gateway.problem import overloaded
from bridge.gateway.reply import Reply, answer_reply, problem_reply, server_timing

NOW_S = 1_795_468_957.9


def writer() -> ReplyBytes:
    return ReplyBytes(lambda: NOW_S)


def test_a_reply_is_a_whole_response() -> None:
    reply = Reply(200, (("X-Request-Id", "a"), ("Content-Type", "application/json")), b"{}")
    assert writer().write(reply, closes=False) == (
        b"HTTP/1.1 200 OK\r\nX-Request-Id: a\r\nContent-Type: application/json\r\n"
        b"Server: batchbridge\r\nContent-Length: 2\r\nDate: Mon, 23 Nov 2026 21:22:37 GMT\r\n\r\n{}"
    )


def test_the_last_reply_of_a_connection_says_so() -> None:
    written = writer().write(Reply(408, (), b""), closes=True)
    assert written.endswith(b"GMT\r\nConnection: close\r\n\r\n")


def test_the_date_follows_the_clock() -> None:
    seconds = iter([NOW_S, NOW_S + 1])
    made = ReplyBytes(lambda: next(seconds))
    made.write(Reply(200, (), b""), closes=False)
    assert b":22:38 GMT" in made.write(Reply(200, (), b""), closes=False)


@pytest.mark.parametrize("retry_after_s", [0.0, 0.0004, 0.05, 1.0, 1.0001, 12.3456, 3600.0])
@pytest.mark.parametrize("request_id", ["0123456789abcdef", "a", "x" * 64])
def test_the_short_way_to_a_refusal_writes_the_same_bytes(
    retry_after_s: float, request_id: str
) -> None:
    whole = writer().write(problem_reply(overloaded(retry_after_s), request_id), closes=False)
    assert writer().overloaded(retry_after_s, request_id) == whole


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (Body("application/json", (), b"{}"), "Content-Type: application/json"),
        (
            Body("application/octet-stream", (("X", "7"),), b"x" * 12_345),
            "Content-Type: application/octet-stream\r\nX: 7",
        ),
    ],
)
def test_the_short_way_to_an_answer_writes_the_same_bytes(body: Body, headers: str) -> None:
    timings = Timings(0.0011, 0.02, 0.0003)
    reply = answer_reply(body, timings, "id-1", None)
    short = writer().answer("id-1", server_timing(timings), PlainAnswer(headers, body.data))
    assert short == writer().write(reply, closes=False)
