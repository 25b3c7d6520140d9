"""`python -m tests.queue_round_trip`: the least that a lone row's way through the queue costs.

Two processes and a real queue, with nothing around the commands: XADD and BLPOP here, XREADGROUP,
one row through `breast_cancer` and RPUSH, XACK, XDEL there, each side one thread and raw sockets.
No HTTP, no checks, no frames. Beside it the same row through `session.run` alone.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import socket
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import hiredis
import numpy as np

from bridge.embedded_queue import EmbeddedQueue
from workers.session import Session

MODEL = Path(__file__).parent.parent / "models" / "breast_cancer" / "1" / "model.onnx"
STREAM, GROUP, RESULTS = "requests", "workers", "results"
REQUESTS, WARM = 5_000, 500
READ_BYTES = 65_536
FIELD = "frame"
STOP = b"stop"


class Line:
    """One connection to the queue; commands are sent together, replies read one by one."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._reader = hiredis.Reader()

    def send(self, *commands: tuple[object, ...]) -> None:
        self._socket.sendall(b"".join(map(hiredis.pack_command, commands)))  # type: ignore[arg-type]

    def reply(self) -> Any:
        while (found := self._reader.gets()) is False:
            self._reader.feed(self._socket.recv(READ_BYTES))
        if isinstance(found, Exception):
            raise found
        return found


def session_run() -> Callable[[bytes], bytes]:
    session = Session(MODEL.read_bytes(), threads=1)

    def run(row: bytes) -> bytes:
        outputs = session.run({"features": np.frombuffer(row, np.float32).reshape(1, -1)})
        return b"".join(output.tobytes() for output in outputs.values())

    return run


def work(path: str) -> None:
    run, line = session_run(), Line(path)
    while True:
        line.send(("XREADGROUP", "GROUP", GROUP, "w", "BLOCK", 0, "STREAMS", STREAM, ">"))
        [[_, [[entry, [_, row]]]]] = line.reply()
        if row == STOP:
            return
        line.send(
            ("RPUSH", RESULTS, run(row)),
            ("XACK", STREAM, GROUP, entry),
            ("XDEL", STREAM, entry),
        )
        for _ in range(3):
            line.reply()


def timed(requests: int, call: Callable[[], Any]) -> list[float]:
    times_s = []
    for _ in range(WARM + requests):
        began_s = time.perf_counter()
        call()
        times_s.append(time.perf_counter() - began_s)
    return times_s[WARM:]


def through_queue(path: str, row: bytes, requests: int) -> list[float]:
    line = Line(path)
    line.send(("XGROUP", "CREATE", STREAM, GROUP, "$", "MKSTREAM"))
    line.reply()
    worker = multiprocessing.get_context("spawn").Process(target=work, args=(path,))
    worker.start()

    def ask() -> None:
        line.send(("XADD", STREAM, "*", FIELD, row), ("BLPOP", RESULTS, 0))
        line.reply()
        line.reply()

    try:
        return timed(requests, ask)
    finally:
        line.send(("XADD", STREAM, "*", FIELD, STOP))
        line.reply()
        worker.join()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    options = parser.parse_args()
    row = np.linspace(0, 1, 30, dtype=np.float32).tobytes()
    run = session_run()
    async with EmbeddedQueue.start() as queue:
        path = unquote(urlsplit(queue.url).path)
        found = {
            "session.run alone": timed(options.requests, lambda: run(row)),
            "through the queue": await asyncio.to_thread(
                through_queue, path, row, options.requests
            ),
        }
    for name, times_s in found.items():
        p50, p99 = (statistics.quantiles(times_s, n=100)[at] for at in (49, 98))
        print(f"{name:20} p50 {p50 * 1e6:6.0f} µs, p99 {p99 * 1e6:6.0f} µs")


if __name__ == "__main__":
    asyncio.run(main())
