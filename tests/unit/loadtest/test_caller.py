"""One blocking caller against servers that close, answer nonsense, or do not answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from loadtest.caller import BaseUrl, Caller
from loadtest.errors import NoAnswer
from loadtest.server_model import learn_model

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
BYE = b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbye"


@contextmanager
def serving(*connections: list[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers each connection's requests with these bytes, then closes it."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answers in connections:
                connection, _ = listener.accept()
                with connection:
                    for answer in answers:
                        asked.append(connection.recv(65_536))
                        connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
        thread.join(timeout=10)


def test_requests_follow_each_other_on_one_connection() -> None:
    with serving([HELLO, HELLO]) as (url, _), Caller(url) as caller:
        assert [caller.get("/").body, caller.get("/").body] == [b"hello", b"hello"]


def test_a_connection_that_the_server_closed_is_made_again() -> None:
    with serving([HELLO], [BYE], [HELLO]) as (url, _), Caller(url) as caller:
        assert [caller.get("/").status for _ in range(3)] == [200, 404, 200]


def test_the_path_of_the_url_comes_before_the_servers_own() -> None:
    with serving([HELLO]) as (url, asked), Caller(f"{url}/serving/") as caller:
        caller.get("/v2")
    assert asked[0].startswith(b"GET /serving/v2 HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"]
)
def test_what_is_no_http_answer_is_named_with_the_url(answer: bytes) -> None:
    with serving([answer]) as (url, _), Caller(url) as caller, pytest.raises(NoAnswer, match=url):
        caller.get("/")


def test_a_server_that_does_not_answer_is_not_waited_for_longer_than_the_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with Caller(url, timeout_s=0.05) as caller, pytest.raises(NoAnswer, match="in time"):
            caller.get("/")


@pytest.mark.parametrize(
    "url", ["https://host", "host:80", "http://", "http://h:x", "http://h/?a=1", "http://u:p@h"]
)
def test_a_url_that_is_not_understood_is_refused(url: str) -> None:
    with pytest.raises(NoAnswer):
        BaseUrl.parse(url)


def test_a_url_is_taken_apart() -> None:
    assert BaseUrl.parse("http://[::1]:8080/a/") == BaseUrl("::1", 8080, "[::1]:8080", "/a")


def test_a_server_that_is_not_ours_may_lack_all_but_the_models_metadata() -> None:
    metadata = b'{"name":"m","inputs":[{"name":"x","datatype":"FP32","shape":[-1,2]}]}'
    found = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(metadata), metadata)
    with serving([found], [BYE]) as (url, _):
        known = learn_model(url, "m")
    assert (known.url, known.server, known.outputs) == (url, {}, ())
