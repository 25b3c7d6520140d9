"""Run by .venv-kserve's Python: asks a server with KServe's REST client, prints the answers.

`python kserve_client.py URL` prints one JSON object: for each question below its value, or
`{"error": text}` where the client raised. It imports nothing of ours: it is a stranger.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

Ask = Callable[[InferenceRESTClient, str], Awaitable[Any]]

PLUS = np.arange(16, dtype=np.int32).reshape(1, 16)
MINUS = np.full((1, 16), -1, dtype=np.int32)


async def server_live(client: InferenceRESTClient, url: str) -> Any:
    return await client.is_server_live(url)


async def server_ready(client: InferenceRESTClient, url: str) -> Any:
    return await client.is_server_ready(url)


async def model_ready(client: InferenceRESTClient, url: str) -> Any:
    return await client.is_model_ready(url, "simple")


async def unknown_model_ready(client: InferenceRESTClient, url: str) -> Any:
    return await client.is_model_ready(url, "nobody")


async def infer_json(client: InferenceRESTClient, url: str) -> Any:
    return _shown(await client.infer(url, _simple(binary=False), model_name="simple"))


async def infer_plain_document(client: InferenceRESTClient, url: str) -> Any:
    item = {"name": "x", "shape": [1, 3], "datatype": "FP64", "data": [[0.5, -2, 1e300]]}
    answer = await client.infer(url, {"inputs": [item]}, model_name="identity_fp64")
    return _shown(answer)


async def infer_binary(client: InferenceRESTClient, url: str) -> Any:
    return _shown(await client.infer(url, _simple(binary=True), model_name="simple"))


async def infer_binary_both_ways(client: InferenceRESTClient, url: str) -> Any:
    request = _simple(binary=True, parameters={"binary_data_output": True})
    return _shown(await client.infer(url, request, model_name="simple"))


async def infer_one_output(client: InferenceRESTClient, url: str) -> Any:
    wanted = [RequestedOutput("OUTPUT1", {"binary_data": False})]
    request = _simple(binary=True, request_outputs=wanted)
    return _shown(await client.infer(url, request, model_name="simple"))


async def infer_text(client: InferenceRESTClient, url: str) -> Any:
    item = InferInput("x", [1, 3], "BYTES")
    item.set_data_from_numpy(np.array([["maize", "", "Ähre"]], dtype=object), binary_data=True)
    request = InferRequest("identity_bytes", [item])
    return _shown(await client.infer(url, request, model_name="identity_bytes"))


async def infer_half_precision(client: InferenceRESTClient, url: str) -> Any:
    item = InferInput("x", [1, 3], "FP16")
    item.set_data_from_numpy(np.array([[0.5, -2, 65504]], dtype=np.float16), binary_data=True)
    request = InferRequest("identity_fp16", [item], parameters={"binary_data_output": True})
    return _shown(await client.infer(url, request, model_name="identity_fp16"))


async def infer_wrong_datatype(client: InferenceRESTClient, url: str) -> Any:
    item = InferInput("INPUT0", [1, 16], "INT64")
    item.set_data_from_numpy(PLUS.astype(np.int64), binary_data=False)
    return await client.infer(url, InferRequest("simple", [item]), model_name="simple")


async def infer_unknown_model(client: InferenceRESTClient, url: str) -> Any:
    return await client.infer(url, _simple(binary=False), model_name="nobody")


QUESTIONS: tuple[Ask, ...] = (
    server_live,
    server_ready,
    model_ready,
    unknown_model_ready,
    infer_json,
    infer_plain_document,
    infer_binary,
    infer_binary_both_ways,
    infer_one_output,
    infer_text,
    infer_half_precision,
    infer_wrong_datatype,
    infer_unknown_model,
)


def _simple(*, binary: bool, **options: Any) -> InferRequest:
    inputs = []
    for name, array in (("INPUT0", PLUS), ("INPUT1", MINUS)):
        item = InferInput(name, [1, 16], "INT32")
        item.set_data_from_numpy(array, binary_data=binary)
        inputs.append(item)
    return InferRequest("simple", inputs, request_id="basket-7", **options)


def _shown(answer: Any) -> dict[str, Any]:
    outputs = {output.name: output.as_numpy().tolist() for output in answer.outputs}
    return {"id": answer.id, "model": answer.model_name, "outputs": outputs}


async def _answers(url: str) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    async with InferenceRESTClient(RESTConfig(protocol="v2", timeout=20)) as client:
        for ask in QUESTIONS:
            try:
                answers[ask.__name__] = await ask(client, url)
            except httpx.HTTPStatusError as error:
                answers[ask.__name__] = {"error": str(error)}
    return answers


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_answers(sys.argv[1]))))
