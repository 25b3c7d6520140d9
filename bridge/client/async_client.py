"""The client for programs on an event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import aiohttp
import numpy as np

from bridge.client.call import Answer, Call, Priority
from bridge.client.errors import (
    BadAnswer,
    ClientClosed,
    ClientError,
    InvalidRequest,
    Refused,
    error_of,
)
from bridge.client.http_transport import HttpTransport
from bridge.client.retry import RetryBudget, backoff_s, retry_s
from bridge.client.score_chunks import AsyncChunks, Chunk, Chunks
from bridge.client.score_job import (
    DEFAULT_SCORE_SETTINGS,
    ScoredRows,
    ScoreJob,
    ScoreSettings,
)
from bridge.client.settings import DEFAULT_SETTINGS, ClientSettings
from bridge.client.stream_transport import StreamTransport
from bridge.client.tensors import Array, decode_outputs, encode_inputs
from bridge.client.transport import Transport, chance

TransportName = Literal["stream", "http"]
# Below the gateway's 10 s: a connection that it is just closing is not used for a request.
_KEPT_S = 5.0


class AsyncClient:
    """Asks a gateway at `url` for predictions; to be made, used and closed on one event loop.

    Any number of calls may wait at once. `transport` "stream" sends them over one WebSocket for
    each model version, "http" each in a request of its own. `headers` go with every handshake and
    request.

    Raises:
        ValueError: `url` is not an address of a gateway.
    """

    def __init__(
        self,
        url: str,
        *,
        transport: TransportName = "stream",
        settings: ClientSettings = DEFAULT_SETTINGS,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"url: '{url}' is not http://host:port")
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=settings.http_connections_max, keepalive_timeout=_KEPT_S
            ),
            headers=headers,
        )
        url = url.rstrip("/")
        self._http = HttpTransport(self._session, url, settings)
        self._new_transport: Callable[[], Transport] = partial(
            HttpTransport if transport == "http" else StreamTransport, self._session, url, settings
        )
        self._transport = self._new_transport()
        self._jobs: set[ScoreJob] = set()
        self._budget = RetryBudget(settings.retry_ratio, settings.retry_reserve)
        self._only_inputs: dict[tuple[str, str | None], str] = {}
        self._callers: set[asyncio.Task[object]] = set()
        self._none_waits = asyncio.Event()
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, Array] | Array,
        *,
        version: str | int | None = None,
        timeout_s: float | None = None,
        priority: Priority | None = None,
    ) -> dict[str, Array]:
        """Return the model's outputs, by name, each of shape (rows, ...).

        `inputs` are arrays of shape (rows, ...), in exactly the dtypes of the model; text as str
        or object arrays. A single array stands for the only input of a model that has one.
        `timeout_s` is for everything, retries included; without it the model's own target holds.
        `priority` is "critical", "default", "sheddable", "batch" or Triton's number.

        Raises:
            ClientError: see `errors` for which, and which of them may have run.
            ValueError: `timeout_s` is not above 0.
        """
        if timeout_s is not None and not timeout_s > 0:
            raise ValueError(f"timeout_s: {timeout_s} is not above 0")
        with self._calling():
            deadline_s = self._loop.time() + (timeout_s or self._settings.timeout_s)
            key = (model, None if version is None else str(version))
            if not isinstance(inputs, Mapping):
                inputs = {await self._only_input(key, deadline_s): np.asarray(inputs)}
            raw = encode_inputs(inputs)
            return await self._outputs(Call(*key, raw, deadline_s, timeout_s is not None, priority))

    async def score(
        self,
        model: str,
        rows: Any,
        *,
        version: str | int | None = None,
        columns: Mapping[str, str] | None = None,
        settings: ScoreSettings = DEFAULT_SCORE_SETTINGS,
    ) -> AsyncGenerator[ScoredRows]:
        """Score many rows in the capacity that online callers leave; yield them in their order.

        `rows` is a mapping of columns to arrays (or a data frame), a table or reader of pyarrow,
        or an iterator, which may be asynchronous, of any of these or of records: mappings of
        columns to single values, or lists where a row has several. Columns are those of the
        model's contract, an input's own name, or `input.0`, `input.1`, …; `columns` gives, for any
        of these, the caller's own name. No further rows are read, and sent, than `settings` say
        ahead of the caller. An iterator that is not asynchronous is asked in another thread.

        The version that answers first is asked for all rows. A row that the contract does not
        accept, or on which the model fails, is among `rejected`, and the others are scored.

        Raises:
            ClientError: the job cannot go on.
        """
        job, chunks = await self.score_job(model, version, columns or {}, settings)
        window: deque[asyncio.Task[ScoredRows]] = deque()
        source = AsyncChunks(rows, chunks)
        try:
            while True:
                while source.has_more and len(window) < settings.window_chunks:
                    if window and window[0].done():
                        break
                    chunk = await source.next()
                    if chunk is not None:
                        window.append(asyncio.create_task(self.score_chunk(job, chunk)))
                if not window:
                    return
                scored = await asyncio.shield(window[0])
                window.popleft()
                yield scored
        finally:
            for task in window:
                task.cancel()
            await asyncio.gather(*window, return_exceptions=True)
            await self.end_job(job)

    async def score_job(
        self,
        model: str,
        version: str | int | None,
        columns: Mapping[str, str],
        settings: ScoreSettings,
    ) -> tuple[ScoreJob, Chunks]:
        """Return what scores chunks with a model, and what makes them; for `score` only.

        Raises:
            ClientError: nobody serves the model, or no gateway can be reached.
        """
        with self._calling():
            deadline_s = self._loop.time() + self._settings.timeout_s
            name = None if version is None else str(version)
            found = await self._http.inputs(model, name, deadline_s)
        chunks = Chunks(
            found.inputs, columns, rows_max=settings.chunk_rows, bytes_max=settings.chunk_bytes
        )
        # A connection of its own: what is on the way is given up when the job ends early, and
        # online calls do not wait behind it.
        transport = self._new_transport()
        job = ScoreJob(transport, model, found.version, settings, self._settings)
        self._jobs.add(job)
        return job, chunks

    async def score_chunk(self, job: ScoreJob, chunk: Chunk) -> ScoredRows:
        """Return what became of a chunk; for `score` only.

        Raises:
            ClientError: the job cannot go on.
        """
        with self._calling():
            return await job.score(chunk)

    async def end_job(self, job: ScoreJob) -> None:
        """Give up what is on the way for a job; for `score` only."""
        if job in self._jobs:
            self._jobs.remove(job)
            await job.close()

    @contextmanager
    def _calling(self) -> Iterator[None]:
        """The block is ended by `close`, with `ClientClosed`."""
        task = asyncio.current_task()
        if self._is_closed or task is None:
            raise ClientClosed("the client is closed")
        self._callers.add(task)
        try:
            yield
        except asyncio.CancelledError:
            # By `close`, or by somebody else as well, whose cancellation goes on.
            if self._closes() and task.uncancel() == 0:
                raise ClientClosed("the client was closed") from None
            raise
        finally:
            self._callers.discard(task)
            if not self._callers:
                self._none_waits.set()

    async def close(self) -> None:
        """Close all connections; calls that still wait end with `ClientClosed`."""
        self._is_closed = True
        for task in self._callers:
            task.cancel()
        while self._callers:
            self._none_waits.clear()
            await self._none_waits.wait()
        for job in list(self._jobs):
            await self.end_job(job)
        await self._transport.close()
        await self._session.close()

    def _closes(self) -> bool:
        return self._is_closed

    async def _outputs(self, call: Call) -> dict[str, Array]:
        """Ask until there is an answer that is not a refusal, or no time or budget is left."""
        self._budget.earn()
        tries = 0
        while True:
            answer = await self._transport.ask(call)
            if answer.outputs is not None:
                return decode_outputs(answer.outputs)
            error = _error(answer)
            if not isinstance(error, Refused):
                self._forget(call, error)
                raise error
            wait_s = self._retry_wait_s(error, tries)
            if self._loop.time() + wait_s >= call.deadline_s or not self._budget.spend():
                raise error
            await asyncio.sleep(wait_s)
            tries += 1

    def _retry_wait_s(self, refused: Refused, tries: int) -> float:
        luck = chance()
        if refused.retry_after_s is not None:
            return retry_s(refused.retry_after_s, luck)
        settings = self._settings
        return backoff_s(tries, luck, settings.backoff_first_s, settings.backoff_s_max)

    async def _only_input(self, key: tuple[str, str | None], deadline_s: float) -> str:
        """Return the name of the input of a model that has one, asked once."""
        name = self._only_inputs.get(key)
        if name is None:
            found = await self._http.inputs(*key, deadline_s)
            names = [spec.name for spec in found.inputs]
            if len(names) != 1:
                text = f"{key[0]} has the inputs {', '.join(names)}: give them by name"
                raise InvalidRequest(text)
            name = self._only_inputs[key] = names[0]
        return name

    def _forget(self, call: Call, error: ClientError) -> None:
        """Another version may be served by now, whose input has another name."""
        if isinstance(error, InvalidRequest):
            self._only_inputs.pop((call.model, call.version), None)


def _error(answer: Answer) -> ClientError:
    if not answer.status:
        return BadAnswer("neither outputs nor an error")
    return error_of(answer.failure)
