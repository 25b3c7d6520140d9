"""Rows B37, B41 and B44 of the bad-input table: media types, paths, methods, expectations."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from bridge.gateway.inference import BODY_BYTES_MAX
from tests.raw_http import Answer, Connection, ask, connected, exchange, request
from tests.typed_model import TYPED, TypedSystem, body, outputs, post

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("still_right")]

CLOSE = "Connection: close"


def outcomes(answers: Iterable[Answer]) -> list[tuple[int, str]]:
    """Status and code of errors."""
    return [(answer.status, answer.code) for answer in answers]


@pytest.mark.parametrize(
    "media_type",
    [
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "text/plain",
        "text/json",
        "application/json; charset=latin-1",
        "application/jsonx",
        "application",
        "*/*",
        "application/json, text/plain",
        "\xff",
        "",
    ],
)
async def test_another_media_type_is_refused(typed_system: TypedSystem, media_type: str) -> None:
    answer = await post(typed_system.url, body(), f"Content-Type: {media_type}")
    assert (answer.status, answer.code) == (415, "media_type")


async def test_a_multipart_body_in_parts_is_refused(typed_system: TypedSystem) -> None:
    parts = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + body() + b"\r\n--x--\r\n"
    answer = await post(typed_system.url, parts, "Content-Type: multipart/form-data; boundary=x")
    assert (answer.status, answer.code) == (415, "media_type")


@pytest.mark.parametrize(
    "media_type", ["application/json", "application/json; charset=utf-8", None]
)
async def test_json_and_no_media_type_are_taken(
    typed_system: TypedSystem, media_type: str | None
) -> None:
    headers = [f"Content-Type: {media_type}"] if media_type else []
    assert (await post(typed_system.url, body(), *headers)).status == 200


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/v2", "GET, HEAD"),
        ("/v2/health/live", "GET, HEAD"),
        ("/v2/models/typed", "GET, HEAD"),
        (TYPED, "POST"),
        ("/v2/models/nobody/versions/1/infer", "POST"),
        ("/v2/repository/index", "POST"),
        ("/metrics", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_told_the_right_one(
    typed_system: TypedSystem, method: str, path: str, allow: str
) -> None:
    answer = await ask(typed_system.url, request(method, path)) or pytest.fail("no answer")
    assert (answer.status, answer.code, answer.headers["allow"]) == (
        405,
        "method_not_allowed",
        allow,
    )


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v2/health",
        "/v2/health/live/",
        "/v2/models",
        "/v2/models/typed/",
        "/v2/models/typed/infer/x",
        "/v2/models//infer",
        "/v2/models/a/b/infer",
        "/v2/models/a%2fb/x/infer",
        "//v2/health/live",
        "//other.example/v2/health/live",
        "/v2//health/live",
        "/v2/../metrics",
        "/v2/%2e%2e/metrics",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/v2/health/live%00",
        "/%00",
        "/%0d%0aX-Injected:%20yes",
        "/v2;x=y",
        "/V2",
        "/.git/config",
        "/docs",
        "/v2/repository/models/typed/load",
        "/v2/repository/models/typed/unload",
        "/v2/systemsharedmemory/status",
    ],
)
async def test_an_unknown_path_is_not_found(typed_system: TypedSystem, path: str) -> None:
    answer = await ask(typed_system.url, request(path=path)) or pytest.fail("no answer")
    assert (answer.status, answer.code) == (404, "unknown_path")


async def test_head_has_no_body(typed_system: TypedSystem) -> None:
    async with connected(typed_system.url) as connection:
        await connection.send(request("HEAD", headers=[CLOSE]))
        answer = await connection.answer(to_head=True)
        assert (answer and answer.status, await connection.answers()) == (200, [])


async def test_a_body_too_large_for_100_continue_is_refused_without_it(
    typed_system: TypedSystem,
) -> None:
    length = f"Content-Length: {BODY_BYTES_MAX + 1}"
    answers = await exchange(
        typed_system.url, request("POST", TYPED, ["Expect: 100-continue", length])
    )
    assert outcomes(answers) == [(413, "too_large")]


@pytest.mark.parametrize("path", [TYPED, "/v2/health/live", "/nowhere"])
async def test_an_unknown_expectation_is_refused(typed_system: TypedSystem, path: str) -> None:
    answers = await exchange(typed_system.url, request("POST", path, ["Expect: 200-ok"], body()))
    assert outcomes(answers) in ([(417, "expectation_failed")], [(405, "method_not_allowed")])


async def test_a_client_that_waits_for_100_continue_gets_it_and_then_its_answer(
    typed_system: TypedSystem,
) -> None:
    async with connected(typed_system.url) as connection:
        head = request("POST", TYPED, ["Expect: 100-continue", f"Content-Length: {len(body())}"])
        interim = await asked(connection, head)
        answer = await asked(connection, body())
    assert (interim.status, outputs(answer)["twice"]) == (100, [5.0])


async def asked(connection: Connection, data: bytes) -> Answer:
    """The answer to these bytes."""
    await connection.send(data)
    return await connection.answer() or pytest.fail("no answer")
