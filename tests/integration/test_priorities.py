"""More than can be answered in time is refused from the bottom: sheddable, default, critical."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.system import System, post, running_system
from tests.tiny_models import infer_body, write_slow_model

pytestmark = pytest.mark.asyncio(loop_scope="module")

FROM_THE_TOP = ("critical", "default", "sheddable")
# Of each priority. About 36 rows in flight fill the target: each priority alone is less than that,
# two of them are more.
CALLERS = 24
# That the critical callers send one after the other; the rest ask for as long as they do.
REQUESTS = 20
# How many times as often each priority is let in as the next: measured, 8 and more.
APART = 2


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def slow(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """Who is refused is the gateway's to say: the queue's kind does not matter."""
    models: Path = tmp_path_factory.mktemp("models")
    write_slow_model(models)
    async with running_system(models) as running:
        yield running


@dataclass
class Crowd:
    """Callers of each priority, who ask again as soon as they have an answer."""

    http: aiohttp.ClientSession
    url: str
    said: Callable[[str], dict[str, Any]]
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)

    async def ask(self) -> None:
        """Return when every critical caller has asked `REQUESTS` times."""
        others = [
            asyncio.create_task(self._ask(priority, itertools.count()))
            for priority in ("default", "sheddable")
            for _ in range(CALLERS)
        ]
        await asyncio.gather(*(self._ask("critical", range(REQUESTS)) for _ in range(CALLERS)))
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def admitted(self, priority: str) -> float:
        """The share that was let in."""
        let_in, refused = (self.answers[priority, status] for status in (200, 429))
        return let_in / (let_in + refused)

    async def _ask(self, priority: str, times: Iterable[int]) -> None:
        for _ in times:
            status, _, _ = await post(self.http, self.url, **self.said(priority))
            self.answers[priority, status] += 1


def in_header(priority: str) -> dict[str, Any]:
    return {"headers": {"X-Priority": priority}, "body": infer_body([1.0])}


def in_body(priority: str) -> dict[str, Any]:
    return {"body": infer_body([1.0], parameters={"priority": priority})}


@pytest.mark.parametrize("said", [in_header, in_body])
async def test_under_pressure_requests_are_refused_from_the_bottom(
    slow: System, wide: aiohttp.ClientSession, said: Callable[[str], dict[str, Any]]
) -> None:
    crowd = Crowd(wide, f"{slow.url}/v2/models/slow/infer", said)
    await crowd.ask()
    critical, default, sheddable = map(crowd.admitted, FROM_THE_TOP)
    assert critical > APART * default > APART**2 * sheddable, crowd.answers
