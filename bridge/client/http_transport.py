"""Calls as HTTP requests with MessagePack bodies, where a proxy does not speak WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp
import msgspec

from bridge.client.address import model_path
from bridge.client.call import Answer, Call, decode_answers, encode_call
from bridge.client.errors import (
    BadAnswer,
    DeadlineExceeded,
    Interrupted,
    Unavailable,
    error_of,
)
from bridge.client.retry import Backoff
from bridge.client.settings import ClientSettings
from bridge.client.transport import chance, hint_s
from bridge.contract.model import TensorSpec

MESSAGEPACK = "application/msgpack"
# Of the 503s only these say for sure that nothing was started; the queue may also have been lost
# under a request that had begun.
_NOT_STARTED = frozenset({"overloaded", "batch_lane_full", "no_worker", "timeout"})


class _ErrorBody(msgspec.Struct):
    error: str = ""
    code: str = ""


class _InputParameters(msgspec.Struct, frozen=True):
    columns: tuple[str, ...] = ()


class _Input(msgspec.Struct):
    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: _InputParameters = _InputParameters()


class _ModelParameters(msgspec.Struct):
    version: str


class _Metadata(msgspec.Struct):
    inputs: list[_Input]
    parameters: _ModelParameters


class ModelInputs(msgspec.Struct, frozen=True):
    """What a model takes, and the version of which that is said."""

    version: str
    inputs: tuple[TensorSpec, ...]


_error_body = msgspec.json.Decoder(_ErrorBody)
_metadata = msgspec.json.Decoder(_Metadata)


class HttpTransport:
    """One request for each call."""

    def __init__(self, session: aiohttp.ClientSession, url: str, settings: ClientSettings) -> None:
        self._session = session
        self._url = url
        self._loop = asyncio.get_running_loop()
        self._backoff = Backoff(settings.backoff_first_s, settings.backoff_s_max)
        self._connect_s = settings.connect_s
        self._reason = "not tried"

    async def ask(self, call: Call) -> Answer:
        """Return the answer to a call; see `Transport.ask`."""
        path = f"{model_path(call.model, call.version)}/infer"
        status, headers, body = await self._exchange("POST", path, call.deadline_s, call)
        if status != 200:
            return _error(status, headers, body)
        answers = decode_answers(body)
        if len(answers) != 1:
            raise BadAnswer("not one answer")
        return answers[0]

    async def inputs(self, model: str, version: str | None, deadline_s: float) -> ModelInputs:
        """Return a model's inputs, of the version that is meant if none is named.

        Raises:
            ClientError: see `Transport.ask`; or what `error_of` says of the server's failure.
        """
        path = model_path(model, version)
        status, headers, body = await self._exchange("GET", path, deadline_s, None)
        if status != 200:
            raise error_of(_error(status, headers, body).failure)
        try:
            found = _metadata.decode(body)
            specs = tuple(map(_spec, found.inputs))
        except (msgspec.DecodeError, KeyError) as error:
            raise BadAnswer(f"not a model's metadata: {error}") from None
        return ModelInputs(found.parameters.version, specs)

    async def close(self) -> None:
        """There is nothing but the session, which its owner closes."""

    async def _exchange(
        self, method: str, path: str, deadline_s: float, call: Call | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send one request, as soon as there is a gateway that can be reached."""
        while True:
            await self._wait_for_attempt(deadline_s)
            now_s = self._loop.time()
            data = None if call is None else encode_call(call, now_s)
            try:
                async with self._session.request(
                    method,
                    f"{self._url}{path}",
                    data=data,
                    headers={} if call is None else {"Content-Type": MESSAGEPACK},
                    timeout=aiohttp.ClientTimeout(deadline_s - now_s, sock_connect=self._connect_s),
                    allow_redirects=False,
                ) as response:
                    self._backoff.succeed()
                    return response.status, response.headers, await response.read()
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                # Before anything was sent.
                self._reason = str(error)
                self._backoff.fail(self._loop.time(), chance())
            except TimeoutError:
                raise DeadlineExceeded("no answer before the deadline") from None
            except (aiohttp.ClientError, OSError) as error:
                raise Interrupted(f"{type(error).__name__}: {error}") from None

    async def _wait_for_attempt(self, deadline_s: float) -> None:
        wait_s = self._backoff.wait_s(self._loop.time())
        if self._loop.time() + wait_s >= deadline_s:
            text = f"{self._url} could not be reached before the deadline: {self._reason}"
            raise Unavailable(text)
        if wait_s:
            await asyncio.sleep(wait_s)


def _spec(given: _Input) -> TensorSpec:
    """Return an input as contracts describe it; KeyError where its datatype is none."""
    spec = TensorSpec(
        name=given.name,
        datatype=given.datatype,
        shape=given.shape,
        columns=given.parameters.columns,
    )
    _ = spec.type
    return spec


def _error(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    try:
        document = _error_body.decode(body)
    except msgspec.DecodeError:
        # Not from a gateway, but from something between.
        document = _ErrorBody()
    hint = hint_s(headers)
    return Answer(
        error=document.error or f"the server answered {status}",
        code=document.code or "http_error",
        status=status,
        retry_after_ms=None if hint is None else round(hint * 1e3),
        refused=document.code in _NOT_STARTED,
    )
