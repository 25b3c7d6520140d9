"""The document at /openapi.json: valid, complete, and its examples work."""

from __future__ import annotations

import re
from typing import Any

import aiohttp
import jsonschema_rs
import pytest
import pytest_asyncio
import schemathesis

from bridge.contract.datatype import DATATYPES
from bridge.contract.invalid import InvalidCode
from bridge.contract.model import ModelContract, TensorSpec
from bridge.gateway.dialects.call import PRIORITY_MAX, TIMEOUT_PLAUSIBLE_MAX_S, InputLimits
from bridge.gateway.dialects.named import BRACKETS_MAX, VALUES_MAX
from bridge.gateway.dialects.priority import PRIORITY_NAMES
from bridge.gateway.gateway import Gateway
from bridge.gateway.http import Routes, listed_routes
from bridge.gateway.inference import BODY_BYTES_MAX, BODY_S_MAX
from bridge.gateway.metrics import GatewayMetrics
from bridge.gateway.openapi import (
    EXAMPLE_VALUES_MAX,
    EXAMPLES_MAX,
    codes_of_status,
    openapi_document,
)
from bridge.gateway.problem import ProblemCode
from bridge.gateway.reply import ERROR_BYTES_MAX
from tests.conformance.served_models import SAMPLES
from tests.system import System, post

pytestmark = pytest.mark.asyncio(loop_scope="module")

METHODS = ("get", "post", "put", "patch", "delete", "head", "options", "trace")
STATUSES = ["200", "202", "400", "404", "405", "408", "409", "413", "415", "417", "422", "429"]
STATUSES += ["500", "503", "504", "507"]
REFERENCE = re.compile(r"^#/components/(\w+)/([\w.]+)$")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def document(system: System, http: aiohttp.ClientSession) -> dict[str, Any]:
    """What the server says."""
    async with http.get(f"{system.url}/openapi.json") as response:
        assert response.status == 200
        served: dict[str, Any] = await response.json()
        return served


def contract(name: str, *inputs: TensorSpec, outputs: str = "FP32") -> ModelContract:
    return ModelContract(
        name=name,
        version="1",
        platform="onnx_onnxv1",
        inputs=inputs,
        outputs=(TensorSpec(name="y", datatype=outputs, shape=(-1,)),),
    )


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Every operation by method and path."""
    return {
        (method.upper(), path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


def references(value: Any) -> set[str]:
    """Every `$ref` anywhere below."""
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(references, value.values()))
    if isinstance(value, list):
        return set().union(*map(references, value))
    return set()


def examples_of(document: dict[str, Any]) -> dict[str, Any]:
    """The example request bodies by model."""
    body = document["components"]["requestBodies"]["Inference"]["content"]["application/json"]
    return {name: example["value"] for name, example in body["examples"].items()}


def schema_of(document: dict[str, Any], name: str) -> jsonschema_rs.Validator:
    """One of the document's schemas, able to follow its references."""
    schema = {**document, "$ref": f"#/components/schemas/{name}"}
    return jsonschema_rs.Draft202012Validator(schema)


async def test_it_is_a_valid_openapi_document(document: dict[str, Any]) -> None:
    schemathesis.openapi.from_dict(document).validate()


async def test_without_any_model_it_is_a_valid_openapi_document() -> None:
    schemathesis.openapi.from_dict(openapi_document()).validate()


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    known = {
        f"#/components/{kind}/{name}"
        for kind, items in document["components"].items()
        for name in items
    }
    assert references(document) - known == set()


async def test_every_component_is_used(document: dict[str, Any]) -> None:
    used = {REFERENCE.sub(r"\1/\2", reference) for reference in references(document)}
    # Schemas that stand in responses of their own are found from the paths, too.
    unused = {
        f"{kind}/{name}"
        for kind, items in document["components"].items()
        for name in items
        if f"{kind}/{name}" not in used
    }
    assert unused == set()


async def test_every_schema_is_a_valid_json_schema(document: dict[str, Any]) -> None:
    for schema in document["components"]["schemas"].values():
        assert jsonschema_rs.meta.is_valid(schema), schema


async def test_it_lists_exactly_the_routes_of_the_application(document: dict[str, Any]) -> None:
    # HEAD is what aiohttp adds to each GET; the document says so once, in its description.
    routes = {route for route in _application_routes() if route[0] != "HEAD"}
    assert set(operations(document)) == routes


async def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for operation in operations(document).values()]
    assert len(ids) == len(set(ids))


async def test_inference_names_every_status_that_can_occur(document: dict[str, Any]) -> None:
    operation = document["paths"]["/v2/models/{model}/infer"]["post"]
    assert sorted(operation["responses"]) == STATUSES


async def test_every_error_code_belongs_to_a_status_of_the_document() -> None:
    codes = {code for listed in codes_of_status().values() for code in listed}
    assert codes == {code.value for code in (*ProblemCode, *InvalidCode)}


async def test_refusals_that_say_when_to_come_back_name_both_headers(
    document: dict[str, Any],
) -> None:
    responses = document["components"]["responses"]
    headers = {status for status in responses if "Retry-After" in responses[status]["headers"]}
    assert headers == {"409", "429", "503", "507"}


async def test_every_error_example_is_an_error_body(document: dict[str, Any]) -> None:
    responses = document["components"]["responses"]
    for status in codes_of_status():
        content = responses[status]["content"]["application/json"]
        validator = jsonschema_rs.Draft202012Validator({**document, **content["schema"]})
        assert validator.is_valid(content["example"]), content["example"]


async def test_its_datatypes_are_those_of_the_contract(document: dict[str, Any]) -> None:
    assert document["components"]["schemas"]["Datatype"]["enum"] == list(DATATYPES)


async def test_its_limits_are_those_of_the_code(document: dict[str, Any]) -> None:
    components = document["components"]
    body = components["requestBodies"]["Inference"]["description"]
    parameters = components["schemas"]["RequestParameters"]
    _, priority_number = components["schemas"]["Priority"]["anyOf"]
    limits = InputLimits()
    said = {
        "body": body,
        "too large": components["responses"]["413"]["content"]["application/json"]["example"][
            "error"
        ],
        "rows": components["schemas"]["RequestShape"]["description"],
        "dimension": components["schemas"]["RequestShape"]["items"]["maximum"],
        "id": components["schemas"]["InferenceRequest"]["properties"]["id"]["maxLength"],
        "error": components["schemas"]["Error"]["properties"]["error"]["maxLength"],
        "parameters": parameters["maxProperties"],
        "priority": priority_number["maximum"],
        "timeout_us": parameters["properties"]["timeout"]["maximum"],
        "timeout_ms": components["parameters"]["Timeout"]["schema"]["maximum"],
    }
    assert said == {
        "body": f"At most {BODY_BYTES_MAX >> 20} MiB, of which at most "
        f"{InputLimits().json_bytes_max >> 20} MiB JSON, not compressed, "
        f"sent within {BODY_S_MAX:g} s",
        "too large": f"the body is larger than the {BODY_BYTES_MAX} bytes accepted",
        "rows": f"The first dimension is the rows, at most {limits.rows_max}",
        "dimension": limits.dimension_max,
        "id": limits.id_chars_max,
        "error": ERROR_BYTES_MAX,
        "parameters": limits.parameters_max,
        "priority": PRIORITY_MAX,
        "timeout_us": TIMEOUT_PLAUSIBLE_MAX_S * 1e6,
        "timeout_ms": TIMEOUT_PLAUSIBLE_MAX_S * 1e3,
    }


async def test_its_bounds_on_named_rows_are_those_of_the_code(document: dict[str, Any]) -> None:
    body = document["components"]["requestBodies"]["NamedRows"]
    assert body["description"] == (
        f"At most {InputLimits().json_bytes_max >> 20} MiB, {VALUES_MAX:,} values and "
        f"{BRACKETS_MAX:,} lists and objects, not compressed, sent within {BODY_S_MAX:g} s"
    )


async def test_its_priorities_are_those_of_the_code(document: dict[str, Any]) -> None:
    name, _ = document["components"]["schemas"]["Priority"]["anyOf"]
    assert name["enum"] == list(PRIORITY_NAMES)


async def test_it_names_the_models_that_are_served(document: dict[str, Any]) -> None:
    names = document["components"]["parameters"]["Model"]["schema"]["enum"]
    assert set(SAMPLES) < set(names)


@pytest.mark.parametrize("model", [*SAMPLES, "simple", "identity_bytes", "slow"])
async def test_the_example_body_of_a_model_gets_a_prediction(
    system: System, http: aiohttp.ClientSession, document: dict[str, Any], model: str
) -> None:
    body = examples_of(document)[model]
    status, answer, _ = await post(http, f"{system.url}/v2/models/{model}/infer", body)
    assert (status, answer.get("model_name")) == (200, model), answer


@pytest.mark.parametrize("model", SAMPLES)
async def test_the_named_example_of_a_model_gets_an_answer_of_the_documented_form(
    system: System, http: aiohttp.ClientSession, document: dict[str, Any], model: str
) -> None:
    body = document["components"]["requestBodies"]["NamedRows"]["content"]["application/json"]
    request = body["examples"][model]["value"]
    schema_of(document, "NamedRequest").validate(request)
    status, answer, _ = await post(http, f"{system.url}/v1/models/{model}/predict", request)
    assert (status, answer.get("model_name")) == (200, model), answer
    schema_of(document, "NamedResponse").validate(answer)


@pytest.mark.parametrize("model", SAMPLES)
async def test_an_answer_fits_the_schema_of_answers(
    system: System, http: aiohttp.ClientSession, document: dict[str, Any], model: str
) -> None:
    body = examples_of(document)[model]
    _, answer, _ = await post(http, f"{system.url}/v2/models/{model}/infer", body)
    schema_of(document, "InferenceResponse").validate(answer)


@pytest.mark.parametrize("model", SAMPLES)
async def test_metadata_fit_the_schema_of_metadata(
    system: System, http: aiohttp.ClientSession, document: dict[str, Any], model: str
) -> None:
    async with http.get(f"{system.url}/v2/models/{model}") as response:
        schema_of(document, "ModelMetadata").validate(await response.json())


async def test_the_examples_of_model_version_and_body_share_their_names(
    document: dict[str, Any],
) -> None:
    parameters = document["components"]["parameters"]
    names = [list(parameters[name]["examples"]) for name in ("Model", "Version")]
    assert names == [list(examples_of(document))] * 2


async def test_a_model_that_json_cannot_carry_has_no_example() -> None:
    half = contract("half", TensorSpec(name="x", datatype="FP16", shape=(-1,)))
    parameters = openapi_document([half])["components"]["parameters"]
    assert (parameters["Model"]["schema"]["enum"], parameters["Model"].get("examples")) == (
        ["half"],
        None,
    )


async def test_a_model_with_half_precision_answers_has_a_body_that_asks_for_binary() -> None:
    mixed = contract("m", TensorSpec(name="x", datatype="FP32", shape=(-1,)), outputs="FP16")
    body = examples_of(openapi_document([mixed]))["m"]
    assert body["parameters"] == {"binary_data_output": True}


async def test_a_row_that_is_too_large_to_show_has_no_example() -> None:
    shape = (-1, EXAMPLE_VALUES_MAX + 1)
    wide = contract("wide", TensorSpec(name="x", datatype="FP32", shape=shape))
    assert "examples" not in openapi_document([wide])["components"]["parameters"]["Model"]


async def test_the_number_of_examples_is_bounded() -> None:
    spec = TensorSpec(name="x", datatype="FP32", shape=(-1,))
    many = [contract(f"m{number}", spec) for number in range(EXAMPLES_MAX + 1)]
    assert len(examples_of(openapi_document(many))) == EXAMPLES_MAX


async def test_a_caller_cannot_change_the_document_of_the_next() -> None:
    openapi_document()["info"]["title"] = "changed"
    assert openapi_document()["info"]["title"] == "Batchbridge"


async def test_the_index_fits_its_schema_and_can_be_narrowed_to_what_is_ready(
    system: System, http: aiohttp.ClientSession, document: dict[str, Any]
) -> None:
    _, index, _ = await post(http, f"{system.url}/v2/repository/index", {"ready": True})
    schema_of(document, "RepositoryIndex").validate(index)
    assert set(SAMPLES) < {item["name"] for item in index}


@pytest.mark.parametrize("body", ["[]", '{"ready": 1}', '{"reddy": true}', "nonsense"])
async def test_another_index_request_is_refused(
    system: System, http: aiohttp.ClientSession, body: str
) -> None:
    async with http.post(f"{system.url}/v2/repository/index", data=body) as response:
        assert response.status == 400


def _application_routes() -> list[tuple[str, str]]:
    # Nothing is connected, and no handler called: the routes are asked for.
    gateway = Gateway("redis://127.0.0.1:1", InputLimits(), GatewayMetrics(None))
    return listed_routes(Routes(gateway).application())
