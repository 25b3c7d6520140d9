"""Results that do not fit their request never reach a caller."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
import numpy as np
import pytest

from bridge.wire import keys
from bridge.wire.block import to_block
from bridge.wire.frame import (
    REQUEST_ID_BYTES,
    BatchReport,
    RequestFrame,
    ResultEntry,
    ResultFrame,
    ResultStatus,
    ServiceReport,
    Tensor,
    decode_request,
    encode_frame,
)
from tests.faults.connection import Answer, Ask
from tests.faults.fault_models import answer_of
from tests.faults.rig import MIRROR, Rig

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASK = Ask(nonce=4_711)
WRONG = 666


def column(*values: Any, name: str = "answer", dtype: str = "<i8") -> Tensor:
    """One output block."""
    return to_block(name, [np.array(values, dtype=dtype)])


def cut(tensor: Tensor) -> Tensor:
    """The block without its last byte."""
    assert isinstance(tensor.data, memoryview)
    return msgspec.structs.replace(tensor, data=tensor.data[:-1])


ALTERED: dict[str, dict[str, Any]] = {
    "more rows than asked for": {"rows": 2, "tensors": [column(WRONG, WRONG)]},
    "no rows": {"rows": 0, "tensors": [column()]},
    "a block too short": {"tensors": [cut(column(WRONG))]},
    "a block too long": {"tensors": [column(WRONG, WRONG)]},
    "an unknown datatype": {"tensors": [msgspec.structs.replace(column(WRONG), datatype="INT128")]},
    "another datatype": {"tensors": [column(WRONG, dtype="<f8")]},
    "another output": {"tensors": [column(WRONG, name="other")]},
    "no output": {"tensors": []},
    "a part that was not sent": {"part": 1},
    "another model": {"model_key": "short@1"},
}


@pytest.mark.parametrize("alteration", ALTERED)
async def test_a_result_that_does_not_fit_is_answered_500_and_not_delivered(
    rig: Rig, alteration: str
) -> None:
    answer = await _answer_to_result(rig, **ALTERED[alteration])
    assert answer.code == "500 bad_result"


async def test_a_result_that_fits_is_delivered(rig: Rig) -> None:
    """The counter-proof: without an alteration the same frame is an answer."""
    answer = await _answer_to_result(rig, tensors=[column(answer_of(ASK.nonce))])
    assert answer.is_for(ASK)


async def test_a_result_for_a_request_that_nobody_made_is_counted_and_dropped(rig: Rig) -> None:
    # Results come in order: with this answer, those that other tests' callers left are counted.
    assert await rig.answers_right()
    strays = await rig.metric("stray_results")
    async with rig.system.redis() as client:
        for gateway in await client.zrange(keys.GATEWAYS_KEY, 0, -1):
            data = _result(secrets.token_bytes(REQUEST_ID_BYTES), tensors=[column(WRONG)])
            await client.rpush(keys.results_key(gateway.decode()), data)
    assert await rig.answers_right()
    assert await rig.metric("stray_results") == strays + 1


async def test_only_the_first_of_two_results_for_a_request_is_delivered(rig: Rig) -> None:
    # The worker's own result follows the one that was pushed, to a caller who asks again at once.
    async with await rig.connect() as connection:
        async with rig.busy_worker(), rig.system.redis() as client:
            await connection.send(ASK.encode())
            await rig.wait_in_hand(2)
            frame = await _newest_frame(client)
            result = _result(frame.requests[0].request_id, tensors=[column(answer_of(ASK.nonce))])
            await client.rpush(keys.results_key(frame.gateway), result)
            await connection.receive()
        again = Ask(nonce=4_712)
        assert (await connection.ask(again)).is_for(again)


async def _answer_to_result(rig: Rig, **alteration: Any) -> Answer:
    """What the caller gets when the worker is held and an altered result overtakes it."""
    async with (
        await rig.connect() as connection,
        rig.system.redis() as client,
        rig.busy_worker(),
    ):
        await connection.send(ASK.encode())
        await rig.wait_in_hand(2)
        frame = await _newest_frame(client)
        result = _result(frame.requests[0].request_id, **alteration)
        await client.rpush(keys.results_key(frame.gateway), result)
        return await connection.receive()


async def _newest_frame(client: Any) -> RequestFrame:
    [[_, fields]] = await client.xrevrange(keys.online_key(MIRROR), count=1)
    return decode_request(fields[keys.FRAME_FIELD])


def _result(
    request_id: bytes,
    *,
    tensors: list[Tensor] | None = None,
    rows: int = 1,
    part: int = 0,
    model_key: str = MIRROR,
) -> bytes:
    entry = ResultEntry(request_id, part, ResultStatus.OK, rows, 0, 0)
    return encode_frame(
        ResultFrame(
            worker="somebody",
            model_key=model_key,
            results=[entry],
            tensors=[column(WRONG)] if tensors is None else tensors,
            batch=BatchReport(rows, 1, False),
            service=ServiceReport(0.001, 0.001, 0.05, 64, 64),
        )
    )
