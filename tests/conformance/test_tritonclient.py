"""Triton's own Python client, unchanged, against our server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

from tests.conformance.served_models import SAMPLES
from tests.sample_models import example_tensors, predict, read_example
from tests.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

Client = triton.InferenceServerClient
Asked = TypeVar("Asked")

PLUS = np.arange(16, dtype=np.int32).reshape(1, 16)
MINUS = np.full((1, 16), -1, dtype=np.int32)


async def asked(system: System, ask: Callable[[Client], Asked], **options: Any) -> Asked:
    """What the synchronous client says, in a thread of its own."""

    def run() -> Asked:
        with triton.InferenceServerClient(_address(system), **options) as client:
            return ask(client)

    return await asyncio.to_thread(run)


async def refusal(system: System, ask: Callable[[Client], Any]) -> InferenceServerException:
    """The exception that the client raises."""
    with pytest.raises(InferenceServerException) as raised:
        await asked(system, ask)
    return raised.value


def _address(system: System) -> str:
    return system.url.removeprefix("http://")


def tensors(model: str, *, binary: bool) -> list[triton.InferInput]:
    """The inputs of a sample model's example."""
    arrays = example_tensors(model)
    inputs = []
    for tensor in read_example(model)["inputs"]:
        item = triton.InferInput(tensor["name"], tensor["shape"], tensor["datatype"])
        item.set_data_from_numpy(arrays[tensor["name"]], binary_data=binary)
        inputs.append(item)
    return inputs


def simple_inputs(module: Any = triton, *, binary: tuple[bool, bool] = (False, True)) -> list[Any]:
    """The inputs that Triton's example sends: one as JSON, one as a binary block."""
    inputs = [module.InferInput(name, [1, 16], "INT32") for name in ("INPUT0", "INPUT1")]
    for item, array, is_binary in zip(inputs, (PLUS, MINUS), binary, strict=True):
        item.set_data_from_numpy(array, binary_data=is_binary)
    return inputs


def slow_input() -> list[triton.InferInput]:
    item = triton.InferInput("slow", [1], "BOOL")
    item.set_data_from_numpy(np.array([True]))
    return [item]


def expected_of(model: str) -> dict[str, Any]:
    # fixed_batch is the digits model exported with a batch dimension of 32.
    return predict("digits" if model == "fixed_batch" else model, example_tensors(model))


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("is_server_live", ()),
        ("is_server_ready", ()),
        ("is_model_ready", ("simple",)),
        ("is_model_ready", ("simple", "1")),
    ],
)
async def test_health_is_true(system: System, question: str, words: tuple[str, ...]) -> None:
    assert await asked(system, lambda client: getattr(client, question)(*words))


async def test_an_unknown_model_is_not_ready(system: System) -> None:
    assert not await asked(system, lambda client: client.is_model_ready("nobody"))


async def test_the_server_names_the_binary_extension(system: System) -> None:
    metadata = await asked(system, lambda client: client.get_server_metadata())
    assert "binary_tensor_data" in metadata["extensions"]


async def test_model_metadata_has_the_tensors_of_the_graph(system: System) -> None:
    metadata = await asked(system, lambda client: client.get_model_metadata("simple"))
    assert metadata["inputs"] == [
        {"name": "INPUT0", "datatype": "INT32", "shape": [-1, 16]},
        {"name": "INPUT1", "datatype": "INT32", "shape": [-1, 16]},
    ]


async def test_model_metadata_has_the_platform_and_versions(system: System) -> None:
    metadata = await asked(system, lambda client: client.get_model_metadata("simple", "1"))
    assert (metadata["platform"], metadata["versions"]) == ("onnx_onnxv1", ["1"])


async def test_the_repository_index_lists_every_version_as_ready(system: System) -> None:
    index = await asked(system, lambda client: client.get_model_repository_index())
    samples = [item for item in index if item["name"] in SAMPLES]
    assert samples == [
        {"name": name, "version": "1", "state": "READY", "reason": ""} for name in SAMPLES
    ]


@pytest.mark.parametrize("model", SAMPLES)
@pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])
async def test_a_sample_model_answers_what_it_predicts_by_itself(
    system: System, model: str, binary: bool
) -> None:
    expected = expected_of(model)
    outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in expected]
    inputs = tensors(model, binary=binary)
    result = await asked(system, lambda client: client.infer(model, inputs, outputs=outputs))
    for name, array in expected.items():
        np.testing.assert_allclose(result.as_numpy(name), array, rtol=1e-6)


async def test_text_comes_back_as_it_was_sent(system: System) -> None:
    texts = np.array([["maize", "", "Ähre 🌾"]], dtype=object)
    item = triton.InferInput("x", [1, 3], "BYTES")
    item.set_data_from_numpy(texts)
    result = await asked(system, lambda client: client.infer("identity_bytes", [item]))
    assert [text.decode() for text in result.as_numpy("y")[0]] == texts[0].tolist()


async def test_half_precision_comes_back_as_it_was_sent(system: System) -> None:
    values = np.array([[0.5, -65504.0, 6e-8]], dtype=np.float16)
    item = triton.InferInput("x", [1, 3], "FP16")
    item.set_data_from_numpy(values)
    result = await asked(system, lambda client: client.infer("identity_fp16", [item]))
    assert result.as_numpy("y").tolist() == values.tolist()


async def test_tritons_example_gets_the_sum_and_the_difference(system: System) -> None:
    outputs = [
        triton.InferRequestedOutput("OUTPUT0", binary_data=True),
        triton.InferRequestedOutput("OUTPUT1", binary_data=False),
    ]
    result = await asked(
        system,
        lambda client: client.infer(
            "simple", simple_inputs(), outputs=outputs, query_params={"test_1": 1, "test_2": 2}
        ),
    )
    got = (result.as_numpy("OUTPUT0").tolist(), result.as_numpy("OUTPUT1").tolist())
    assert got == ((PLUS + MINUS).tolist(), (PLUS - MINUS).tolist())


async def test_tritons_example_without_requested_outputs_gets_both_as_binary(
    system: System,
) -> None:
    result = await asked(system, lambda client: client.infer("simple", simple_inputs()))
    sizes = [output["parameters"] for output in result.get_response()["outputs"]]
    assert sizes == [{"binary_data_size": 64}] * 2
    np.testing.assert_array_equal(result.as_numpy("OUTPUT1"), PLUS - MINUS)


async def test_tritons_example_finds_the_message_it_expects_for_an_unknown_model(
    system: System,
) -> None:
    error = await refusal(system, lambda client: client.infer("nobody", simple_inputs()))
    assert error.message().startswith("Request for unknown model")


async def test_only_the_requested_output_comes_back(system: System) -> None:
    outputs = [triton.InferRequestedOutput("OUTPUT1")]
    result = await asked(
        system, lambda client: client.infer("simple", simple_inputs(), outputs=outputs)
    )
    assert [output["name"] for output in result.get_response()["outputs"]] == ["OUTPUT1"]


async def test_the_request_id_comes_back(system: System) -> None:
    result = await asked(
        system, lambda client: client.infer("simple", simple_inputs(), request_id="basket-7")
    )
    assert result.get_response()["id"] == "basket-7"


async def test_an_explicit_version_answers(system: System) -> None:
    result = await asked(
        system, lambda client: client.infer("simple", simple_inputs(), model_version="1")
    )
    assert result.get_response()["model_version"] == "1"


async def test_an_unknown_version_is_not_found(system: System) -> None:
    error = await refusal(
        system, lambda client: client.infer("simple", simple_inputs(), model_version="9")
    )
    assert error.status() == "404"


async def test_a_wrong_shape_is_refused_with_our_words(system: System) -> None:
    item = triton.InferInput("INPUT0", [1, 15], "INT32")
    item.set_data_from_numpy(PLUS[:, :15])
    error = await refusal(system, lambda client: client.infer("simple", [item]))
    expected = "input INPUT0: shape [1, 15], the model takes [-1, 16]: a dimension differs"
    assert (error.status(), error.message()) == ("400", expected)


async def test_a_wrong_datatype_is_refused_with_our_words(system: System) -> None:
    item = triton.InferInput("INPUT0", [1, 16], "FP32")
    item.set_data_from_numpy(PLUS.astype(np.float32))
    error = await refusal(system, lambda client: client.infer("simple", [item]))
    expected = "input INPUT0: datatype 'FP32', the model takes INT32"
    assert (error.status(), error.message()) == ("400", expected)


async def test_a_compressed_request_is_refused_with_our_words(system: System) -> None:
    error = await refusal(
        system,
        lambda client: client.infer(
            "simple", simple_inputs(), request_compression_algorithm="gzip"
        ),
    )
    assert (error.status(), error.message()) == ("415", "compressed bodies are not accepted")


async def test_a_priority_is_accepted(system: System) -> None:
    result = await asked(system, lambda client: client.infer("simple", simple_inputs(), priority=1))
    np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), PLUS + MINUS)


async def test_a_timeout_that_is_long_enough_changes_nothing(system: System) -> None:
    result = await asked(
        system, lambda client: client.infer("slow", slow_input(), timeout=20_000_000)
    )
    assert result.as_numpy("y").tolist() == [True]


async def test_a_timeout_in_microseconds_ends_a_slow_request(system: System) -> None:
    error = await refusal(
        system, lambda client: client.infer("slow", slow_input(), timeout=100_000)
    )
    expected = "the request was not answered before its deadline"
    assert (error.status(), error.message()) == ("504", expected)


async def test_asynchronous_requests_each_get_their_own_answer(system: System) -> None:
    values = range(20)

    def ask(client: Client) -> list[list[int]]:
        waiting = []
        for value in values:
            item = triton.InferInput("x", [1, 3], "INT64")
            item.set_data_from_numpy(np.full((1, 3), value, dtype=np.int64))
            waiting.append(client.async_infer("identity_int64", [item]))
        return [request.get_result().as_numpy("y")[0].tolist() for request in waiting]

    assert await asked(system, ask, concurrency=8) == [[value] * 3 for value in values]


async def test_the_aio_client_gets_the_sum_and_the_difference(system: System) -> None:
    async with triton_aio.InferenceServerClient(_address(system)) as client:
        result = await client.infer("simple", simple_inputs(triton_aio))
    np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), PLUS + MINUS)
    np.testing.assert_array_equal(result.as_numpy("OUTPUT1"), PLUS - MINUS)


async def test_the_aio_client_sends_json_alone(system: System) -> None:
    outputs = [triton_aio.InferRequestedOutput("OUTPUT0", binary_data=False)]
    inputs = simple_inputs(triton_aio, binary=(False, False))
    async with triton_aio.InferenceServerClient(_address(system)) as client:
        result = await client.infer("simple", inputs, outputs=outputs)
    assert result.get_response()["outputs"][0]["data"] == (PLUS + MINUS)[0].tolist()


async def test_the_aio_client_reads_health_metadata_and_index(system: System) -> None:
    async with triton_aio.InferenceServerClient(_address(system)) as client:
        ready = await client.is_server_ready(), await client.is_model_ready("simple")
        metadata = await client.get_model_metadata("simple")
        index = await client.get_model_repository_index()
    assert ready == (True, True)
    assert metadata["name"] in [item["name"] for item in index]


async def test_the_aio_client_raises_our_words(system: System) -> None:
    async with triton_aio.InferenceServerClient(_address(system)) as client:
        with pytest.raises(InferenceServerException) as raised:
            await client.infer("simple", simple_inputs(triton_aio)[:1])
    assert raised.value.message() == "inputs: 'INPUT1' is missing"
