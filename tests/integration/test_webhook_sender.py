"""One webhook to a real receiver: what is sent, what is made of the answer, where it may not go."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from bridge.gateway.jobs.view import job_view
from bridge.gateway.webhooks.hosts import WebhookHosts, WebhookTarget
from bridge.gateway.webhooks.message import WebhookMessage, message_of
from bridge.gateway.webhooks.sender import Delivery, WebhookSender
from bridge.gateway.webhooks.signature import WebhookSigner
from bridge.job_store.manifest import JobFault, JobManifest, JobState
from tests.conftest import required_in_ci
from tests.webhook_receiver import SECRET, Received, Receiver, running_receiver

MESSAGE = WebhookMessage("msg_1", b'{"type":"job.finished"}')
SENDER = WebhookSender(WebhookSigner(SECRET), lambda: 1_700_000_000.9)
HOSTS = WebhookHosts(["127.0.0.1:*", "localhost:*"])


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as running:
        yield running


async def test_it_arrives_signed_with_the_time_of_the_attempt(receiver: Receiver) -> None:
    delivery = await SENDER.send(HOSTS.target(f"{receiver.url}?a=%2F"), MESSAGE)
    assert delivery == Delivery(True, "status 204")
    document = {"type": "job.finished"}
    assert receiver.received == [
        Received("/hook?a=%2F", "msg_1", 1_700_000_000, document, is_signed=True)
    ]


@pytest.mark.parametrize(
    ("answer", "made_of_it"),
    [
        (web.Response(status=500), Delivery(False, "status 500")),
        (
            web.Response(status=503, headers={"Retry-After": "7"}),
            Delivery(False, "status 503", retry_after_s=7.0),
        ),
        (
            web.Response(status=429, headers={"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}),
            Delivery(False, "status 429"),
        ),
        (web.Response(status=410), Delivery(False, "status 410", is_final=True)),
        (
            web.Response(status=307, headers={"Location": "/elsewhere"}),
            Delivery(False, "status 307"),
        ),
    ],
)
async def test_what_is_not_taken_is_a_reason_to_try_again(
    receiver: Receiver, answer: web.Response, made_of_it: Delivery
) -> None:
    receiver.answers.append(answer)
    assert await SENDER.send(HOSTS.target(receiver.url), MESSAGE) == made_of_it
    # A redirect is not followed.
    assert len(receiver.received) == 1


async def test_a_long_answer_is_not_read(receiver: Receiver) -> None:
    receiver.answers.append(web.Response(status=200, body=b"x" * (64 << 20)))
    assert await SENDER.send(HOSTS.target(receiver.url), MESSAGE) == Delivery(True, "status 200")


async def test_localhost_over_http_is_this_machine(receiver: Receiver) -> None:
    url = receiver.url.replace("127.0.0.1", "localhost")
    assert (await SENDER.send(HOSTS.target(url), MESSAGE)).is_taken


async def test_a_public_name_that_stands_for_this_machine_is_not_connected_to(
    receiver: Receiver,
) -> None:
    port = int(receiver.url.split(":")[2].removesuffix("/hook"))
    target = WebhookTarget(f"http://localhost:{port}/hook", "localhost", port, "public")
    delivery = await SENDER.send(target, MESSAGE)
    assert (delivery.is_taken, receiver.received) == (False, [])


async def test_a_certificate_that_nobody_vouches_for_is_not_accepted(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        required_in_ci("openssl is not on the PATH")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    words += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    words += ["-keyout", str(key), "-out", str(certificate)]
    made = await asyncio.create_subprocess_exec("openssl", *words, stderr=subprocess.DEVNULL)
    assert await made.wait() == 0
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    async with running_receiver(tls) as receiver:
        delivery = await SENDER.send(HOSTS.target(receiver.url), MESSAGE)
        assert (delivery.reason, receiver.received) == ("ClientConnectorCertificateError", [])


async def test_nobody_there_is_a_reason_to_try_again() -> None:
    delivery = await SENDER.send(HOSTS.target("http://127.0.0.1:1/"), MESSAGE)
    assert (delivery.is_taken, delivery.is_final) == (False, False)


def test_a_message_says_how_the_job_ended_and_nothing_of_its_rows() -> None:
    manifest = JobManifest(
        id="a1",
        model="m@1",
        state=JobState.FAILED,
        created_ms=1,
        finished_ms=1_700_000_000_123,
        error=JobFault("bad_table", "row 4"),
    )
    message = message_of(manifest)
    assert message.webhook_id == "msg_a1_1700000000123"
    assert json.loads(message.body) == {
        "type": "job.failed",
        "timestamp": "2023-11-14T22:13:20.123Z",
        "data": job_view(manifest),
    }
