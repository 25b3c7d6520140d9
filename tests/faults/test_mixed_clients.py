"""A thousand good, bad and disconnecting clients at once; then: still alive, and right?"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.connection import Ask, NoAnswerError, http_post
from tests.faults.fault_models import NONCE_MAX, RAISES
from tests.faults.rig import Rig, eventually, is_running

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLIENTS = 1_000
SEED = 20_260_101

Client = Callable[[Rig, random.Random], Awaitable[str]]


async def _good(rig: Rig, chance: random.Random) -> str:
    """Several requests in a row, each answered with its own row."""
    async with await rig.connect() as connection:
        for _ in range(3):
            ask = Ask(chance.randrange(1, NONCE_MAX), pause_ms=chance.choice([0.0, 1.0, 5.0]))
            answer = await connection.ask(ask)
            if answer.code != "ok":
                return answer.code
            if not answer.is_for(ask):
                return "crossed"
    return "ok"


async def _code(rig: Rig, request: bytes) -> str:
    async with await rig.connect() as connection:
        return (await connection.exchange(request)).code


async def _raises(rig: Rig, chance: random.Random) -> str:
    return await _code(rig, Ask(chance.randrange(1, NONCE_MAX), mark=RAISES).encode())


async def _bad_json(rig: Rig, chance: random.Random) -> str:
    whole = Ask(1).encode().split(b"\r\n\r\n", 1)[1]
    return await _code(rig, http_post("mirror", whole[: chance.randrange(1, len(whole))]))


async def _unknown_model(rig: Rig, _: random.Random) -> str:
    return await _code(rig, Ask(1, model="nobody").encode())


async def _short_output(rig: Rig, _: random.Random) -> str:
    return await _code(rig, Ask(1, model="short").encode())


async def _not_http(rig: Rig, chance: random.Random) -> str:
    return await _code(rig, b"\x16\x03\x01" + chance.randbytes(40) + b"\r\n\r\n")


async def _leaves(rig: Rig, chance: random.Random) -> str:
    """Goes away somewhere between the first byte and the answer."""
    request = Ask(chance.randrange(1, NONCE_MAX), pause_ms=5.0).encode()
    async with await rig.connect() as connection:
        await connection.send(request[: chance.randrange(1, len(request))])
    return "left"


async def _leaves_unanswered(rig: Rig, chance: random.Random) -> str:
    """Goes away when all is sent."""
    async with await rig.connect() as connection:
        await connection.send(Ask(chance.randrange(1, NONCE_MAX), pause_ms=5.0).encode())
    return "left"


# Each kind of client with its share and the only end it may come to.
KINDS: list[tuple[Client, int, str]] = [
    (_good, 500, "ok"),
    (_raises, 50, "422 rows_failed"),
    (_bad_json, 75, "400 bad_json"),
    (_unknown_model, 50, "404 unknown_model"),
    (_short_output, 25, "500 bad_output"),
    (_not_http, 50, "400 bad_framing"),
    (_leaves, 125, "left"),
    (_leaves_unanswered, 125, "left"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ends(rig: Rig) -> dict[str, Counter[str]]:
    """How the clients of each kind ended, all of them at once and in a random order."""
    # A model that has never answered anybody is judged itself, not the row that raises.
    assert await rig.answers_right()
    chance = random.Random(SEED)
    clients = [(client, expected) for client, share, expected in KINDS for _ in range(share)]
    assert len(clients) == CLIENTS
    chance.shuffle(clients)
    seeds = [random.Random(chance.random()) for _ in clients]
    outcomes = await asyncio.gather(
        *(_end(client, rig, seed) for (client, _), seed in zip(clients, seeds, strict=True))
    )
    found: dict[str, Counter[str]] = {}
    for (client, _), outcome in zip(clients, outcomes, strict=True):
        found.setdefault(client.__name__, Counter())[outcome] += 1
    return found


async def _end(client: Client, rig: Rig, chance: random.Random) -> str:
    try:
        return await client(rig, chance)
    except (NoAnswerError, OSError) as error:
        return repr(error)


@pytest.mark.parametrize(
    ("client", "share", "expected"), KINDS, ids=[client.__name__ for client, *_ in KINDS]
)
async def test_clients_of_a_kind_all_come_to_their_own_end(
    ends: dict[str, Counter[str]], client: Client, share: int, expected: str
) -> None:
    assert ends[client.__name__] == {expected: share}


@pytest.mark.usefixtures("ends")
async def test_the_system_is_ready_after_them(rig: Rig) -> None:
    assert (await rig.get("/v2/health/ready")).status == 200


@pytest.mark.usefixtures("ends")
async def test_the_system_answers_right_after_them(rig: Rig) -> None:
    assert await rig.answers_right()


@pytest.mark.usefixtures("ends")
async def test_nothing_is_left_in_the_queue_or_in_flight_after_them(rig: Rig) -> None:
    await eventually(rig.is_drained, within_s=5.0)


@pytest.mark.usefixtures("ends")
async def test_no_process_has_ended_after_them(rig: Rig) -> None:
    assert [is_running(item) for item in (*rig.system.gateways, *rig.system.workers)] == [True] * 2


@pytest.mark.usefixtures("ends")
async def test_no_connection_is_left_open_after_them(rig: Rig) -> None:
    async def none_but_mine() -> bool:
        return _established(rig.system.gateways[0].port) == 1

    async with await rig.connect():
        await eventually(none_but_mine, within_s=5.0)


def _established(port: int) -> int:
    """How many established connections end at a port of this machine."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "01" for row in rows)
