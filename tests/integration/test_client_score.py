"""Scoring over a gateway: many rows in their order, in the batch lane, whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import pytest_asyncio

from bridge.client.async_client import AsyncClient
from bridge.client.client import Client
from bridge.client.errors import ClientClosed, InvalidRequest, Overloaded, UnknownModel
from bridge.client.score_job import ScoredRows, ScoreSettings
from bridge.scheduling.batch_room import ROWS_MAX
from bridge.wire import keys
from tests.faults.rig import eventually
from tests.gate import HELD, Gate, held_run
from tests.score_files import FORGETS, RAISES, write_marked_model
from tests.system import System, running_system
from tests.tiny_models import PATIENT, affine, same_text, write_version

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Above the marked rows.
FIRST = 1_000
SMALL = ScoreSettings(chunk_rows=100, window_chunks=4)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate() -> AsyncIterator[Gate]:
    async with Gate.open() as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    models: Path = tmp_path_factory.mktemp("models")
    write_marked_model(models)
    write_version(models, "affine", 1, graph=affine(2, 1), contract=PATIENT)
    write_version(models, "affine", 2, graph=affine(3, 0), contract=PATIENT)
    write_version(models, "text", graph=same_text(), contract=PATIENT)
    gate.write_model(models, "hold", PATIENT)
    async with running_system(models) as system:
        yield system


@pytest_asyncio.fixture(loop_scope="module")
async def client(running: System) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(running.url) as opened:
        yield opened


async def everything(
    client: AsyncClient, model: str, rows: Any, **options: Any
) -> list[ScoredRows]:
    return [scored async for scored in client.score(model, rows, **options)]


def values(scored: list[ScoredRows]) -> list[Any]:
    return [value for part in scored if part.outputs for value in part.outputs["y"].tolist()]


def expected(numbers: Any) -> list[int]:
    return [2 * number + 1 for number in numbers]


def batches(rows: int, size: int) -> Iterator[pa.RecordBatch]:
    for start in range(FIRST, FIRST + rows, size):
        numbers = range(start, min(FIRST + rows, start + size))
        yield pa.RecordBatch.from_pydict({"x": list(numbers)})


async def asynchronous(items: Iterator[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


NUMBERS = range(FIRST, FIRST + 1_000)
FORMS: dict[str, Any] = {
    "a mapping of arrays": lambda: {"x": np.array(NUMBERS)},
    "a mapping of lists": lambda: {"x": list(NUMBERS)},
    "a table": lambda: pa.table({"x": NUMBERS}),
    "a table in pieces": lambda: pa.Table.from_batches(batches(1_000, 130)),
    "a reader": lambda: pa.table({"x": NUMBERS}).to_reader(max_chunksize=270),
    "record batches": lambda: batches(1_000, 77),
    "records": lambda: ({"x": number} for number in NUMBERS),
    "columns, part by part": lambda: (
        {"x": np.array(NUMBERS[at : at + 250])} for at in range(0, 1_000, 250)
    ),
    "whole numbers that are floating": lambda: {"x": np.array(NUMBERS, float)},
}


@pytest.mark.parametrize("form", FORMS)
async def test_rows_of_any_form_are_scored_in_their_order(client: AsyncClient, form: str) -> None:
    scored = await everything(client, "marked", FORMS[form](), settings=SMALL)
    assert values(scored) == expected(NUMBERS)
    ends = [0, *(part.end_row for part in scored)]
    assert [part.first_row for part in scored] == ends[:-1]
    assert ends[-1] == 1_000


async def test_an_asynchronous_iterator_is_read_on_the_loop(client: AsyncClient) -> None:
    scored = await everything(client, "marked", asynchronous(batches(1_000, 90)), settings=SMALL)
    assert values(scored) == expected(NUMBERS)


async def test_a_program_without_an_event_loop_gets_the_same(running: System) -> None:
    def scored() -> list[ScoredRows]:
        with Client(running.url) as client:
            return list(client.score("marked", batches(1_000, 90), settings=SMALL))

    assert values(await asyncio.to_thread(scored)) == expected(NUMBERS)


async def test_text_is_scored(client: AsyncClient) -> None:
    table = pa.table({"x": [["maize", "Ähre 🌾"], ["", "rye"]]})
    assert values(await everything(client, "text", table)) == table["x"].to_pylist()


async def test_the_callers_own_names_are_taken(client: AsyncClient) -> None:
    rows = {"amount": np.arange(3), "x": ["not", "this", "one"]}
    assert values(await everything(client, "marked", rows, columns={"x": "amount"})) == [1, 3, 5]


async def test_the_highest_version_is_asked_unless_one_is_named(client: AsyncClient) -> None:
    rows = {"x": np.array([7.0])}
    assert values(await everything(client, "affine", rows)) == [[21.0]]
    assert values(await everything(client, "affine", rows, version=1)) == [[15.0]]


async def test_a_bad_row_is_told_and_the_others_are_scored(client: AsyncClient) -> None:
    rows = [float(FIRST + number) for number in range(200)]
    rows[3], rows[50], rows[51], rows[120], rows[199] = RAISES, -5, 1.5, FORGETS, float("nan")
    scored = await everything(client, "marked", {"x": rows}, settings=SMALL)
    rejected = [(row.row, row.code) for part in scored for row in part.rejected]
    assert rejected == [
        (3, "rows_failed"),
        (50, "value_range"),
        (51, "wrong_type"),
        (120, "bad_output"),
        (199, "null_value"),
    ]
    bad = {row for row, _ in rejected}
    good = [number for number in range(200) if number not in bad]
    assert np.concatenate([part.row_numbers for part in scored]).tolist() == good
    assert values(scored) == expected(FIRST + number for number in good)


async def test_rows_go_through_the_batch_lane(running: System, client: AsyncClient) -> None:
    async def frames(key: str) -> int:
        async with running.redis() as queue:
            info: Any = await queue.xinfo_stream(key)
            return int(info["entries-added"])

    streams = (keys.online_key("marked@1"), keys.batch_key("marked@1"))
    before = [await frames(key) for key in streams]
    await everything(client, "marked", {"x": np.array(NUMBERS[:300])}, settings=SMALL)
    after = [await frames(key) for key in streams]
    assert (after[0] - before[0], after[1] - before[1] > 0) == (0, True)


async def test_no_more_is_read_than_the_window_holds(client: AsyncClient) -> None:
    drawn: list[int] = []

    def drawing() -> Iterator[dict[str, Any]]:
        for number in range(50):
            drawn.append(number)
            yield {"x": np.full(100, FIRST + number)}

    scoring = client.score("marked", drawing(), settings=SMALL)
    await anext(scoring)
    assert len(drawn) <= 1 + SMALL.window_chunks
    await scoring.aclose()


async def test_a_full_batch_lane_says_when_to_come_back(
    gate: Gate, running: System, client: AsyncClient
) -> None:
    first = asyncio.create_task(
        client.infer("hold", np.full((ROWS_MAX, 1), HELD), priority="batch", timeout_s=60.0)
    )
    async with held_run(gate):
        with pytest.raises(Overloaded) as refused:
            await client.infer("affine", np.ones((1, 1)), priority="batch", timeout_s=0.5)
        assert refused.value.code == "batch_lane_full"
        assert (refused.value.retry_after_s or 0.0) > 0.0
    first.cancel()
    await gate.let_go()


async def test_online_callers_do_not_see_that_the_batch_lane_is_full(
    gate: Gate, client: AsyncClient
) -> None:
    waiting = asyncio.create_task(
        client.infer("hold", np.full((ROWS_MAX, 1), HELD), priority="batch", timeout_s=60.0)
    )
    writer = await gate.held()
    online = asyncio.create_task(client.infer("affine", np.ones((1, 1)), timeout_s=20.0))
    waiting.cancel()
    writer.close()
    assert (await online)["y"].tolist() == [[3.0]]


async def test_what_nobody_waits_for_any_more_leaves_the_queue(
    gate: Gate, running: System, client: AsyncClient
) -> None:
    """A job that ends early must not leave its chunks behind: the lane may move slowly."""
    scoring = client.score("hold", {"x": np.full((1_000, 1), HELD)}, settings=SMALL)
    first = asyncio.create_task(anext(scoring))
    async with held_run(gate), running.redis() as queue:

        async def frames() -> int:
            return int(await queue.xlen(keys.batch_key("hold@1")))

        assert await frames() > 0
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first

        async def is_empty() -> bool:
            return await frames() == 0

        await eventually(is_empty, within_s=5.0)
    await gate.let_go()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({"z": [1]}, "no column x"),
        ({"x": ["a"]}, "no INT64"),
        ([1], "neither a table nor a mapping"),
        (7, "neither a table nor an iterator"),
        ([{"x": 1}, {"y": 1}], "records with different names"),
    ],
)
async def test_what_is_no_input_of_the_model_is_said(
    client: AsyncClient, rows: Any, said: str
) -> None:
    with pytest.raises(InvalidRequest, match=said):
        await everything(client, "marked", rows)


async def test_a_model_that_nobody_serves_is_said(client: AsyncClient) -> None:
    with pytest.raises(UnknownModel):
        await everything(client, "nobody", {"x": [1]})


async def test_closing_the_client_ends_a_job(running: System) -> None:
    client = AsyncClient(running.url)
    scoring = client.score("marked", batches(100_000, 100), settings=SMALL)
    await anext(scoring)
    await client.close()
    with pytest.raises(ClientClosed):
        async for _ in scoring:
            pass
