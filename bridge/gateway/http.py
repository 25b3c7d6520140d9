"""The HTTP routes: Open Inference Protocol V2, health, metrics, the OpenAPI document."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web

from bridge.contract.invalid import InvalidInput
from bridge.gateway.body import read_body, refuse_encoded
from bridge.gateway.catalog import ModelVersion
from bridge.gateway.dialects import metadata
from bridge.gateway.dialects.call import InputLimits
from bridge.gateway.dialects.priority import PRIORITY_HEADER
from bridge.gateway.dialects.repository import parse_ready_only
from bridge.gateway.gateway import Gateway
from bridge.gateway.inference import (
    BODY_BYTES_MAX,
    INFERENCE_LENGTH_HEADER,
    NAMED_PATH_END,
    Inference,
    InferHead,
    Opened,
    may_state_units,
)
from bridge.gateway.jobs.access import JobAccess
from bridge.gateway.jobs.routes import JobRoutes
from bridge.gateway.jobs.submission import refuse_longer
from bridge.gateway.jobs.view import JOBS_PATH
from bridge.gateway.later.acceptance import Acceptance
from bridge.gateway.later.prefer import PREFER_HEADER, parse_prefer
from bridge.gateway.openapi import openapi_document
from bridge.gateway.problem import STATUS, Problem, ProblemCode, overloaded
from bridge.gateway.reply import TIMEOUT_HEADER
from bridge.gateway.responses import json_response, request_id_of, response_of
from bridge.gateway.stream.connection import Streams

_HTTP_VERSIONS = (HttpVersion10, HttpVersion11)
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Expecting = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


class Routes:
    """The handlers of one gateway."""

    def __init__(self, gateway: Gateway, jobs: JobAccess | None = None) -> None:
        self._gateway = gateway
        self._jobs = JobRoutes(gateway, jobs)
        self._inference = Inference(gateway)
        self._acceptance = None if jobs is None else Acceptance.of(gateway, jobs)
        self._streams = Streams(gateway, self._inference)

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        app = web.Application(middlewares=[self._translate], client_max_size=BODY_BYTES_MAX)
        expect = self._expecting(lambda _: BODY_BYTES_MAX)
        get = partial(app.router.add_get, expect_handler=expect)
        post = partial(app.router.add_post, expect_handler=expect)
        get("/v2", self.server_metadata)
        get("/v2/", self.server_metadata)
        get("/v2/health/live", self.live)
        get("/v2/health/ready", self.ready)
        for prefix in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
            get(prefix, self.model_metadata)
            get(f"{prefix}/ready", self.model_ready)
            post(f"{prefix}/infer", self.infer)
            post(f"{prefix.replace('/v2', '/v1', 1)}{NAMED_PATH_END}", self.infer)
            # Not a `get` of ours: a handshake has no body to expect, and there is nothing to HEAD.
            app.router.add_get(f"{prefix}/stream", self._streams.stream, allow_head=False)
        post("/v2/repository/index", self.repository_index)
        for method, path, handler in self._jobs.handlers():
            add = get if method == hdrs.METH_GET else partial(app.router.add_route, method)
            add(path, handler)
        expect_upload = self._expecting(self._jobs.bytes_max)
        app.router.add_post(JOBS_PATH, self._jobs.submit, expect_handler=expect_upload)
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
        refuse_encoded(request)
        ready_only = parse_ready_only(await read_body(request), InputLimits().json_depth_max)
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
        await self._jobs.refresh(self._gateway.metrics)
        body = self._gateway.metrics.exposition(self._gateway.set_gauges)
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: _METRICS_TYPE})

    async def openapi(self, request: web.Request) -> web.StreamResponse:
        """GET /openapi.json: this interface, described."""
        versions = self._gateway.catalog.all_versions()
        return json_response(openapi_document([version.contract for version in versions]))

    async def infer(self, request: web.Request) -> web.StreamResponse:
        """POST /v2/models/{m}[/versions/{v}]/infer, and /v1/…/predict for named rows."""
        received_s = asyncio.get_running_loop().time()
        head = _infer_head(request)
        preference = parse_prefer(request.headers.getall(PREFER_HEADER, ()))
        if preference is not None and self._acceptance is not None:
            self._gateway.find(head.model, head.version)
            body = await read_body(request)
            answer = partial(self._answer, request, head, body, received_s)
            return await self._acceptance.respond(request, head, body, preference, answer)
        opened = self._inference.open(head)
        body = await read_body(request)
        return await self._answer(request, head, body, received_s, opened)

    async def _answer(
        self,
        request: web.Request,
        head: InferHead,
        body: bytes,
        received_s: float,
        opened: Opened | None = None,
    ) -> web.StreamResponse:
        """Answer now; `opened` is None where the head has not been looked at yet."""
        if opened is None:
            opened = self._inference.open(head)
        retry_after_s = self._inference.refused_unread(opened, body, received_s)
        if retry_after_s is not None:
            raise overloaded(retry_after_s)
        if head.is_named and may_state_units(body):
            received_s += await self._gateway.load_units()
        admitted = self._inference.admit(head, opened, body, received_s)
        landed = await self._gateway.answer(admitted)
        reply = self._inference.reply(
            admitted.version, admitted.call, landed, request_id_of(request)
        )
        return response_of(reply)

    def _version(self, request: web.Request) -> ModelVersion:
        info = request.match_info
        return self._gateway.find(info["model"], info.get("version"))

    def _expecting(self, bytes_max: Callable[[web.Request], int]) -> Expecting:
        """Return what says 100 only to a body that would be taken; else the refusal comes first.

        aiohttp calls it before any middleware, so a refusal is translated here.
        """

        async def expect(request: web.Request) -> web.StreamResponse | None:
            try:
                refuse_encoded(request)
                refuse_longer(request.content_length, bytes_max(request))
            except Problem as problem:
                return self._refusal(request, problem)
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            # What was written so far is not the answer.
            request.writer.output_size = 0
            return None

        return expect

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


def _infer_head(request: web.Request) -> InferHead:
    info, headers = request.match_info, request.headers
    return InferHead(
        info["model"],
        info.get("version"),
        headers.get(hdrs.CONTENT_TYPE),
        headers.get(INFERENCE_LENGTH_HEADER),
        headers.get(TIMEOUT_HEADER),
        headers.get(PRIORITY_HEADER),
        is_named=request.path.endswith(NAMED_PATH_END),
    )


def listed_routes(app: web.Application) -> list[tuple[str, str]]:
    """Return (method, path) of every route, for the test that compares it with the documents."""
    routes: list[tuple[str, str]] = []
    for route in app.router.routes():
        info: Any = route.resource.get_info() if route.resource is not None else {}
        routes.append((route.method, info.get("path") or info.get("formatter", "")))
    return routes
