"""The client for programs without an event loop, and for their threads.

It is the asynchronous client on a loop of its own in a thread of its own. A synchronous WebSocket
client, such as that of `websockets`, reads in a second thread as well, and everything above it
would have to be written twice.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Coroutine, Generator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, Self, TypeVar

from bridge.client.async_client import AsyncClient, TransportName
from bridge.client.call import Priority
from bridge.client.errors import ClientClosed
from bridge.client.score_chunks import chunks_of
from bridge.client.score_job import DEFAULT_SCORE_SETTINGS, ScoredRows, ScoreSettings
from bridge.client.settings import DEFAULT_SETTINGS, ClientSettings
from bridge.client.tensors import Array

T = TypeVar("T")


class Client:
    """Asks a gateway at `url` for predictions; any number of threads may use it at once.

    All of them share its connections; see `AsyncClient`.
    """

    def __init__(
        self,
        url: str,
        *,
        transport: TransportName = "stream",
        settings: ClientSettings = DEFAULT_SETTINGS,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._make = partial(
            AsyncClient, url, transport=transport, settings=settings, headers=headers
        )
        self._closing = threading.Lock()
        self._is_closed = False
        started: Future[_Inside] = Future()
        # A program that ends without `close` does not wait for it.
        self._thread = threading.Thread(
            target=self._run, args=(started,), name="batchbridge-client", daemon=True
        )
        self._thread.start()
        self._inside = started.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def infer(
        self,
        model: str,
        inputs: Mapping[str, Array] | Array,
        *,
        version: str | int | None = None,
        timeout_s: float | None = None,
        priority: Priority | None = None,
    ) -> dict[str, Array]:
        """Return the model's outputs; see `AsyncClient.infer`."""
        future = self.submit(model, inputs, version=version, timeout_s=timeout_s, priority=priority)
        try:
            return future.result()
        except BaseException:
            # Ctrl-C: nobody waits any more.
            future.cancel()
            raise

    def submit(
        self,
        model: str,
        inputs: Mapping[str, Array] | Array,
        *,
        version: str | int | None = None,
        timeout_s: float | None = None,
        priority: Priority | None = None,
    ) -> Future[dict[str, Array]]:
        """Return a future of the model's outputs, so that many calls wait without threads.

        Its exceptions are those of `AsyncClient.infer`. The arrays must not change before it is
        done.

        Raises:
            ClientClosed: the client is closed.
        """
        return self._submit(
            self._inside.client.infer(
                model, inputs, version=version, timeout_s=timeout_s, priority=priority
            )
        )

    def score(
        self,
        model: str,
        rows: Any,
        *,
        version: str | int | None = None,
        columns: Mapping[str, str] | None = None,
        settings: ScoreSettings = DEFAULT_SCORE_SETTINGS,
    ) -> Generator[ScoredRows]:
        """Score many rows; see `AsyncClient.score`. `rows` are read in the caller's thread.

        Raises:
            ClientError: the job cannot go on.
        """
        inside = self._inside
        job, chunks = self._submit(
            inside.client.score_job(model, version, columns or {}, settings)
        ).result()
        source = chunks_of(rows, chunks)
        window: deque[Future[ScoredRows]] = deque()
        has_more = True
        try:
            while True:
                while has_more and len(window) < settings.window_chunks:
                    if window and window[0].done():
                        break
                    chunk = next(source, None)
                    if chunk is None:
                        has_more = False
                    else:
                        window.append(self._submit(inside.client.score_chunk(job, chunk)))
                if not window:
                    return
                scored = window[0].result()
                window.popleft()
                yield scored
        finally:
            for future in window:
                future.cancel()
            with suppress(ClientClosed):
                self._submit(inside.client.end_job(job)).result()

    def _submit(self, awaited: Coroutine[Any, Any, T]) -> Future[T]:
        """Let something be awaited inside."""
        with self._closing:
            if self._is_closed:
                awaited.close()
                raise ClientClosed("the client is closed")
            return asyncio.run_coroutine_threadsafe(awaited, self._inside.loop)

    def close(self) -> None:
        """Close all connections; calls that still wait end with `ClientClosed`."""
        with self._closing:
            if not self._is_closed:
                self._is_closed = True
                self._inside.loop.call_soon_threadsafe(self._inside.stopped.set)
        self._thread.join()

    def _run(self, started: Future[_Inside]) -> None:
        try:
            asyncio.run(self._serve(started))
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    async def _serve(self, started: Future[_Inside]) -> None:
        async with self._make() as client:
            inside = _Inside(client)
            started.set_result(inside)
            await inside.stopped.wait()


class _Inside:
    """What lives on the thread's loop."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client
        self.loop = asyncio.get_running_loop()
        self.stopped = asyncio.Event()
