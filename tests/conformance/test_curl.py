"""curl as a person types it: from the README, from what `batchbridge serve` prints, from files."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

from bridge.gateway.inference import BODY_BYTES_MAX
from tests.conformance.served_models import SAMPLES
from tests.conftest import required_in_ci
from tests.sample_models import ROOT, example_tensors, predict, read_example, version_folder
from tests.system import END_S_MAX, START_S_MAX, System

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = ("-H", "Content-Type: application/json")
# From this size on every curl asks `Expect: 100-continue` before it sends a body.
ASKING_BYTES_MIN = 2**20


@dataclass(frozen=True)
class Answer:
    """What curl wrote: the body, and with `-v` the headers of both sides."""

    body: bytes
    talk: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def curl(*words: str) -> Answer:
    """Run curl; it must not fail."""
    if shutil.which("curl") is None:
        required_in_ci("curl is not on the PATH")
    child = await asyncio.create_subprocess_exec(
        *("curl", "--no-progress-meter", "--noproxy", "*", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    body, talk = await child.communicate()
    assert child.returncode == 0, talk.decode()
    return Answer(body, talk.decode())


def infer_url(system: System, model: str) -> str:
    return f"{system.url}/v2/models/{model}/infer"


def large_request(rows: int) -> dict[str, Any]:
    """Random FP64 numbers, some 20 bytes of JSON each, for identity_fp64."""
    data = np.random.default_rng(1).random(rows * 3).tolist()
    return {"inputs": [{"name": "x", "shape": [rows, 3], "datatype": "FP64", "data": data}]}


@asynccontextmanager
async def serving(port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """`batchbridge serve` over the sample models, ended with the block."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bridge.cli", "serve", "--models", "models", "--port", str(port)),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(END_S_MAX):
            await child.communicate()


async def printed_curl_line(child: asyncio.subprocess.Process) -> str:
    assert child.stdout is not None
    async with asyncio.timeout(START_S_MAX):
        async for line in child.stdout:
            if line.startswith(b"curl "):
                return line.decode()
    raise AssertionError("serve printed no curl line")


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


async def test_the_line_that_serve_prints_gets_a_prediction() -> None:
    async with serving(free_port()) as child:
        line = await printed_curl_line(child)
        shell = await asyncio.create_subprocess_shell(
            line, stdout=asyncio.subprocess.PIPE, cwd=ROOT
        )
        body, _ = await shell.communicate()
    outputs = {output["name"]: output["data"] for output in json.loads(body)["outputs"]}
    expected = predict("breast_cancer", example_tensors("breast_cancer"))
    for name, array in expected.items():
        np.testing.assert_allclose(outputs[name], array.ravel(), rtol=1e-6)


async def test_serve_ends_with_status_0_after_sigterm() -> None:
    async with serving(free_port()) as child:
        await printed_curl_line(child)
    assert child.returncode == 0


async def test_named_rows_are_typed_in_a_line(system: System) -> None:
    row = {one["name"]: one["data"][0] for one in read_example("crop_yield")["inputs"]}
    url = f"{system.url}/v1/models/crop_yield/predict"
    answer = await curl(*JSON, "-d", json.dumps({"rows": [row]}), url)
    expected = predict("crop_yield", example_tensors("crop_yield"))
    np.testing.assert_allclose(answer.json["rows"][0]["yield"], expected["yield"][0], rtol=1e-6)


@pytest.mark.parametrize("model", SAMPLES)
async def test_an_example_file_gets_a_prediction(system: System, model: str) -> None:
    example = version_folder(model) / "example.json"
    answer = await curl(*JSON, "-d", f"@{example}", infer_url(system, model))
    # fixed_batch is the digits model exported with a batch dimension of 32.
    expected = predict("digits" if model == "fixed_batch" else model, example_tensors(model))
    for output in answer.json["outputs"]:
        np.testing.assert_allclose(output["data"], expected[output["name"]].ravel(), rtol=1e-6)


async def test_without_a_content_type_it_says_what_to_send(system: System) -> None:
    answer = await curl("-d", json.dumps(read_example("digits")), infer_url(system, "digits"))
    assert (answer.json["code"], answer.json["error"].split(";")[0]) == (
        "media_type",
        "Content-Type: 'application/x-www-form-urlencoded' is not accepted",
    )


async def test_a_messagepack_file_gets_a_messagepack_prediction(
    system: System, tmp_path: Path
) -> None:
    pixels = example_tensors("digits")["pixels"]
    tensor = {
        "name": "pixels",
        "shape": list(pixels.shape),
        "datatype": "FP32",
        "data": pixels.astype("<f4").tobytes(),
    }
    body = tmp_path / "request.msgpack"
    body.write_bytes(msgpack.packb({"inputs": [tensor]}))
    answer = await curl(
        *("-H", "Content-Type: application/msgpack", "--data-binary", f"@{body}"),
        infer_url(system, "digits"),
    )
    outputs = {item["name"]: item for item in msgpack.unpackb(answer.body)["outputs"]}
    label = np.frombuffer(outputs["label"]["data"], "<i8")
    assert label.tolist() == predict("digits", {"pixels": pixels})["label"].tolist()


async def test_a_large_body_is_asked_for_and_answered(system: System, tmp_path: Path) -> None:
    request = large_request(20_000)
    body = tmp_path / "request.json"
    body.write_text(json.dumps(request))
    assert body.stat().st_size > ASKING_BYTES_MIN
    answer = await curl(
        *("-v", *JSON, "-H", "X-Request-Timeout-Ms: 20000"),
        *("--data-binary", f"@{body}", infer_url(system, "identity_fp64")),
    )
    assert "> Expect: 100-continue" in answer.talk
    assert "< HTTP/1.1 100 Continue" in answer.talk
    assert answer.json["outputs"][0]["data"] == request["inputs"][0]["data"]


async def test_a_body_that_is_too_large_is_refused_before_it_is_sent(
    system: System, tmp_path: Path
) -> None:
    body = tmp_path / "request.json"
    body.write_bytes(b" " * (BODY_BYTES_MAX + 1))
    answer = await curl(
        *("-v", *JSON),
        *("--data-binary", f"@{body}", infer_url(system, "identity_fp64")),
    )
    assert "100 Continue" not in answer.talk
    assert "< HTTP/1.1 413" in answer.talk
    assert answer.json["code"] == "too_large"


async def test_an_announced_encoding_is_refused_before_the_body_is_sent(
    system: System, tmp_path: Path
) -> None:
    body = tmp_path / "request.json"
    body.write_bytes(b" " * (2 * ASKING_BYTES_MIN))
    answer = await curl(
        *("-v", *JSON, "-H", "Content-Encoding: gzip"),
        *("--data-binary", f"@{body}", infer_url(system, "identity_fp64")),
    )
    assert "100 Continue" not in answer.talk
    assert answer.json["code"] == "encoding"


@pytest.mark.parametrize(("method", "path"), [("GET", "/v2"), ("POST", "/v2/models/digits/infer")])
async def test_another_expectation_is_refused_by_name(
    system: System, method: str, path: str
) -> None:
    answer = await curl("-X", method, "-H", "Expect: a-miracle", f"{system.url}{path}")
    assert answer.json["code"] == "expectation_failed"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/digits/ready", {"name": "digits", "ready": True}),
    ],
)
async def test_health_is_one_short_json(system: System, path: str, expected: Any) -> None:
    assert (await curl(f"{system.url}{path}")).json == expected


async def test_metrics_are_readable_text(system: System) -> None:
    answer = await curl("-v", f"{system.url}/metrics")
    assert "< Content-Type: text/plain" in answer.talk
    assert answer.body.startswith(b"# HELP ")
