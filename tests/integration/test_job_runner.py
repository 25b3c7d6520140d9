"""Jobs from the store through runner, batch lane and workers, back into the store."""

from __future__ import annotations

import io
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import pytest_asyncio

from bridge.embedded_queue import EmbeddedQueue
from bridge.job_store.manifest import JobState
from bridge.wire import keys
from tests.score_files import FORGETS, RAISES, answers, write_marked_model, write_numbers
from tests.stored_jobs import StoredJobs, csv_of, stored_jobs
from tests.system import System, TestedProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")

VALUES = [n + 1_000 for n in range(3_000)]


@dataclass(frozen=True)
class Running:
    """A worker and a runner on one queue."""

    system: System
    jobs: StoredJobs
    runner: TestedProcess
    model: Path
    files: Path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("jobs")
    model = write_marked_model(folder / "models")
    files = folder / "files"
    files.mkdir()
    async with AsyncExitStack() as stack:
        queue = await stack.enter_async_context(EmbeddedQueue.start())
        system = System(queue.url, stack, queue)
        await system.start_worker(folder / "models")
        runner = await system.start_job_runner(
            *("--jobs-at-once", "4", "--job-spool", str(folder), "--job-files", str(files))
        )
        jobs = stack.enter_context(stored_jobs(queue.url))
        yield Running(system, jobs, runner, model, files)


async def test_a_job_is_scored_into_the_store(running: Running) -> None:
    job = running.jobs.submit(csv_of(VALUES))
    manifest = await running.jobs.ended(job)
    assert (manifest.state, manifest.error) == (JobState.FINISHED, None)
    assert (manifest.rows_done, manifest.rows_rejected, manifest.share_done) == (3_000, 0, 1.0)
    assert running.jobs.rows(job) == answers(VALUES)


async def test_a_parquet_file_becomes_a_parquet_file(running: Running) -> None:
    source = io.BytesIO()
    table = pa.table({"id": [f"a{n}" for n in range(2_000)], "x": VALUES[:2_000]})
    pq.write_table(table, source)
    job = running.jobs.submit(
        source.getvalue(), input_format="parquet", output_format="parquet", chunk_rows=300
    )
    await running.jobs.ended(job)
    found = pq.read_table(io.BytesIO(running.jobs.output(job))).to_pylist()
    assert found == answers(VALUES[:2_000])


async def test_rows_that_cannot_be_scored_are_told_with_the_reason(running: Running) -> None:
    values = [*VALUES[:2_000], RAISES, FORGETS, -1]
    job = running.jobs.submit(csv_of(values))
    manifest = await running.jobs.ended(job)
    rejected = [(row["row"], row["key"], row["code"]) for row in running.jobs.rejected(job)]
    assert (manifest.state, manifest.rows_rejected) == (JobState.FINISHED, 3)
    assert rejected == [
        (2_000, "a2000", "rows_failed"),
        (2_001, "a2001", "bad_output"),
        (2_002, "a2002", "value_range"),
    ]
    assert running.jobs.rows(job) == answers(VALUES[:2_000])


FAULTS: dict[str, tuple[bytes, dict[str, Any], str, str]] = {
    "a missing column": (b"id,z\na0,1\n", {}, "bad_input", "the input: no column x for"),
    "a missing key column": (b"x\n1\n", {}, "bad_input", "the input: no column id for --key"),
    "a truncated Parquet file": (
        b"PAR1 and no end",
        {"input_format": "parquet"},
        "bad_input",
        "the input: Parquet magic bytes not found",
    ),
    "too many rejected rows": (
        b"id,x\na0,1\na1,-1\na2,x\n",
        {"max_rejected": 1},
        "too_many_rejected",
        "2 rows were rejected",
    ),
    "a name that is no model's": (b"id,x\n", {"model": "a b"}, "bad_input", "'a b' is neither"),
    "a file that is not there": (
        b"",
        {"input_file": "in.csv"},
        "bad_input",
        "in.csv: it is not the name of a file",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_job_that_cannot_run_fails_and_says_why(running: Running, fault: str) -> None:
    body, what, code, message = FAULTS[fault]
    manifest = await running.jobs.ended(running.jobs.submit(body, **what))
    assert manifest.error is not None
    assert (manifest.state, manifest.error.code) == (JobState.FAILED, code)
    assert manifest.error.message.startswith(message)


async def test_a_file_of_the_operators_is_read_where_it_is(running: Running) -> None:
    source = write_numbers(running.files / "in.parquet", VALUES)
    size = source.stat().st_size
    job = running.jobs.submit(input_file="in.parquet", input_format="parquet", input_bytes=size)
    manifest = await running.jobs.ended(job)
    assert (manifest.state, running.jobs.rows(job)) == (JobState.FINISHED, answers(VALUES))


async def test_the_rejected_rows_of_a_job_that_gave_up_can_be_read(running: Running) -> None:
    job = running.jobs.submit(b"id,x\na0,1\na1,-1\na2,x\n", max_rejected=1)
    await running.jobs.ended(job)
    codes = [row["code"] for row in running.jobs.rejected(job)]
    assert codes == ["value_range", "wrong_type"]


async def test_a_file_without_rows_has_a_result_without_rows(running: Running) -> None:
    job = running.jobs.submit(b"id,x\n", output_format="csv")
    manifest = await running.jobs.ended(job)
    assert (manifest.state, running.jobs.output(job)) == (JobState.FINISHED, b'"id","y"\n')


@dataclass(frozen=True)
class Slow:
    """Each run of the model takes 10 ms longer, until the end."""

    pause: Path

    def end(self) -> None:
        self.pause.unlink(missing_ok=True)


@pytest.fixture
def slow(running: Running) -> Iterator[Slow]:
    pause = running.model / "pause"
    pause.write_text("0.01")
    yield Slow(pause)
    pause.unlink(missing_ok=True)


async def test_a_cancelled_job_leaves_the_batch_lane_at_once(running: Running, slow: Slow) -> None:
    job = running.jobs.submit(csv_of(VALUES * 20), chunk_rows=512)
    await running.jobs.has_come_to(job, 512)
    running.jobs.store.cancel(job)
    ended = await running.runner.logs.wait_for("job_cancelled")
    async with running.system.redis() as client:
        left = await client.keys(f"bb:*job:{job}*")
    # A second job is scored at once: nothing of the first is before it.
    slow.end()
    after = await running.jobs.ended(running.jobs.submit(csv_of(VALUES[:10])))
    async with running.system.redis() as client:
        length = await client.xlen(keys.batch_key("marked@1"))
    assert ([event["job"] for event in ended], left, length) == ([job], [], 0)
    assert (running.jobs.manifest(job).state, after.state) == (
        JobState.CANCELLED,
        JobState.FINISHED,
    )


async def test_dead_rows_are_sent_again_and_stand_in_their_places(running: Running) -> None:
    values = [*VALUES[:700], RAISES, *VALUES[700:1_500], RAISES, FORGETS, *VALUES[1_500:2_000], -1]
    job = running.jobs.submit(csv_of(values), chunk_rows=256)
    first = await running.jobs.ended(job)
    (running.model / "healed").touch()
    running.jobs.store.retry_dead(job)
    again = await running.jobs.ended(job)
    (running.model / "healed").unlink()
    rejected = [row["code"] for row in running.jobs.rejected(job)]
    expected = [row for n, row in enumerate(answers(values)) if n not in (1_502, 2_003)]
    assert (first.rows_rejected, first.dead_rows) == (4, 3)
    assert (again.rows_rejected, again.dead_rows, rejected) == (2, 1, ["bad_output", "value_range"])
    assert running.jobs.rows(job) == expected


async def test_dead_rows_that_die_again_are_still_dead(running: Running) -> None:
    job = running.jobs.submit(csv_of([1, RAISES, 2]))
    await running.jobs.ended(job)
    running.jobs.store.retry_dead(job)
    again = await running.jobs.ended(job)
    assert (again.state, again.dead_rows, running.jobs.rows(job)) == (
        JobState.FINISHED,
        1,
        [{"id": "a0", "y": 3}, {"id": "a2", "y": 5}],
    )


async def test_a_job_whose_results_have_no_room_fails_by_name(running: Running) -> None:
    job = running.jobs.submit(csv_of(VALUES * 10), output_format="csv")
    running.runner.signal(signal.SIGSTOP)
    cramped = await running.system.start_job_runner("--job-storage-mb", "1")
    manifest = await running.jobs.ended(job)
    await cramped.terminate()
    running.runner.signal(signal.SIGCONT)
    assert manifest.error is not None
    assert (manifest.state, manifest.error.code) == (JobState.FAILED, "storage_full")


async def test_a_runner_that_is_told_to_end_leaves_its_jobs_to_another(
    running: Running, slow: Slow
) -> None:
    job = running.jobs.submit(csv_of(VALUES * 4), chunk_rows=256)
    await running.jobs.has_come_to(job, 512)
    other = await running.system.start_job_runner()
    code = await running.runner.terminate()
    left = running.jobs.manifest(job).rows_done
    slow.end()
    ended = await running.jobs.ended(job)
    taken_up = other.logs.events("job_taken_up")
    assert (code, [event["job"] for event in taken_up]) == (0, [job])
    assert 512 <= left < len(VALUES) * 4
    assert (ended.state, running.jobs.rows(job)) == (JobState.FINISHED, answers(VALUES * 4))
