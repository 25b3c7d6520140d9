"""Rows of any length through the whole system: answered as alone and unpadded, sharing batches."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgpack
import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pytest
import pytest_asyncio

from bridge.jobs.score import score
from models.training.synthetic_seasons import held_out_seasons
from tests.padded_graphs import NUMBERS, Padded
from tests.padded_models import UNCHANGED
from tests.sample_models import MODELS, open_session, run_graph
from tests.streaming import StreamClient, tensors_request
from tests.system import System, post, running_system
from tests.tiny_models import PATIENT, RECORDING_PIPELINE, Recording

pytestmark = pytest.mark.asyncio(loop_scope="module")

LENGTHS = (1, 16, 17, 31, 64, 100, 128)
# Of rows whose graph adds up in another order for another number of steps.
ROUNDING = 1e-5
SHARED = Padded(
    NUMBERS.replace(
        '[outputs.y]\ndatatype = "FP64"', '[outputs.y]\ndatatype = "FP64"\nshape = [-1, -1]'
    ),
    pipeline=RECORDING_PIPELINE,
)

Array = npt.NDArray[Any]


SEASONS = held_out_seasons().weather.astype(np.float32)
GRAPH = open_session("soil_water")


def weather(length: int, row: int = 0) -> Array:
    """A season so far, [1, length, 2]."""
    return SEASONS[row : row + 1, :length]


def alone(days: Array) -> dict[str, Array]:
    """The graph's own answer to rows of one length, unpadded and without the system."""
    lengths = np.full(len(days), days.shape[1], np.int32)
    return run_graph(GRAPH, {"weather": days, "days": lengths})


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    shutil.copytree(MODELS / "soil_water", root / "soil_water")
    contract = root / "soil_water" / "1" / "contract.toml"
    contract.write_text(
        contract.read_text().replace("[serving]\nlatency_target_ms = 100\n", PATIENT)
    )
    UNCHANGED["attention with a mask"].write(root, "attention", PATIENT)
    UNCHANGED["words that are counted"].write(root, "words", PATIENT)
    SHARED.write(root, "shared", PATIENT)
    return root


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(models: Path) -> AsyncIterator[System]:
    """Padding is the gateway's affair and the jobs': the queue's kind does not matter."""
    async with running_system(models) as running:
        yield running


async def json_outputs(
    system: System, http: aiohttp.ClientSession, model: str, array: Array, datatype: str
) -> dict[str, Array]:
    given = {"name": "weather" if model == "soil_water" else "x", "datatype": datatype}
    body = {"inputs": [{**given, "shape": array.shape, "data": array.tolist()}]}
    status, answer, _ = await post(http, f"{system.url}/v2/models/{model}/infer", body)
    assert status == 200, answer
    return {
        item["name"]: np.array(item["data"]).reshape(item["shape"]) for item in answer["outputs"]
    }


def assert_same(answered: dict[str, Array], expected: dict[str, Array]) -> None:
    for name, values in expected.items():
        np.testing.assert_array_equal(answered[name].astype(np.float32), values, err_msg=name)


@pytest.mark.parametrize("length", LENGTHS)
async def test_json_rows_are_answered_bit_for_bit_as_unpadded(
    served: System, http: aiohttp.ClientSession, length: int
) -> None:
    days = weather(length)
    assert_same(await json_outputs(served, http, "soil_water", days, "FP32"), alone(days))


@pytest.mark.parametrize("length", LENGTHS)
async def test_binary_rows_are_too(
    served: System, http: aiohttp.ClientSession, length: int
) -> None:
    days = weather(length)
    tensor = {
        "name": "weather",
        "shape": days.shape,
        "datatype": "FP32",
        "parameters": {"binary_data_size": days.nbytes},
    }
    head = orjson.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}})
    async with http.post(
        f"{served.url}/v2/models/soil_water/infer",
        data=head + days.tobytes(),
        headers={"Inference-Header-Content-Length": str(len(head))},
    ) as response:
        body = await response.read()
        size = int(response.headers["Inference-Header-Content-Length"])
    values = np.frombuffer(body[size:], "<f4")
    expected = alone(days)
    np.testing.assert_array_equal(
        values, np.concatenate([array.ravel() for array in expected.values()])
    )


async def test_rows_of_all_lengths_in_one_message_of_a_stream_are_too(
    served: System, http: aiohttp.ClientSession
) -> None:
    asked = {f"{row}": weather(length, row) for row, length in enumerate(LENGTHS * 10)}
    requests = [tensors_request(name, {"weather": days}) for name, days in asked.items()]
    async with StreamClient.open(http, served.url, "soil_water") as stream:
        answers = await stream.ask(*requests)
    for answer in answers:
        got = {
            item["name"]: np.frombuffer(item["data"], "<f4").reshape(item["shape"])
            for item in answer["outputs"]
        }
        assert_same(got, alone(asked[answer["id"]]))


async def test_messagepack_rows_of_several_in_one_request_are_too(
    served: System, http: aiohttp.ClientSession
) -> None:
    days = SEASONS[:9, :21]
    body = msgpack.packb(tensors_request("several", {"weather": days}))
    async with http.post(
        f"{served.url}/v2/models/soil_water/infer",
        data=body,
        headers={"Content-Type": "application/msgpack"},
    ) as response:
        answer = msgpack.unpackb(await response.read())
    got = {
        item["name"]: np.frombuffer(item["data"], "<f4").reshape(item["shape"])
        for item in answer["outputs"]
    }
    assert_same(got, alone(days))


async def test_rows_of_a_job_are_answered_as_unpadded_with_their_own_lengths(
    served: System,
) -> None:
    lengths = np.random.default_rng(4).integers(1, 129, 200).tolist()
    rows = [weather(length, row)[0] for row, length in enumerate(lengths)]
    kind = pa.list_(pa.list_(pa.float32()))
    table = pa.table({"weather": pa.array([row.tolist() for row in rows], kind)})
    found = await asyncio.to_thread(
        lambda: list(score(table, "soil_water", redis_url=served.queue_url))
    )
    answered = [row for chunk in found for row in chunk.batch.to_pylist()]
    assert [row["row"] for row in answered] == list(range(200))
    for row, days in zip(answered, rows, strict=True):
        expected = alone(days[None])
        np.testing.assert_allclose(
            np.float32(row["depletion_mm"]), expected["depletion_mm"][0], rtol=ROUNDING
        )
        np.testing.assert_allclose(
            np.float32(row["depletion_today_mm"]), expected["depletion_today_mm"][0], rtol=ROUNDING
        )


async def test_attention_heeds_the_mask_that_the_system_fills_in(
    served: System, http: aiohttp.ClientSession
) -> None:
    values = np.random.default_rng(6).normal(size=(1, 7, 4)).astype(np.float32)
    scores = values @ values.swapaxes(1, 2)
    shares = np.exp(scores - scores.max(axis=2, keepdims=True))
    expected = (shares / shares.sum(axis=2, keepdims=True)) @ values
    answered = (await json_outputs(served, http, "attention", values, "FP32"))["y"]
    np.testing.assert_allclose(answered, expected, rtol=1e-4)


async def test_texts_are_padded_with_text(served: System, http: aiohttp.ClientSession) -> None:
    words = np.array([["maize", "wheat", "soya"], ["a", "", "b"]], dtype=object)
    answered = await json_outputs(served, http, "words", words, "BYTES")
    assert answered["y"].tolist() == [14, 2]


async def test_rows_of_different_lengths_share_a_batch(
    served: System, http: aiohttp.ClientSession, models: Path
) -> None:
    recording = Recording(models / "shared" / "1")
    recording.forget()
    requests = [
        tensors_request(str(length), {"x": np.full((1, length), float(length % 5))})
        for length in (5, 6, 7, 8)
    ]
    async with StreamClient.open(http, served.url, "shared") as stream:
        answers = await stream.ask(*requests)
    assert [answer["outputs"][0]["shape"] for answer in answers] == [[1, n] for n in (5, 6, 7, 8)]
    assert [batch["shape"] for batch in recording.batches()] == [[4, 8]]


async def test_longer_than_the_last_bucket_is_400_by_name(
    served: System, http: aiohttp.ClientSession
) -> None:
    days = np.zeros((1, 129, 2))
    tensor = {"name": "weather", "shape": days.shape, "datatype": "FP32", "data": days.tolist()}
    url = f"{served.url}/v2/models/soil_water/infer"
    status, answer, _ = await post(http, url, {"inputs": [tensor]})
    assert (status, answer["code"], answer["error"]) == (
        400,
        "too_long",
        "input weather: rows of length 129, at most 128 is accepted",
    )


async def test_metadata_shows_what_callers_send(
    served: System, http: aiohttp.ClientSession
) -> None:
    async with http.get(f"{served.url}/v2/models/soil_water") as response:
        metadata = await response.json()
    assert [(item["name"], item["shape"]) for item in metadata["inputs"]] == [
        ("weather", [-1, -1, 2])
    ]
    assert metadata["parameters"]["padded_to"] == [16, 32, 64, 128]


async def test_the_share_of_padding_is_counted(served: System, http: aiohttp.ClientSession) -> None:
    before = await steps(served, http)
    await json_outputs(served, http, "soil_water", weather(10), "FP32")
    after = await steps(served, http)
    assert [after[name] - before[name] for name in after] == [16.0, 6.0]


async def steps(system: System, http: aiohttp.ClientSession) -> dict[str, float]:
    async with http.get(f"{system.url}/metrics") as response:
        lines = (await response.text()).splitlines()
    found = {}
    for name in ("batchbridge_steps_total", "batchbridge_padding_steps_total"):
        start = f'{name}{{model="soil_water"}} '
        found[name] = sum(
            float(line.removeprefix(start)) for line in lines if line.startswith(start)
        )
    return found
