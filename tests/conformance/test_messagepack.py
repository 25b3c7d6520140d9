"""MessagePack as a stranger writes it: the `msgpack` library and raw little-endian bytes."""

from __future__ import annotations

from typing import Any

import aiohttp
import msgpack
import numpy as np
import pytest

from tests.conformance.served_models import IDENTITY_WIDTH, identity_name
from tests.sample_models import example_tensors, predict, read_example
from tests.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

MEDIA_TYPE = "application/msgpack"

# One row that shows the ends of each datatype, and where a sign or a byte order went wrong.
VALUES: dict[str, Any] = {
    "BOOL": np.array([True, False, True]),
    "UINT8": np.array([0, 1, 255], "u1"),
    "UINT16": np.array([0, 258, 65_535], "<u2"),
    "UINT32": np.array([0, 0x01020304, 2**32 - 1], "<u4"),
    "UINT64": np.array([0, 0x0102030405060708, 2**64 - 1], "<u8"),
    "INT8": np.array([-128, -1, 127], "i1"),
    "INT16": np.array([-32_768, 258, 32_767], "<i2"),
    "INT32": np.array([-(2**31), 0x01020304, 2**31 - 1], "<i4"),
    "INT64": np.array([-(2**63), 0x0102030405060708, 2**63 - 1], "<i8"),
    "FP16": np.array([-65_504.0, 6e-8, 1.5], "<f2"),
    "FP32": np.array([-3.4e38, 1e-45, 0.1], "<f4"),
    "FP64": np.array([-1.7e308, 5e-324, 0.1], "<f8"),
}
TEXTS = ["maize", "", "Ähre 🌾"]


async def exchange(
    http: aiohttp.ClientSession, system: System, model: str, request: Any
) -> tuple[int, str, bytes]:
    """POST a MessagePack body; return status, content type and body of the answer."""
    async with http.post(
        f"{system.url}/v2/models/{model}/infer",
        data=msgpack.packb(request),
        headers={"Content-Type": MEDIA_TYPE},
    ) as response:
        return response.status, response.headers["Content-Type"], await response.read()


async def asked(http: aiohttp.ClientSession, system: System, model: str, request: Any) -> Any:
    """The decoded answer to a request that must be answered."""
    status, media_type, body = await exchange(http, system, model, request)
    assert (status, media_type) == (200, MEDIA_TYPE), body
    return msgpack.unpackb(body)


def of_identity(datatype: str, data: Any, rows: int = 1) -> dict[str, Any]:
    """A request for the identity model of a datatype."""
    shape = [rows, IDENTITY_WIDTH]
    return {"inputs": [{"name": "x", "shape": shape, "datatype": datatype, "data": data}]}


@pytest.mark.parametrize("datatype", VALUES)
async def test_a_datatype_comes_back_bit_by_bit(
    system: System, http: aiohttp.ClientSession, datatype: str
) -> None:
    data = VALUES[datatype].tobytes()
    answer = await asked(http, system, identity_name(datatype), of_identity(datatype, data))
    expected = [{"name": "y", "shape": [1, IDENTITY_WIDTH], "datatype": datatype, "data": data}]
    assert answer["outputs"] == expected


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
async def test_what_json_cannot_say_comes_back_bit_by_bit(
    system: System, http: aiohttp.ClientSession, datatype: str
) -> None:
    values = np.array([np.nan, -np.inf, -0.0], VALUES[datatype].dtype)
    request = of_identity(datatype, values.tobytes())
    answer = await asked(http, system, identity_name(datatype), request)
    assert answer["outputs"][0]["data"] == values.tobytes()


async def test_text_comes_back_as_it_was_sent(system: System, http: aiohttp.ClientSession) -> None:
    answer = await asked(http, system, "identity_bytes", of_identity("BYTES", TEXTS))
    assert answer["outputs"][0]["data"] == TEXTS


async def test_text_may_be_sent_as_binary_strings(
    system: System, http: aiohttp.ClientSession
) -> None:
    encoded = [text.encode() for text in TEXTS]
    answer = await asked(http, system, "identity_bytes", of_identity("BYTES", encoded))
    assert answer["outputs"][0]["data"] == TEXTS


async def test_many_rows_come_back_in_their_order(
    system: System, http: aiohttp.ClientSession
) -> None:
    values = np.arange(1_000 * IDENTITY_WIDTH, dtype="<i4")
    request = of_identity("INT32", values.tobytes(), rows=1_000)
    answer = await asked(http, system, "identity_int32", request)
    assert answer["outputs"][0]["data"] == values.tobytes()


async def test_columns_of_several_datatypes_get_the_models_prediction(
    system: System, http: aiohttp.ClientSession
) -> None:
    arrays = example_tensors("crop_yield")
    inputs = [
        {**tensor, "data": _packed(arrays[tensor["name"]])}
        for tensor in read_example("crop_yield")["inputs"]
    ]
    answer = await asked(http, system, "crop_yield", {"inputs": inputs})
    got = np.frombuffer(answer["outputs"][0]["data"], "<f8")
    np.testing.assert_allclose(got, predict("crop_yield", arrays)["yield"], rtol=1e-6)


async def test_id_parameters_and_wanted_outputs_mean_what_they_mean_in_json(
    system: System, http: aiohttp.ClientSession
) -> None:
    data = np.arange(16, dtype="<i4").tobytes()
    inputs = [
        {"name": name, "shape": [1, 16], "datatype": "INT32", "data": data}
        for name in ("INPUT0", "INPUT1")
    ]
    request = {
        "id": "basket-7",
        "parameters": {"timeout": 20_000_000, "priority": 1},
        "inputs": inputs,
        "outputs": [{"name": "OUTPUT1"}],
    }
    assert await asked(http, system, "simple", request) == {
        "model_name": "simple",
        "model_version": "1",
        "id": "basket-7",
        "outputs": [{"name": "OUTPUT1", "shape": [1, 16], "datatype": "INT32", "data": bytes(64)}],
    }


async def test_a_refusal_is_json(system: System, http: aiohttp.ClientSession) -> None:
    request = of_identity("INT32", b"too short")
    status, media_type, body = await exchange(http, system, "identity_int32", request)
    assert (status, media_type, b'"code":"shape_data_mismatch"' in body) == (
        400,
        "application/json",
        True,
    )


def _packed(array: Any) -> Any:
    return array.tolist() if array.dtype == object else array.tobytes()
