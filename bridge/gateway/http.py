"""The HTTP routes: Open Inference Protocol V2, health, metrics, the OpenAPI document."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import structlog
from aiohttp import HttpVersion10, HttpVersion11, hdrs, web

from bridge.contract.invalid import InvalidCode, InvalidInput
from bridge.gateway.catalog import ModelVersion
from bridge.gateway.dialects import metadata
from bridge.gateway.dialects.call import InferCall, InputLimits
from bridge.gateway.dialects.repository import parse_ready_only
from bridge.gateway.dialects.timeout import parse_timeout_ms
from bridge.gateway.gateway import Gateway
from bridge.gateway.openapi import openapi_document
from bridge.gateway.problem import STATUS, Problem, ProblemCode
from bridge.gateway.responses import (
    REQUEST_ID_HEADER,
    body_response,
    invalid_response,
    json_response,
    problem_response,
    request_id_of,
)

log = structlog.get_logger(__name__)

BODY_BYTES_MAX = 8 * 2**20
BODY_S_MAX = 10.0
INFERENCE_LENGTH_HEADER = "Inference-Header-Content-Length"
TIMEOUT_HEADER = "X-Request-Timeout-Ms"
_INFERENCE_LENGTH_DIGITS_MAX = 10
_HTTP_VERSIONS = (HttpVersion10, HttpVersion11)
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# What an operator must hear of; refusals and expiries are counted instead.
_LOGGED_STATUSES = (422, 500)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Routes:
    """The handlers of one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        app = web.Application(middlewares=[self._translate], client_max_size=BODY_BYTES_MAX)
        get = partial(app.router.add_get, expect_handler=self._expect)
        post = partial(app.router.add_post, expect_handler=self._expect)
        get("/v2", self.server_metadata)
        get("/v2/", self.server_metadata)
        get("/v2/health/live", self.live)
        get("/v2/health/ready", self.ready)
        for prefix in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
            get(prefix, self.model_metadata)
            get(f"{prefix}/ready", self.model_ready)
            post(f"{prefix}/infer", self.infer)
        post("/v2/repository/index", self.repository_index)
        get("/metrics", self.metrics)
        get("/openapi.json", self.openapi)
        return app

    async def server_metadata(self, request: web.Request) -> web.StreamResponse:
        """GET /v2."""
        return json_response(metadata.server_metadata())

    async def live(self, request: web.Request) -> web.StreamResponse:
        """GET /v2/health/live: the process answers."""
        return json_response({"live": True})

    async def ready(self, request: web.Request) -> web.StreamResponse:
        """GET /v2/health/ready: a request sent now would be answered."""
        is_ready = self._gateway.is_ready
        return json_response({"ready": is_ready}, 200 if is_ready else 503)

    async def model_metadata(self, request: web.Request) -> web.StreamResponse:
        """GET /v2/models/{m}[/versions/{v}]."""
        version = self._version(request)
        names = self._gateway.catalog.versions_of(version.contract.name)
        return json_response(metadata.model_metadata(version.contract, names))

    async def model_ready(self, request: web.Request) -> web.StreamResponse:
        """GET /v2/models/{m}[/versions/{v}]/ready."""
        version = self._version(request)
        is_ready = self._gateway.is_ready and self._gateway.serves(version)
        document = {"name": version.contract.name, "ready": is_ready}
        return json_response(document, 200 if is_ready else 503)

    async def repository_index(self, request: web.Request) -> web.StreamResponse:
        """POST /v2/repository/index: what is served; nothing can be loaded over the network."""
        _refuse_encoded(request)
        ready_only = parse_ready_only(await _read_body(request), InputLimits().json_depth_max)
        return json_response(
            [
                {
                    "name": version.contract.name,
                    "version": version.contract.version,
                    "state": "READY" if self._gateway.serves(version) else "UNAVAILABLE",
                    "reason": "",
                }
                for version in self._gateway.catalog.all_versions()
                if not ready_only or self._gateway.serves(version)
            ]
        )

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        """GET /metrics, Prometheus text format."""
        body = self._gateway.metrics.exposition(self._gateway.set_gauges)
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: _METRICS_TYPE})

    async def openapi(self, request: web.Request) -> web.StreamResponse:
        """GET /openapi.json: this interface, described."""
        versions = self._gateway.catalog.all_versions()
        return json_response(openapi_document([version.contract for version in versions]))

    async def infer(self, request: web.Request) -> web.StreamResponse:
        """POST /v2/models/{m}[/versions/{v}]/infer."""
        received_s = asyncio.get_running_loop().time()
        version = self._version(request)
        self._gateway.check_open(version)
        header_timeout = _timeout_of(request)
        body = await _read_body(request)
        call = version.door.parse(
            request.headers.get(hdrs.CONTENT_TYPE), _inference_length(request), body
        )
        call = _with_timeout(call, header_timeout)
        admitted = self._gateway.admit(version, call, received_s)
        landed = await self._gateway.answer(admitted)
        answer = version.door.answer(call, landed.outputs)
        headers = {REQUEST_ID_HEADER: request_id_of(request)}
        if call.timeout_is_capped and call.timeout_s is not None:
            headers[TIMEOUT_HEADER] = f"{call.timeout_s * 1e3:.0f}"
        return body_response(answer, landed.timings, headers)

    def _version(self, request: web.Request) -> ModelVersion:
        info = request.match_info
        return self._gateway.find(info["model"], info.get("version"))

    async def _expect(self, request: web.Request) -> web.StreamResponse | None:
        """Say 100 only to a body that would be taken; otherwise the refusal comes first.

        aiohttp calls this before any middleware, so a refusal is translated here.
        """
        try:
            _refuse_encoded(request)
            _refuse_too_large(request.content_length)
        except Problem as problem:
            return self._refusal(request, problem)
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # What was written so far is not the answer.
        request.writer.output_size = 0
        return None

    @web.middleware
    async def _translate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turn every refusal into its response: the one border between errors and HTTP."""
        response = await self._outcome(request, handler)
        if self._gateway.is_draining:
            response.force_close()
        return response

    async def _outcome(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            _refuse_protocol(request)
            return await handler(request)
        except InvalidInput as error:
            self._gateway.metrics.refused.labels(error.code.value).inc()
            return invalid_response(error, request_id_of(request))
        except Problem as error:
            problem = error
        except web.HTTPMethodNotAllowed as error:
            allow = ", ".join(sorted(error.allowed_methods))
            problem = Problem(
                ProblemCode.METHOD_NOT_ALLOWED, f"the method must be {allow}", allow=allow
            )
        except web.HTTPNotFound:
            problem = Problem(ProblemCode.UNKNOWN_PATH, "no such path")
        except web.RequestPayloadError:
            problem = Problem(ProblemCode.BAD_FRAMING, "the body is not framed as HTTP says")
        return self._refusal(request, problem)

    def _refusal(self, request: web.Request, problem: Problem) -> web.StreamResponse:
        """Count or log a problem and return what its caller gets to see."""
        if problem.status in _LOGGED_STATUSES:
            log.error("request_failed", code=problem.code.value, request_id=request_id_of(request))
        elif problem.code is not ProblemCode.EXPIRED:
            self._gateway.metrics.refused.labels(problem.code.value).inc()
        response = problem_response(problem, request_id_of(request))
        if problem.code in _CLOSING:
            response.force_close()
        return response


# After these the rest of the connection's bytes cannot be trusted or would only be thrown away.
_CLOSING = {
    ProblemCode.BAD_FRAMING,
    ProblemCode.TOO_LARGE,
    ProblemCode.BODY_TIMEOUT,
    ProblemCode.ENCODING,
}
assert set(STATUS) == set(ProblemCode)


def _refuse_protocol(request: web.BaseRequest) -> None:
    """Refuse what aiohttp's parser lets through: HTTP/0.9, HTTP/2.0 in words, a tunnel."""
    if request.version not in _HTTP_VERSIONS or request.method == hdrs.METH_CONNECT:
        raise Problem(ProblemCode.BAD_FRAMING, "only HTTP/1.1 and HTTP/1.0 are spoken, no tunnels")


def _refuse_encoded(request: web.BaseRequest) -> None:
    headers = request.headers
    # A header may be there twice: the body is what all of them together say.
    for encoding in headers.getall(hdrs.CONTENT_ENCODING, ()):
        if encoding.strip().lower() != "identity":
            raise Problem(ProblemCode.ENCODING, "compressed bodies are not accepted")
    if headers.get(hdrs.TRANSFER_ENCODING, "chunked").strip().lower() != "chunked":
        raise Problem(ProblemCode.ENCODING, "the only transfer encoding accepted is chunked")


def _refuse_too_large(size: int | None) -> None:
    if size is not None and size > BODY_BYTES_MAX:
        raise Problem(
            ProblemCode.TOO_LARGE, f"the body is larger than the {BODY_BYTES_MAX} bytes accepted"
        )


async def _read_body(request: web.BaseRequest) -> bytes:
    """Return the body; bounded in size and time, refused by its announced size first."""
    _refuse_encoded(request)
    _refuse_too_large(request.content_length)
    content = request.content
    if content.is_eof():
        # Most bodies arrive with their headers: no timer is needed for them.
        body = content.read_nowait()
        _refuse_too_large(len(body))
        return body
    try:
        async with asyncio.timeout(BODY_S_MAX):
            first = await content.readany()
            if content.at_eof():
                _refuse_too_large(len(first))
                return first
            chunks, size = [first], len(first)
            while not content.at_eof():
                chunk = await content.readany()
                chunks.append(chunk)
                size += len(chunk)
                _refuse_too_large(size)
    except TimeoutError:
        raise Problem(
            ProblemCode.BODY_TIMEOUT, f"the body did not arrive within {BODY_S_MAX:g} s"
        ) from None
    return b"".join(chunks)


def _timeout_of(request: web.BaseRequest) -> float | None:
    text = request.headers.get(TIMEOUT_HEADER)
    return None if text is None else parse_timeout_ms(text)


def _with_timeout(call: InferCall, timeout_s: float | None) -> InferCall:
    """The header's timeout, where there is one, beats the body's."""
    return call if timeout_s is None else call.with_timeout(timeout_s)


def _inference_length(request: web.BaseRequest) -> int | None:
    text = request.headers.get(INFERENCE_LENGTH_HEADER)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > _INFERENCE_LENGTH_DIGITS_MAX:
        raise InvalidInput(
            InvalidCode.BAD_BINARY, f"{INFERENCE_LENGTH_HEADER} is not a whole number"
        )
    return int(text)


def listed_routes(app: web.Application) -> list[tuple[str, str]]:
    """Return (method, path) of every route, for the test that compares it with the documents."""
    routes: list[tuple[str, str]] = []
    for route in app.router.routes():
        info: Any = route.resource.get_info() if route.resource is not None else {}
        routes.append((route.method, info.get("path") or info.get("formatter", "")))
    return routes
