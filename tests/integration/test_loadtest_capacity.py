"""`find-capacity`, whole, on servers whose capacity follows from arithmetic."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.command import Ended, run_to_end
from tests.known_server import OK, REFUSED, KnownServer, known_server
from tests.system import running_system
from tests.tiny_models import tensors, write_version

pytestmark = pytest.mark.timeout(180)

PRECISION = 0.5
# The generator's lag may be 1 % of the target: 15 ms, which a machine that is not too busy keeps.
TARGET = ("--target-ms", "1500", "--precision", str(PRECISION), "--seconds", "1")
VOID = 3
# A void search proves nothing, neither for the server nor against the load tester: it is repeated.
TRIES_MAX = 3
CONTRACT = {"name": "known", "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 1]}]}


@dataclass(frozen=True)
class Found:
    ended: Ended
    result: dict[str, Any]

    @property
    def rate(self) -> float:
        rate: float = self.result["scenario"]["arrivals"]["rate"]
        return rate


async def find_capacity(url: str, folder: Path, *words: str) -> Found:
    file = folder / "capacity.json"
    command = ("loadtest", "find-capacity", "--url", url, *TARGET, *words, "--json", str(file))
    for _ in range(TRIES_MAX):
        ended = await run_to_end(*command)
        if ended.code != VOID:
            break
    assert file.exists(), ended.err
    return Found(ended, json.loads(file.read_text()))


class Seats:
    """So many requests at once, each for so long; whoever finds no seat is refused."""

    def __init__(self, seats: int, seconds: float) -> None:
        self._seats = seats
        self._seconds = seconds
        self._taken_until_s: deque[float] = deque()

    def answer(self, number: int) -> bytes:
        """Take a seat, or refuse."""
        del number
        now_s = asyncio.get_running_loop().time()
        while self._taken_until_s and self._taken_until_s[0] <= now_s:
            self._taken_until_s.popleft()
        if len(self._taken_until_s) >= self._seats:
            return REFUSED
        self._taken_until_s.append(now_s + self._seconds)
        return OK


def erlang_b(offered: float, seats: int) -> float:
    """The share of independent callers who find all seats taken (Erlang, 1917)."""
    share = 1.0
    for number in range(1, seats + 1):
        share = offered * share / (number + offered * share)
    return share


SEATS, SEAT_S = 100, 0.1
# The rate at which one caller in a hundred is refused, to the next whole number.
SEATS_CAPACITY = next(rate for rate in range(1, 10_000) if erlang_b(rate * SEAT_S, SEATS) > 0.01)


@pytest.fixture(scope="module")
def of_seats(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What was found of a server whose capacity is Erlang's."""
    folder = tmp_path_factory.mktemp("seats")
    contract = folder / "contract.json"
    contract.write_text(json.dumps(CONTRACT))

    async def found() -> Found:
        server = KnownServer(answer=Seats(SEATS, SEAT_S).answer, delay_s=SEAT_S)
        async with known_server(server):
            url = f"http://127.0.0.1:{server.port}"
            words = ("--model", "known", "--contract", str(contract), "--start", "500")
            return await find_capacity(url, folder, *words)

    return asyncio.run(found())


def test_the_capacity_of_a_server_with_so_many_seats_is_erlangs(of_seats: Found) -> None:
    # 500 and 707 requests/s are well below the capacity of 841, and 1,000 are well above it.
    assert of_seats.rate <= SEATS_CAPACITY <= (1 + PRECISION) * of_seats.rate


def test_a_capacity_that_was_found_ends_with_0_and_is_no_least_one(of_seats: Found) -> None:
    said = f"capacity: {of_seats.rate:,.0f} requests/s with at least 99 % within 1500 ms"
    assert (of_seats.ended.code, said in of_seats.ended.out) == (0, True), of_seats.ended.out


def test_the_search_is_told_rate_by_rate(of_seats: Found) -> None:
    lines = [line for line in of_seats.ended.out.splitlines() if line.endswith(("kept", "missed"))]
    told = sorted(float(line.split("/s")[0].replace(",", "")) for line in lines)
    offered = [step["offered_per_s"] for step in of_seats.result["steps"]]
    assert told == pytest.approx(offered, rel=0.1)


# One row at a time, each for 2 ms: at most 500 a second.
RUN_S = 0.002
PIPELINE = f"""
import threading


def predict(inputs):
    threading.Event().wait({RUN_S})
    return {{"y": inputs["x"]}}
"""
ONE_BY_ONE = f"[serving]\nmax_batch_rows = 1\nlatency_target_ms = 300\n{tensors()}"


async def test_the_capacity_of_the_real_system_is_that_of_its_slow_model(tmp_path: Path) -> None:
    write_version(tmp_path, "slow", pipeline=PIPELINE, contract=ONE_BY_ONE)
    async with running_system(tmp_path) as system:
        found = await find_capacity(system.url, tmp_path, "--model", "slow", "--start", "330")
    # Not above what it can do, and not below a third of it: the wait takes at least 2 ms, and a
    # busy machine adds to that.
    most = 1 / RUN_S
    assert (found.ended.code, most / 3 <= found.rate <= most) == (0, True), found.ended.out
