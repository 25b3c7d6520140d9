"""Batches form by themselves; big requests are split; every caller gets its own rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import pytest_asyncio

from tests.conftest import FindServer
from tests.system import System, post, running_system
from tests.tiny_models import (
    PATIENT,
    RECORDING_PIPELINE,
    Recording,
    infer_body,
    tensors,
    write_version,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

CAPPED_ROWS = 16


def write_models(root: Path) -> None:
    write_version(root, "free", pipeline=RECORDING_PIPELINE, contract=PATIENT + tensors())
    capped = f"{PATIENT}max_batch_rows = {CAPPED_ROWS}\n"
    write_version(root, "capped", pipeline=RECORDING_PIPELINE, contract=capped + tensors())
    alone = f"{PATIENT}max_batch_rows = 1\n"
    write_version(root, "alone", pipeline=RECORDING_PIPELINE, contract=alone + tensors())


@pytest.fixture(scope="module")
def models(find_server: FindServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    write_models(root)
    return root


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tiny(find_server: FindServer, models: Path) -> AsyncIterator[System]:
    async with running_system(models, find_server=find_server) as running:
        yield running


def recorded(models: Path, model: str) -> Recording:
    recording = Recording(models / model / "1")
    recording.forget()
    return recording


async def answer_of(
    http: aiohttp.ClientSession, url: str, model: str, values: list[float]
) -> list[float]:
    status, answer, _ = await post(http, f"{url}/v2/models/{model}/infer", infer_body(values))
    assert status == 200, answer
    data: list[float] = answer["outputs"][0]["data"]
    return data


def expected(values: list[float]) -> list[float]:
    return [2 * value + 1 for value in values]


@pytest.mark.parametrize("model", ["free", "capped"])
async def test_ten_thousand_rows_in_one_request_come_back_in_order(
    tiny: System, http: aiohttp.ClientSession, model: str
) -> None:
    values = [float(value) for value in np.random.default_rng(5).permutation(10_000)]
    assert await answer_of(http, tiny.url, model, values) == expected(values)


async def test_many_split_requests_at_once_are_put_together_apart(
    tiny: System, http: aiohttp.ClientSession
) -> None:
    requests = [[float(value) for value in range(start, start + 333)] for start in range(20)]
    got = await asyncio.gather(
        *(answer_of(http, tiny.url, "capped", values) for values in requests)
    )
    assert got == [expected(values) for values in requests]


async def test_no_batch_holds_more_rows_than_the_contract_allows(
    tiny: System, wide: aiohttp.ClientSession, models: Path
) -> None:
    recording = recorded(models, "capped")
    sizes = np.random.default_rng(6).integers(1, 40, 100).tolist()
    await asyncio.gather(
        *(answer_of(wide, tiny.url, "capped", [float(size)] * size) for size in sizes)
    )
    assert max(recording.rows()) == CAPPED_ROWS


async def test_batches_hold_every_row_once(
    tiny: System, wide: aiohttp.ClientSession, models: Path
) -> None:
    recording = recorded(models, "capped")
    values = [float(value) for value in range(500)]
    await asyncio.gather(*(answer_of(wide, tiny.url, "capped", [value]) for value in values))
    run = [first for batch in recording.batches() for first in batch["first"]]
    assert sorted(run) == values


async def test_a_model_of_one_row_a_batch_answers_many_rows_beside_idle_models(
    tiny: System, http: aiohttp.ClientSession, models: Path
) -> None:
    # Its frames are read while the other models' streams are waited on; each missed wake-up
    # cost 100 ms, and this request its deadline.
    recording = recorded(models, "alone")
    values = [float(value) for value in range(300)]
    url = f"{tiny.url}/v2/models/alone/infer"
    await post(http, url, infer_body(values), headers={"X-Request-Timeout-Ms": "10000"})
    assert recording.rows() == [1] * 300


async def test_requests_that_arrive_together_share_batches(
    tiny: System, wide: aiohttp.ClientSession, models: Path
) -> None:
    recording = recorded(models, "free")
    values = [float(value) for value in range(500)]
    await asyncio.gather(*(answer_of(wide, tiny.url, "free", [value]) for value in values))
    assert len(recording.rows()) < len(values) / 2


async def test_requests_that_arrive_together_share_redis_commands(
    tiny: System, wide: aiohttp.ClientSession
) -> None:
    values = [float(value) for value in range(2_000)]
    before = await calls(tiny)
    await asyncio.gather(*(answer_of(wide, tiny.url, "free", [value]) for value in values))
    after = await calls(tiny)
    assert sum(after.values()) - sum(before.values()) < len(values)


async def test_requests_that_arrive_together_travel_in_shared_frames(
    tiny: System, wide: aiohttp.ClientSession
) -> None:
    values = [float(value) for value in range(2_000)]
    before = await calls(tiny)
    await asyncio.gather(*(answer_of(wide, tiny.url, "free", [value]) for value in values))
    after = await calls(tiny)
    assert after["cmdstat_xadd"] - before.get("cmdstat_xadd", 0) < len(values) / 4


async def calls(system: System) -> dict[str, int]:
    """How often each command was called on the server."""
    async with system.redis() as redis:
        statistics: dict[str, Any] = await redis.info("commandstats")
    return {name: int(row["calls"]) for name, row in statistics.items()}


async def test_each_of_two_thousand_callers_gets_its_own_row(
    find_server: FindServer, models: Path, wide: aiohttp.ClientSession
) -> None:
    values = [float(value) for value in np.random.default_rng(8).permutation(2_000)]
    async with running_system(models, gateways=2, workers=2, find_server=find_server) as running:
        urls = [gateway.url for gateway in running.gateways]
        got = await asyncio.gather(
            *(
                answer_of(wide, urls[index % 2], "free", [value])
                for index, value in enumerate(values)
            )
        )
    assert got == [expected([value]) for value in values]
