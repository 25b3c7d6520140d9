"""The HTTP routes: Open Inference Protocol V2, health, metrics, the OpenAPI document."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web

from bridge.contract.invalid import InvalidInput
from bridge.gateway.catalog import ModelVersion
from bridge.gateway.dialects import metadata
from bridge.gateway.dialects.call import InputLimits
from bridge.gateway.dialects.priority import PRIORITY_HEADER
from bridge.gateway.dialects.repository import parse_ready_only
from bridge.gateway.gateway import Gateway
from bridge.gateway.inference import (
    BODY_BYTES_MAX,
    BODY_S_MAX,
    INFERENCE_LENGTH_HEADER,
    Inference,
    InferHead,
    body_timeout,
    refuse_too_large,
)
from bridge.gateway.openapi import openapi_document
from bridge.gateway.problem import STATUS, Problem, ProblemCode, overloaded
from bridge.gateway.reply import TIMEOUT_HEADER
from bridge.gateway.responses import json_response, request_id_of, response_of
from bridge.gateway.stream.connection import Streams

_HTTP_VERSIONS = (HttpVersion10, HttpVersion11)
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Routes:
    """The handlers of one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._inference = Inference(gateway)
        self._streams = Streams(gateway, self._inference)

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
            # Not a `get` of ours: a handshake has no body to expect, and there is nothing to HEAD.
            app.router.add_get(f"{prefix}/stream", self._streams.stream, allow_head=False)
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
        return json_response(
            metadata.model_metadata(version.contract, names, self._gateway.measured(version))
        )

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
        head = _infer_head(request)
        opened = self._inference.open(head)
        body = await _read_body(request)
        retry_after_s = self._inference.refused_unread(opened, body, received_s)
        if retry_after_s is not None:
            raise overloaded(retry_after_s)
        admitted = self._inference.admit(head, opened, body, received_s)
        landed = await self._gateway.answer(admitted)
        reply = self._inference.reply(
            admitted.version, admitted.call, landed, request_id_of(request)
        )
        return response_of(reply)

    def _version(self, request: web.Request) -> ModelVersion:
        info = request.match_info
        return self._gateway.find(info["model"], info.get("version"))

    async def _expect(self, request: web.Request) -> web.StreamResponse | None:
        """Say 100 only to a body that would be taken; otherwise the refusal comes first.

        aiohttp calls this before any middleware, so a refusal is translated here.
        """
        try:
            _refuse_encoded(request)
            refuse_too_large(request.content_length)
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
        except (InvalidInput, Problem) as error:
            refusal = error
        except web.HTTPMethodNotAllowed as error:
            allow = ", ".join(sorted(error.allowed_methods))
            refusal = Problem(
                ProblemCode.METHOD_NOT_ALLOWED, f"the method must be {allow}", allow=allow
            )
        except web.HTTPNotFound:
            refusal = Problem(ProblemCode.UNKNOWN_PATH, "no such path")
        except web.RequestPayloadError:
            refusal = Problem(ProblemCode.BAD_FRAMING, "the body is not framed as HTTP says")
        return self._refusal(request, refusal)

    def _refusal(self, request: web.Request, error: Problem | InvalidInput) -> web.StreamResponse:
        return response_of(self._inference.refusal(error, request_id_of(request)))


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


async def _read_body(request: web.BaseRequest) -> bytes:
    """Return the body; bounded in size and time, refused by its announced size first."""
    _refuse_encoded(request)
    refuse_too_large(request.content_length)
    content = request.content
    if content.is_eof():
        # Most bodies arrive with their headers: no timer is needed for them.
        body = content.read_nowait()
        refuse_too_large(len(body))
        return body
    try:
        async with asyncio.timeout(BODY_S_MAX):
            first = await content.readany()
            if content.at_eof():
                refuse_too_large(len(first))
                return first
            chunks, size = [first], len(first)
            while not content.at_eof():
                chunk = await content.readany()
                chunks.append(chunk)
                size += len(chunk)
                refuse_too_large(size)
    except TimeoutError:
        raise body_timeout() from None
    return b"".join(chunks)


def _infer_head(request: web.Request) -> InferHead:
    info, headers = request.match_info, request.headers
    return InferHead(
        info["model"],
        info.get("version"),
        headers.get(hdrs.CONTENT_TYPE),
        headers.get(INFERENCE_LENGTH_HEADER),
        headers.get(TIMEOUT_HEADER),
        headers.get(PRIORITY_HEADER),
    )


def listed_routes(app: web.Application) -> list[tuple[str, str]]:
    """Return (method, path) of every route, for the test that compares it with the documents."""
    routes: list[tuple[str, str]] = []
    for route in app.router.routes():
        info: Any = route.resource.get_info() if route.resource is not None else {}
        routes.append((route.method, info.get("path") or info.get("formatter", "")))
    return routes
