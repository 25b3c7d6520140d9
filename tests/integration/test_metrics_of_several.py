"""Several gateways and workers under one `serve`: whichever is asked shows the metrics of all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.command import free_port, running
from tests.gate import HELD, Gate, held_run
from tests.series import Series, moved, scrape
from tests.system import post
from tests.tiny_models import PATIENT, affine, infer_body, write_version
from tests.waiting import elapse

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Every gateway brings its own figures up to date when it is asked, and twice a second.
FIGURES_OLD_S_MAX = 0.6


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate() -> AsyncIterator[Gate]:
    async with Gate.open() as opened:
        yield opened


@pytest.fixture(scope="module")
def models(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    write_version(root, "plain", graph=affine(2, 1), contract=PATIENT)
    gate.write_model(root, "gated", PATIENT)
    return root


class Together:
    """`serve` with two gateways: each request may reach either."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self.http = http

    async def infer(self, model: str, value: float) -> tuple[int, Any]:
        status, answer, _ = await post(
            self.http, f"{self.url}/v2/models/{model}/infer", infer_body([value])
        )
        return status, answer

    async def scrapes(self) -> list[Series]:
        """So many that both gateways are asked: one is missed once in 2^15 runs."""
        return [await scrape(self.http, self.url) for _ in range(16)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def together(models: Path) -> AsyncIterator[Together]:
    port = free_port()
    words = ["--models", str(models), "--port", str(port), "--gateways", "2", "--workers", "2"]
    # A new connection for each request: the kernel chooses a gateway for each.
    connector = aiohttp.TCPConnector(force_close=True)
    async with (
        aiohttp.ClientSession(connector=connector) as http,
        running("serve", *words) as command,
    ):
        await command.out.line_with("curl")
        yield Together(f"http://127.0.0.1:{port}", http)


async def test_each_gateway_shows_the_counts_of_all(together: Together) -> None:
    before = (await together.scrapes())[0]
    answers = await asyncio.gather(*(together.infer("plain", float(n)) for n in range(40)))
    assert {status for status, _ in answers} == {200}
    await elapse(FIGURES_OLD_S_MAX)
    counts = {
        moved(before, after, "requests_total", model="plain", outcome="ok")
        for after in await together.scrapes()
    }
    assert counts == {40}


async def test_each_gateway_shows_the_batches_of_all(together: Together) -> None:
    before = (await together.scrapes())[0]
    await asyncio.gather(*(together.infer("plain", float(n)) for n in range(40)))
    await elapse(FIGURES_OLD_S_MAX)
    rows = {
        moved(before, after, "batch_rows_sum", model="plain") for after in await together.scrapes()
    }
    assert rows == {40}


async def test_each_gateway_shows_what_is_in_flight_at_all(together: Together, gate: Gate) -> None:
    held = asyncio.create_task(together.infer("gated", HELD))
    async with held_run(gate):
        await elapse(FIGURES_OLD_S_MAX)
        during = {scraped("in_flight") for scraped in await together.scrapes()}
    await held
    await elapse(FIGURES_OLD_S_MAX)
    after = {scraped("in_flight") for scraped in await together.scrapes()}
    assert (during, after) == ({1}, {0})


async def test_each_gateway_knows_both_workers(together: Together) -> None:
    assert {scraped("workers") for scraped in await together.scrapes()} == {2}
