"""A second open loop, for the trust check: it shares no code with the load tester's engine.

One task per request, the event loop's own timers, aiohttp's client, percentiles by sorting.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import sys
import time

import aiohttp


async def main(url: str, rate: float, seconds: float, seed: int, body: bytes) -> None:
    draw = random.Random(seed)
    due_s, at_s = [], draw.expovariate(rate)
    while at_s < seconds:
        due_s.append(at_s)
        at_s += draw.expovariate(rate)
    latencies_ms: list[float] = []
    failed = 0
    start_s = time.perf_counter() + 0.2
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def ask(due: float) -> None:
            nonlocal failed
            async with session.post(url, data=body) as response:
                await response.read()
            failed += response.status != 200
            latencies_ms.append((time.perf_counter() - due) * 1e3)

        tasks = []
        for offset_s in due_s:
            due = start_s + offset_s
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(ask(due)))
        await asyncio.gather(*tasks)
    latencies_ms.sort()
    found = {
        f"p{p:g}": latencies_ms[math.ceil(p * len(latencies_ms) / 100) - 1]
        for p in (50, 90, 99, 100)
    }
    print(json.dumps({"sent": len(due_s), "failed": failed, **found}))


if __name__ == "__main__":
    asyncio.run(
        main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]),
             sys.stdin.buffer.read())
    )  # fmt: skip
