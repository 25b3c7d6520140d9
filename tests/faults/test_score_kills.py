"""A job whose scorer, workers and queue are killed at named points: the same output, byte for byte.

The long version, with random points and 200 kills, is for `make test-faults`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import resource
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bridge.embedded_queue import EmbeddedQueue, EmbeddedQueueSettings
from bridge.jobs.chunk_queue import PUSH
from bridge.jobs.trial import PART_LOSSES_MAX, ROW_LOSSES_MAX
from bridge.wire import keys
from bridge.wire.chunk import CHUNK_LOSSES_MAX
from bridge.wire.frame import decode_request
from tests.command import Running, environment, run_to_end, running
from tests.faults.kill_points import KillingProxy, KillPoint, killing_proxy
from tests.faults.rig import eventually
from tests.faults.served import served
from tests.gate import HELD, Gate
from tests.score_files import (
    ABORTS,
    FORGETS,
    RAISES,
    answers,
    read_rejected,
    read_table,
    write_marked_model,
    write_numbers,
)
from tests.system import System, TestedProcess
from tests.tiny_models import PATIENT
from workers.chunk_finish import FINISH

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

CHUNK_ROWS = 256
VALUES = [n + 1_000 for n in range(20_000)]
STOPPED = 130


def script(text: str) -> bytes:
    """What a call of a script looks like on the wire."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest().encode()


WORKER_POINTS = [
    KillPoint("frames read, not received", b"job:", in_reply=True),
    KillPoint("frames received", b"job:", in_reply=True, is_passed_on=True),
    KillPoint("result not yet sent", script(FINISH)),
    KillPoint("result and acknowledgement sent", script(FINISH), is_passed_on=True),
]
SCORER_POINTS = [
    KillPoint("chunk not yet sent", script(PUSH)),
    KillPoint("chunk sent", script(PUSH), is_passed_on=True),
    KillPoint("done told, not received", b":done", in_reply=True),
    KillPoint("results asked for", b"HMGET", is_passed_on=True),
    KillPoint("results not yet removed", b"HDEL"),
    KillPoint("results removed", b"HDEL", is_passed_on=True),
]


@dataclass(frozen=True)
class Bench:
    """A queue, models, an input, and what an undisturbed job makes of it."""

    system: System
    models: Path
    source: Path
    expected: bytes

    def words(self, output: Path, url: str | None = None, *more: str) -> list[str]:
        return [
            "score",
            "marked",
            str(self.source),
            str(output),
            *("--key", "id"),
            *("--redis", url or self.system.queue_url),
            *("--chunk-rows", str(CHUNK_ROWS)),
            *more,
        ]

    async def run(self, output: Path, url: str | None = None) -> int:
        return (await run_to_end(*self.words(output, url))).code


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    folder = tmp_path_factory.mktemp("bench")
    write_marked_model(folder / "models")
    source = write_numbers(folder / "in.parquet", VALUES)
    async with AsyncExitStack() as stack:
        queue = await stack.enter_async_context(EmbeddedQueue.start())
        system = System(queue.url, stack, queue)
        undisturbed = Bench(system, folder / "models", source, b"")
        output = folder / "out.parquet"
        async with a_worker(undisturbed):
            assert await undisturbed.run(output) == 0
        assert read_table(output) == answers(VALUES)
        yield Bench(system, folder / "models", source, output.read_bytes())


@asynccontextmanager
async def a_worker(bench: Bench, *options: str) -> AsyncIterator[TestedProcess]:
    worker = await bench.system.start_worker(bench.models, *options)
    try:
        yield worker
    finally:
        worker.child.kill()
        await worker.end()


@pytest.mark.parametrize("point", WORKER_POINTS, ids=lambda point: point.name)
async def test_workers_that_are_killed_lose_nothing_and_double_nothing(
    bench: Bench, tmp_path: Path, point: KillPoint
) -> None:
    output = tmp_path / "out.parquet"
    async with killing_proxy(bench.system.queue_url) as proxy, AsyncExitStack() as stack:
        job = asyncio.create_task(bench.run(output))
        for nth in (1, 4):
            await _killed_worker(bench, proxy, point, nth)
        await stack.enter_async_context(a_worker(bench))
        code = await job
    assert (code, output.read_bytes() == bench.expected) == (0, True)


async def _killed_worker(bench: Bench, proxy: KillingProxy, point: KillPoint, nth: int) -> None:
    """A worker's life up to the point."""
    async with a_worker(bench, "--redis", proxy.url) as worker:
        proxy.aim(worker.pid)
        proxy.arm(point, nth)
        await proxy.killed.wait()


@pytest.mark.parametrize("point", SCORER_POINTS, ids=lambda point: point.name)
async def test_a_scorer_that_is_killed_goes_on_where_it_was(
    bench: Bench, tmp_path: Path, point: KillPoint
) -> None:
    output = tmp_path / "out.parquet"
    async with killing_proxy(bench.system.queue_url) as proxy, a_worker(bench):
        for nth in (1, 2):
            async with running(*bench.words(output, proxy.url)) as scorer:
                proxy.aim(scorer.pid)
                proxy.arm(point, nth)
                await proxy.killed.wait()
                assert await scorer.exit_code() == -signal.SIGKILL
        code = await bench.run(output)
    assert (code, output.read_bytes() == bench.expected) == (0, True)


@asynccontextmanager
async def slow_job(bench: Bench, output: Path, *more: str) -> AsyncIterator[Running]:
    """A job that has results in its journal, and is far from its end; the block runs then."""
    (bench.models / "marked" / "1" / "pause").write_text("0.01")
    try:
        async with running(*bench.words(output, None, *more)) as scorer:
            await eventually(_has_results(output), within_s=20)
            yield scorer
    finally:
        (bench.models / "marked" / "1" / "pause").unlink(missing_ok=True)


def _has_results(output: Path) -> Callable[[], Awaitable[bool]]:
    progress = output.with_name(f"{output.name}.progress")

    async def has_results() -> bool:
        return progress.exists() and progress.stat().st_size > 2_000

    return has_results


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_stopped_job_says_so_and_goes_on_later(
    bench: Bench, tmp_path: Path, number: signal.Signals
) -> None:
    output = tmp_path / "out.parquet"
    async with a_worker(bench):
        async with slow_job(bench, output) as scorer:
            scorer.signal(number)
            stopped = await scorer.exit_code()
        again = await run_to_end(*bench.words(output))
    assert (stopped, again.code) == (STOPPED, 0)
    assert "gone on at row" in again.out
    assert output.read_bytes() == bench.expected


async def test_a_full_disk_ends_the_job_which_goes_on_when_there_is_room(
    bench: Bench, tmp_path: Path
) -> None:
    output = tmp_path / "out.parquet"
    async with a_worker(bench):
        async with slow_job(bench, output) as scorer:
            size = (tmp_path / "out.parquet.progress").stat().st_size
            resource.prlimit(scorer.pid, resource.RLIMIT_FSIZE, (size + 100, size + 100))
            full = await scorer.exit_code()
        code = await bench.run(output)
    assert (full, code) == (1, 0)
    assert output.read_bytes() == bench.expected


async def test_a_second_scorer_of_the_same_output_is_refused(bench: Bench, tmp_path: Path) -> None:
    output = tmp_path / "out.parquet"
    async with a_worker(bench), slow_job(bench, output):
        second = await run_to_end(*bench.words(output))
    assert second.code == 2
    assert "another process is working on this output" in second.said[0]


@pytest.mark.parametrize("is_kept", [True, False], ids=["with AOF", "empty"])
async def test_a_queue_that_is_killed_and_comes_back_changes_nothing(
    bench: Bench, tmp_path: Path, is_kept: bool
) -> None:
    output = tmp_path / "out.parquet"
    settings = EmbeddedQueueSettings(data_directory=tmp_path / "data" if is_kept else None)
    async with AsyncExitStack() as stack:
        queue = await stack.enter_async_context(EmbeddedQueue.start(settings))
        there = Bench(System(queue.url, stack, queue), bench.models, bench.source, bench.expected)
        await stack.enter_async_context(a_worker(there))
        async with slow_job(there, output) as scorer:
            for _ in range(2):
                os.kill(queue.pid, signal.SIGKILL)
                await queue.restart()
            (bench.models / "marked" / "1" / "pause").unlink()
            code = await scorer.exit_code()
    assert (code, output.read_bytes() == bench.expected) == (0, True)


async def test_the_late_result_of_a_worker_that_was_frozen_is_refused(tmp_path: Path) -> None:
    source = write_numbers(tmp_path / "in.csv", [int(HELD), 1, 2])
    output = tmp_path / "out.csv"
    async with Gate.open() as gate, AsyncExitStack() as stack:
        gate.write_model(tmp_path / "models", "gated", PATIENT)
        queue = await stack.enter_async_context(EmbeddedQueue.start())
        system = System(queue.url, stack, queue)
        frozen = await system.start_worker(tmp_path / "models")
        words = ["score", "gated", str(source), str(output), "--redis", queue.url]
        job = asyncio.create_task(run_to_end(*words))
        held = await gate.held()
        frozen.signal(signal.SIGSTOP)
        await system.start_worker(tmp_path / "models")
        held_by_another = await gate.held()
        held.close()
        frozen.signal(signal.SIGCONT)
        # The other one still has the chunk in hand.
        refused = await frozen.logs.wait_for("late_result_refused")
        held_by_another.close()
        code = (await job).code
    assert (code, len(refused)) == (0, 1)
    assert [row["y"] for row in read_table(output)] == [-1, 3, 5]


async def test_a_row_that_kills_workers_is_found_and_the_job_finishes_without_it(
    tmp_path: Path,
) -> None:
    values = [n + 1_000 for n in range(3_000)]
    values[700], values[1_500], values[1_501] = ABORTS, RAISES, FORGETS
    source, output = write_numbers(tmp_path / "in.csv", values), tmp_path / "out.csv"
    write_marked_model(tmp_path / "models")
    async with (
        EmbeddedQueue.start() as queue,
        served(tmp_path / "models", "--redis", queue.url) as running_system,
    ):
        words = ["score", "marked", str(source), str(output), "--redis", queue.url, "--key", "id"]
        ended = await run_to_end(*words, env=environment())
        async with System(queue.url, AsyncExitStack(), queue).redis() as client:
            letters: Any = await client.xrange(keys.dead_key("marked@1"))
            left = await client.xlen(keys.batch_key("marked@1"))
        deaths = len(running_system.pids()["worker-0"]) - 1
    frames = [decode_request(letter[keys.FRAME_FIELD]) for _, letter in letters]
    dead = [int.from_bytes(bytes(frame.tensors[0].data), "little") for frame in frames]
    rejected = [(row["row"], row["code"]) for row in read_rejected(output)]
    assert ended.code == 3
    assert rejected == [
        (700, "kills_workers"),
        (1_500, "rows_failed"),
        (1_501, "bad_output"),
    ]
    lost = {row for row, _ in rejected}
    assert read_table(output) == [row for n, row in enumerate(answers(values)) if n not in lost]
    assert (dead, left) == ([ABORTS], 0)
    assert deaths <= CHUNK_LOSSES_MAX + PART_LOSSES_MAX + ROW_LOSSES_MAX


@pytest.mark.parametrize("seed", [1, 2])
async def test_workers_that_are_killed_at_random_lose_nothing(
    bench: Bench, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    output = tmp_path / "out.parquet"
    async with killing_proxy(bench.system.queue_url) as proxy, AsyncExitStack() as stack:
        await stack.enter_async_context(a_worker(bench))
        job = asyncio.create_task(bench.run(output))
        while not job.done():
            async with a_worker(bench, "--redis", proxy.url) as worker:
                proxy.aim(worker.pid)
                proxy.arm(chance.choice(WORKER_POINTS), chance.randint(1, 5))
                killed = asyncio.create_task(proxy.killed.wait())
                await asyncio.wait({job, killed}, return_when=asyncio.FIRST_COMPLETED)
                killed.cancel()
    assert (await job, output.read_bytes() == bench.expected) == (0, True), f"seed {seed}"
