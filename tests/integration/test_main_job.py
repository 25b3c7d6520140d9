"""The main job: single HTTP requests, answered by batch workers through a real queue."""

from __future__ import annotations

import json
import re
import struct
from typing import Any

import aiohttp
import msgspec
import numpy as np
import pytest

from bridge.contract.datatype import DATATYPES
from tests.sample_models import example_tensors, predict, read_contract, read_example
from tests.system import System, post

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODELS = ["breast_cancer", "digits", "crop_yield", "evapotranspiration", "fixed_batch"]
# Its graph takes an input that callers do not send: test_padded_rows.py has it.
SERVED = sorted([*MODELS, "soil_water"])
LENGTH_HEADER = "Inference-Header-Content-Length"
BINARY = "application/octet-stream"
MESSAGEPACK = "application/msgpack"
ROWS_MAX = 65_536


def raw_bytes(tensor: dict[str, Any]) -> bytes:
    """The tensor's data as the binary extension carries it."""
    if tensor["datatype"] == "BYTES":
        texts = [text.encode() for text in tensor["data"]]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return np.array(tensor["data"], DATATYPES[tensor["datatype"]].dtype).tobytes()


def binary_body(example: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
    """The example as a binary request that asks for binary outputs, with its headers."""
    blocks = [raw_bytes(tensor) for tensor in example["inputs"]]
    inputs = [
        {
            **{key: tensor[key] for key in ("name", "shape", "datatype")},
            "parameters": {"binary_data_size": len(block)},
        }
        for tensor, block in zip(example["inputs"], blocks, strict=True)
    ]
    header = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    return b"".join((header, *blocks)), {"Content-Type": BINARY, LENGTH_HEADER: str(len(header))}


def binary_answer(answer: bytes, header_bytes: int) -> dict[str, bytes]:
    """The raw bytes of each output."""
    outputs = json.loads(answer[:header_bytes])["outputs"]
    blocks: dict[str, bytes] = {}
    offset = header_bytes
    for output in outputs:
        end = offset + output["parameters"]["binary_data_size"]
        blocks[output["name"]] = answer[offset:end]
        offset = end
    return blocks


def messagepack_body(example: dict[str, Any]) -> bytes:
    inputs = [
        {
            **tensor,
            "data": tensor["data"] if tensor["datatype"] == "BYTES" else raw_bytes(tensor),
        }
        for tensor in example["inputs"]
    ]
    return msgspec.msgpack.encode({"inputs": inputs})


async def json_answer(system: System, http: aiohttp.ClientSession, model: str) -> dict[str, bytes]:
    """The example's answer over JSON, each output as raw bytes in its datatype."""
    url = f"{system.url}/v2/models/{model}/infer"
    status, answer, _ = await post(http, url, read_example(model))
    assert status == 200, answer
    return {output["name"]: raw_bytes(output) for output in answer["outputs"]}


@pytest.mark.parametrize("model", MODELS)
async def test_a_single_request_gets_what_the_model_itself_predicts(
    system: System, http: aiohttp.ClientSession, model: str
) -> None:
    status, answer, _ = await post(
        http, f"{system.url}/v2/models/{model}/infer", read_example(model)
    )
    assert status == 200, answer
    # fixed_batch is the digits model exported with a batch dimension of 32.
    expected = predict("digits" if model == "fixed_batch" else model, example_tensors(model))
    for output in answer["outputs"]:
        got = np.array(output["data"]).reshape(output["shape"])
        np.testing.assert_allclose(got, expected[output["name"]], rtol=1e-6)


@pytest.mark.parametrize("model", MODELS)
async def test_binary_tensors_carry_the_same_bits_as_json(
    system: System, http: aiohttp.ClientSession, model: str
) -> None:
    body, headers = binary_body(read_example(model))
    url = f"{system.url}/v2/models/{model}/infer"
    async with http.post(url, data=body, headers=headers) as response:
        answer = binary_answer(await response.read(), int(response.headers[LENGTH_HEADER]))
    assert answer == await json_answer(system, http, model)


@pytest.mark.parametrize("model", MODELS)
async def test_messagepack_carries_the_same_bits_as_json(
    system: System, http: aiohttp.ClientSession, model: str
) -> None:
    body = messagepack_body(read_example(model))
    url = f"{system.url}/v2/models/{model}/infer"
    async with http.post(url, data=body, headers={"Content-Type": MESSAGEPACK}) as response:
        outputs = msgspec.msgpack.decode(await response.read())["outputs"]
    assert {output["name"]: output["data"] for output in outputs} == await json_answer(
        system, http, model
    )


async def test_many_rows_in_one_request_get_an_answer_each(
    system: System, http: aiohttp.ClientSession
) -> None:
    rng = np.random.default_rng(7)
    pixels = rng.integers(0, 17, (100, 8, 8)).astype(np.float32)
    tensor = {
        "name": "pixels",
        "shape": [100, 8, 8],
        "datatype": "FP32",
        "data": pixels.ravel().tolist(),
    }
    url = f"{system.url}/v2/models/digits/infer"
    status, answer, _ = await post(http, url, {"inputs": [tensor]})
    assert status == 200, answer
    outputs = {output["name"]: output["data"] for output in answer["outputs"]}
    assert outputs["label"] == predict("digits", {"pixels": pixels})["label"].ravel().tolist()


async def test_only_the_outputs_asked_for_come_back(
    system: System, http: aiohttp.ClientSession
) -> None:
    body = {**read_example("digits"), "outputs": [{"name": "label"}]}
    _, answer, _ = await post(http, f"{system.url}/v2/models/digits/infer", body)
    assert [output["name"] for output in answer["outputs"]] == ["label"]


async def test_the_callers_own_id_comes_back(system: System, http: aiohttp.ClientSession) -> None:
    body = {**read_example("digits"), "id": "field 12/A"}
    _, answer, _ = await post(http, f"{system.url}/v2/models/digits/infer", body)
    assert answer["id"] == "field 12/A"


async def test_the_callers_request_id_comes_back(
    system: System, http: aiohttp.ClientSession
) -> None:
    url = f"{system.url}/v2/models/digits/infer"
    headers = {"X-Request-Id": "caller-17.a"}
    _, _, answered = await post(http, url, read_example("digits"), headers=headers)
    assert answered["X-Request-Id"] == "caller-17.a"


async def test_a_request_without_an_id_gets_one(
    system: System, http: aiohttp.ClientSession
) -> None:
    _, _, headers = await post(http, f"{system.url}/v2/models/digits/infer", read_example("digits"))
    assert re.fullmatch(r"[0-9a-f]{16}", headers["X-Request-Id"])


async def test_a_request_id_that_would_forge_a_log_line_is_replaced(
    system: System, http: aiohttp.ClientSession
) -> None:
    url = f"{system.url}/v2/models/digits/infer"
    headers = {"X-Request-Id": 'x" onload="'}
    _, _, answered = await post(http, url, read_example("digits"), headers=headers)
    assert re.fullmatch(r"[0-9a-f]{16}", answered["X-Request-Id"])


async def test_an_answer_says_where_its_time_went(
    system: System, http: aiohttp.ClientSession
) -> None:
    _, _, headers = await post(http, f"{system.url}/v2/models/digits/infer", read_example("digits"))
    metrics = [part.partition(";dur=") for part in headers["Server-Timing"].split(", ")]
    durations_ms = {name: float(duration) for name, _, duration in metrics}
    assert set(durations_ms) == {"queue", "batch", "run"}
    assert durations_ms["run"] > 0


async def test_a_request_with_more_rows_than_the_limit_is_refused(
    system: System, http: aiohttp.ClientSession
) -> None:
    # By the shape it announces: no data is needed to know.
    tensors = [
        {
            "name": name,
            "shape": [ROWS_MAX + 1],
            "datatype": section["datatype"],
            "parameters": {"binary_data_size": 0},
        }
        for name, section in read_contract("evapotranspiration")["inputs"].items()
    ]
    header = json.dumps({"inputs": tensors}).encode()
    url = f"{system.url}/v2/models/evapotranspiration/infer"
    headers = {"Content-Type": BINARY, LENGTH_HEADER: str(len(header))}
    async with http.post(url, data=header, headers=headers) as response:
        answer = await response.json()
    assert (response.status, answer["code"]) == (413, "too_many_rows")


async def test_metadata_names_every_tensor_of_the_graph(
    system: System, http: aiohttp.ClientSession
) -> None:
    async with http.get(f"{system.url}/v2/models/digits") as response:
        metadata = await response.json()
    assert [
        (tensor["name"], tensor["datatype"], tensor["shape"]) for tensor in metadata["inputs"]
    ] == [("pixels", "FP32", [-1, 8, 8])]


async def test_every_sample_model_is_listed_as_ready(
    system: System, http: aiohttp.ClientSession
) -> None:
    _, index, _ = await post(http, f"{system.url}/v2/repository/index", {})
    assert sorted((entry["name"], entry["state"]) for entry in index) == [
        (model, "READY") for model in SERVED
    ]
