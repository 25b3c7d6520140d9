"""A feeder on WebSockets: messages of several MessagePack requests, many of them in flight."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass, field

import aiohttp
import msgspec
import numpy as np
import uvloop

from loadtest.bench_peers.load import GENERATOR, TIMEOUT_S, Measured, percentile, watched
from loadtest.bench_peers.servers import MODEL, Server

CONNECTIONS = 4
# On each connection: so many messages, or requests; a message is sent when it fits.
MESSAGES_MAX = 16
REQUESTS_MAX = 256
ANSWERS_BYTES_MAX = 16 << 20


class _Answer(msgspec.Struct):
    id: str
    code: str | None = None


# A message holds one answer, or a list of those that were ready together.
_decode = msgspec.msgpack.Decoder(list[_Answer] | _Answer).decode
_encode = msgspec.msgpack.Encoder().encode


@dataclass
class Feeder:
    """Sends a row again and again, so many requests in a message, and waits for the answers."""

    port: int
    tensor: dict[str, object]
    per_message: int
    took_s: list[float] = field(default_factory=list)
    failed: int = 0

    async def run(self, seconds: float) -> None:
        """Keep the connections full for so long; what is in flight then is still waited for."""
        ends_s = time.perf_counter() + seconds
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
            for number in range(CONNECTIONS):
                tasks.create_task(self._feed(session, number, ends_s))

    async def _feed(self, session: aiohttp.ClientSession, number: int, ends_s: float) -> None:
        url = f"ws://127.0.0.1:{self.port}/v2/models/{MODEL}/stream"
        ids = itertools.count()
        in_flight_max = min(REQUESTS_MAX, MESSAGES_MAX * self.per_message)
        sent_s: dict[str, float] = {}
        async with session.ws_connect(url, max_msg_size=ANSWERS_BYTES_MAX) as socket:
            while True:
                is_over = time.perf_counter() >= ends_s
                while not is_over and len(sent_s) + self.per_message <= in_flight_max:
                    names = [f"{number}.{next(ids)}" for _ in range(self.per_message)]
                    sent_s.update(dict.fromkeys(names, _now_s()))
                    message = [{"id": name, "inputs": [self.tensor]} for name in names]
                    await socket.send_bytes(_encode(message))
                if not sent_s:
                    return
                answers = _decode(await socket.receive_bytes(timeout=TIMEOUT_S))
                self._note(answers if isinstance(answers, list) else [answers], sent_s)

    def _note(self, answers: list[_Answer], sent_s: dict[str, float]) -> None:
        now_s = _now_s()
        for answer in answers:
            took_s = now_s - sent_s.pop(answer.id)
            if answer.code is None:
                self.took_s.append(took_s)
            else:
                self.failed += 1


def streamed(
    server: Server, input_name: str, row: list[float], per_message: int, seconds: float
) -> Measured:
    """Measure single rows in messages of so many requests over `CONNECTIONS` WebSockets."""
    values = np.array(row, dtype="<f4")
    tensor: dict[str, object] = {
        "name": input_name,
        "shape": [1, len(values)],
        "datatype": "FP32",
        "data": values.tobytes(),
    }
    feeder = Feeder(server.port, tensor, per_message)

    def run() -> Measured:
        began_s, cpu_s = _now_s(), time.process_time()
        uvloop.run(feeder.run(seconds))
        times_s = np.array(feeder.took_s)
        return Measured(
            "ours, streamed", _now_s() - began_s, len(times_s), feeder.failed,
            percentile(times_s, 50) * 1e3, percentile(times_s, 99) * 1e3,
            {GENERATOR: time.process_time() - cpu_s}, {},
        )  # fmt: skip

    return watched(server, run)


def _now_s() -> float:
    return time.perf_counter()
