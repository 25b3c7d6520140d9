"""Open load: requests at a steady rate, each with a nonce of its own, every answer checked."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.faults.connection import Answer, Ask, Connection, NoAnswerError

CONNECTIONS_MAX = 128
# What the loop of a test on a busy machine may add to a deadline that the gateway has kept.
DEADLINE_SLACK_S = 0.25


@dataclass
class Tally:
    """What became of the requests.

    `crossed`: answers that hold anything but the caller's own row. `lost`: requests that were sent
    whole on a connection that had been answered before, and got nothing. `late`: answers after the
    deadline. `withheld`: never sent, because there was no connection.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    crossed: list[Answer] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    withheld: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def more(self, count: int) -> None:
        """Return when `count` more requests than now have been answered with 200."""
        wanted = self.outcomes["ok"] + count
        while self.outcomes["ok"] < wanted:
            await self.change()

    async def change(self) -> None:
        """Return when another request has been answered, by whatever."""
        self._changed.clear()
        await self._changed.wait()

    def note(self, ask: Ask, answer: Answer) -> None:
        """Check an answer against its question, and count it."""
        self.outcomes[answer.code] += 1
        if answer.status == 200 and not answer.is_for(ask):
            self.crossed.append(answer)
        if ask.timeout_ms is not None and answer.seconds > ask.timeout_ms / 1e3 + DEADLINE_SLACK_S:
            self.late.append(answer.seconds)
        self._changed.set()


class Load:
    """Arrivals at a steady rate, over connections that are kept and used again."""

    def __init__(
        self, url: str, *, pause_ms: float, timeout_ms: int | None, reconnects: bool
    ) -> None:
        self.tally = Tally()
        self._url = url
        self._pause_ms = pause_ms
        self._timeout_ms = timeout_ms
        self._reconnects = reconnects
        self._nonces = itertools.count(1)
        self._free: list[Connection] = []
        self._busy: set[Connection] = set()

    async def connect(self, count: int) -> None:
        """Open so many connections, and see that each is answered."""
        opened = [await Connection.open(self._url) for _ in range(count)]
        for connection in opened:
            await self._ask(connection)

    async def arrive(self) -> None:
        """One request, on a connection that is free."""
        connection = await self._connection()
        if connection is None:
            self.tally.withheld += 1
        else:
            await self._ask(connection)

    def close(self) -> None:
        """Close all connections."""
        for connection in (*self._free, *self._busy):
            connection.abort()

    async def _connection(self) -> Connection | None:
        while self._free:
            connection = self._free.pop()
            if connection.is_open:
                return connection
        if not self._reconnects or len(self._busy) >= CONNECTIONS_MAX:
            return None
        try:
            return await Connection.open(self._url)
        except OSError:
            return None

    async def _ask(self, connection: Connection) -> None:
        ask = Ask(next(self._nonces), pause_ms=self._pause_ms, timeout_ms=self._timeout_ms)
        self._busy.add(connection)
        try:
            self.tally.note(ask, await connection.ask(ask))
        except NoAnswerError as error:
            if connection.answers:
                self.tally.lost.append(f"nonce {ask.nonce}: {error}")
        finally:
            self._busy.discard(connection)
        if connection.is_open:
            self._free.append(connection)


@asynccontextmanager
async def load(
    url: str,
    *,
    per_s: float = 150.0,
    pause_ms: float = 10.0,
    timeout_ms: int | None = 5_000,
    connections: int = 16,
    reconnects: bool = True,
) -> AsyncIterator[Tally]:
    """Load while the block runs; afterwards every request that was sent is answered or counted.

    `connections` are open and answered when the block begins; with `reconnects` others are opened
    when all are busy.
    """
    offered = Load(url, pause_ms=pause_ms, timeout_ms=timeout_ms, reconnects=reconnects)
    await offered.connect(connections)
    stop = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_arrivals(offered, per_s, stop, tasks))
            try:
                yield offered.tally
            finally:
                stop.set()
    finally:
        offered.close()


async def _arrivals(
    offered: Load, per_s: float, stop: asyncio.Event, tasks: asyncio.TaskGroup
) -> None:
    """Let requests arrive at their times, however long answers take, until told to stop."""
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    for number in itertools.count():
        try:
            async with asyncio.timeout_at(started_s + number / per_s):
                await stop.wait()
        except TimeoutError:
            tasks.create_task(offered.arrive())
        else:
            return
