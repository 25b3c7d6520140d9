"""`Prefer: respond-async`: a 202 for what is on the disk, and later the very answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import aiohttp
import msgspec
import numpy as np
import pytest
import pytest_asyncio

from tests.answered_later import HOLD, LATER, WAYWARD, LaterRig, running_later
from tests.gate import HELD, held_run
from tests.tiny_models import FORGETS, RAISES, infer_body
from tests.webhook_receiver import SECRET, Receiver, running_receiver

pytestmark = pytest.mark.asyncio(loop_scope="module")

BINARY = np.array([[3.0], [4.0]]).tobytes()
BINARY_HEAD = json.dumps(
    {
        "inputs": [
            {
                "name": "x",
                "shape": [2, 1],
                "datatype": "FP64",
                "parameters": {"binary_data_size": len(BINARY)},
            }
        ],
        "outputs": [{"name": "y", "parameters": {"binary_data": True}}],
    }
).encode()
MESSAGEPACK = msgspec.msgpack.encode(
    {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP64", "data": BINARY[:8]}]}
)


def as_json(*values: float) -> tuple[bytes, dict[str, str]]:
    return json.dumps(infer_body(values)).encode(), {"Content-Type": "application/json"}


FORMS = {
    "JSON": as_json(3.0, 4.0),
    "binary": (
        BINARY_HEAD + BINARY,
        {
            "Content-Type": "application/octet-stream",
            "Inference-Header-Content-Length": str(len(BINARY_HEAD)),
        },
    ),
    "MessagePack": (MESSAGEPACK, {"Content-Type": "application/msgpack"}),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(receiver: Receiver) -> AsyncIterator[LaterRig]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATCHBRIDGE_WEBHOOK_SECRET", SECRET)
        async with running_later("--webhook-hosts", "127.0.0.1:*") as running:
            yield running


@pytest.mark.parametrize("form", FORMS)
async def test_the_answer_is_the_one_that_would_have_come_at_once(rig: LaterRig, form: str) -> None:
    body, headers = FORMS[form]
    headers = {**headers, "X-Request-Id": "same"}
    now = await rig.post(HOLD, data=body, headers=headers)
    location = await rig.accepted(HOLD, data=body, headers=headers)
    assert now.status == 200
    assert await rig.answer(location) == now


@pytest.mark.parametrize("value", [RAISES, FORGETS])
async def test_the_answer_may_be_that_the_model_failed(rig: LaterRig, value: float) -> None:
    body, headers = as_json(value)
    headers = {**headers, "X-Request-Id": "same"}
    # So that the model is known to answer other rows.
    await rig.post(WAYWARD, data=as_json(1.0)[0], headers=headers)
    now = await rig.post(WAYWARD, data=body, headers=headers)
    location = await rig.accepted(WAYWARD, data=body, headers=headers)
    assert now.status in (422, 500)
    assert await rig.answer(location) == now


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (HOLD, b"{"),
        (HOLD, b'{"inputs": []}'),
        ("/v2/models/nobody/infer", b"{}"),
        ("/v2/models/hold/versions/7/infer", b"{}"),
    ],
)
async def test_what_is_wrong_is_said_at_once(rig: LaterRig, path: str, body: bytes) -> None:
    headers = {"Content-Type": "application/json", "X-Request-Id": "same"}
    now = await rig.post(path, data=body, headers=headers)
    assert now.status in (400, 404)
    assert await rig.post(path, data=body, headers={**headers, **LATER}) == now


async def test_named_rows_may_be_answered_later_too(rig: LaterRig) -> None:
    headers = {"Content-Type": "application/json", "X-Request-Id": "same"}
    path, body = "/v1/models/hold/predict", b'{"rows": [{"x": 3}]}'
    now = await rig.post(path, data=body, headers=headers)
    location = await rig.accepted(path, data=body, headers=headers)
    assert now.status == 200
    assert await rig.answer(location) == now


async def test_the_202_says_where_the_answer_will_be(rig: LaterRig) -> None:
    async with rig.http.post(rig.url + HOLD, json=infer_body([1.0]), headers=LATER) as response:
        job = await response.json()
        headers = response.headers
    assert (response.status, headers["Preference-Applied"]) == (202, "respond-async")
    assert headers["Location"] == job["links"]["self"] == f"/v1/jobs/{job['id']}"
    # It may have been claimed already when it is shown.
    assert (job["kind"], job["model"]) == ("request", "hold")


async def test_a_connection_that_was_on_the_express_lane_takes_the_preference_too(
    rig: LaterRig,
) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as one:
        async with one.post(rig.url + HOLD, json=infer_body([1.0])) as response:
            assert response.status == 200
        async with one.post(rig.url + HOLD, json=infer_body([1.0]), headers=LATER) as response:
            assert response.status == 202


async def test_within_the_wait_the_answer_comes_at_once(rig: LaterRig) -> None:
    body, headers = as_json(3.0)
    headers = {**headers, "X-Request-Id": "same"}
    now = await rig.post(HOLD, data=body, headers=headers)
    waited = {**headers, "Prefer": "respond-async, wait=20"}
    assert await rig.post(HOLD, data=body, headers=waited) == now


async def test_after_the_wait_the_answer_comes_later(rig: LaterRig) -> None:
    headers = {"Prefer": "respond-async, wait=1"}
    async with rig.http.post(rig.url + HOLD, json=infer_body([HELD]), headers=headers) as response:
        assert (response.status, response.headers["Preference-Applied"]) == (
            202,
            "respond-async, wait=1",
        )
        location = response.headers["Location"]
    # The run that was waited for, then that of the stored request.
    async with held_run(rig.gate):
        pass
    async with held_run(rig.gate):
        pass
    assert (await rig.answer(location)).status == 200


async def test_without_jobs_the_preference_is_ignored(rig: LaterRig) -> None:
    gateway = await rig.system.start_gateway("--job-storage-mb", "0")
    url = f"{gateway.url}{HOLD}"
    async with rig.http.post(url, json=infer_body([1.0]), headers=LATER) as response:
        assert (response.status, "Preference-Applied" in response.headers) == (200, False)


async def test_the_same_key_and_body_are_the_same_job(rig: LaterRig) -> None:
    headers = {"Idempotency-Key": "one"}
    first = await rig.accepted(HOLD, json=infer_body([1.0]), headers=headers)
    assert await rig.accepted(HOLD, json=infer_body([1.0]), headers=headers) == first
    other = await rig.post(HOLD, json=infer_body([2.0]), headers={**LATER, **headers})
    assert (other.status, json.loads(other.body)["code"]) == (422, "idempotency_key_reused")


async def test_a_cancelled_request_has_no_answer(rig: LaterRig) -> None:
    location = await rig.accepted(HOLD, json=infer_body([HELD]))
    async with held_run(rig.gate), rig.http.delete(rig.url + location) as response:
        assert (await response.json())["state"] == "cancelled"
    assert (await rig.answer(location)).status == 409


async def test_a_webhook_tells_of_the_end_signed_and_until_it_is_taken(
    rig: LaterRig, receiver: Receiver
) -> None:
    receiver.refuse(503, 500)
    headers = {"Webhook-URL": f"{receiver.url}/told"}
    location = await rig.accepted(HOLD, json=infer_body([1.0]), headers=headers)
    attempts = await receiver.wait_for("/hook/told", 3)
    job = await rig.ended_webhook(location)
    assert [attempt.is_signed for attempt in attempts] == [True] * 3
    assert len({attempt.webhook_id for attempt in attempts}) == 1
    assert attempts[0].timestamp_s <= attempts[1].timestamp_s <= attempts[2].timestamp_s
    assert attempts[0].document == {
        "type": "job.finished",
        "timestamp": job["finished"],
        "data": {**job, "webhook": "pending"},
    }
    assert job["webhook"] == "delivered"


async def test_a_receiver_that_is_gone_for_good_is_not_asked_again(
    rig: LaterRig, receiver: Receiver
) -> None:
    receiver.refuse(410)
    headers = {"Webhook-URL": f"{receiver.url}/gone"}
    location = await rig.accepted(HOLD, json=infer_body([1.0]), headers=headers)
    assert (await rig.ended_webhook(location))["webhook"] == "failed"
    assert len(receiver.at("/hook/gone")) == 1


@pytest.mark.parametrize(
    "url", ["https://evil.example/", "http://10.0.0.1/", "file:///etc/passwd", "http://localhost/"]
)
async def test_a_webhook_to_a_host_that_is_not_listed_is_refused(rig: LaterRig, url: str) -> None:
    headers = {**LATER, "Webhook-URL": url}
    seen = await rig.post(HOLD, json=infer_body([1.0]), headers=headers)
    refusal = json.loads(seen.body)
    assert (seen.status, refusal["code"]) == (400, "bad_parameter")
    assert refusal["error"].startswith("Webhook-URL: ")


async def test_a_job_with_a_file_tells_of_its_end_too(rig: LaterRig, receiver: Receiver) -> None:
    headers = {"Content-Type": "text/csv", "Webhook-URL": f"{receiver.url}/file"}
    upload = rig.http.post(f"{rig.url}/v1/jobs?model=hold", data="x\n1\n", headers=headers)
    async with upload as response:
        location = response.headers["Location"]
    # There is no runner here: it ends because it is cancelled.
    await rig.http.delete(rig.url + location)
    (attempt,) = await receiver.wait_for("/hook/file", 1)
    assert (attempt.document["type"], attempt.is_signed) == ("job.cancelled", True)


async def test_a_job_with_a_file_may_not_name_just_any_host(rig: LaterRig) -> None:
    headers = {"Content-Type": "text/csv", "Webhook-URL": "https://evil.example/"}
    seen = await rig.post("/v1/jobs?model=hold", data="x\n1\n", headers=headers)
    assert (seen.status, json.loads(seen.body)["code"]) == (400, "bad_parameter")
