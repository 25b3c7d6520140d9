"""The OpenAPI document of the HTTP interface: openapi.json, completed from what the code knows.

The file holds what is written once and read as it is. Added here, so that it is said in one place
only: datatypes, error codes by status, the versioned twins of the model paths, the models served.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import Any

import orjson

from bridge.contract.datatype import DATATYPES
from bridge.contract.example import Array, example_inputs
from bridge.contract.invalid import InvalidCode, InvalidInput
from bridge.contract.model import ModelContract, TensorSpec
from bridge.gateway.dialects.metadata import server_metadata
from bridge.gateway.dialects.named_example import named_example
from bridge.gateway.problem import STATUS, invalid_status

Json = dict[str, Any]

# So many models have an example body, each of so many values at most: the document stays readable.
EXAMPLES_MAX = 32
EXAMPLE_VALUES_MAX = 1_024

_REQUEST_ID_SHOWN = "3b5ebd9e6f780e4f"
# Bad framing, a method that the path does not know and a strange Expect can meet any path.
_STATUS_ANYWHERE = ("400", "405", "417")
_MODEL_PART = "/models/{model}"
_VERSION_PART = "/models/{model}/versions/{version}"


def openapi_document(contracts: Sequence[ModelContract] = ()) -> Json:
    """Return the document as a JSON-able value, which the caller may keep and change.

    `contracts` are the model versions to name, lowest version first: names and versions become
    enums, and each model's highest version gives a request body that works.
    """
    document = deepcopy(_completed())
    if contracts:
        parameters = document["components"]["parameters"]
        versions = {contract.version for contract in contracts}
        parameters["Version"]["schema"]["enum"] = sorted(versions, key=int)
        newest = {contract.name: contract for contract in contracts}
        parameters["Model"]["schema"]["enum"] = list(newest)
        _add_examples(document["components"], newest)
    return document


def codes_of_status() -> dict[str, list[str]]:
    """Return the error codes that can come with each HTTP status."""
    codes: dict[str, list[str]] = {}
    for problem, status in STATUS.items():
        codes.setdefault(str(status), []).append(problem.value)
    for invalid in InvalidCode:
        codes.setdefault(str(invalid_status(InvalidInput(invalid, ""))), []).append(invalid.value)
    return {status: sorted(set(found)) for status, found in sorted(codes.items())}


@cache
def _completed() -> Json:
    document: Json = orjson.loads(files(__package__).joinpath("openapi.json").read_bytes())
    document["info"]["version"] = server_metadata()["version"]
    components = document["components"]
    components["schemas"]["Datatype"]["enum"] = list(DATATYPES)
    for status, codes in codes_of_status().items():
        _complete_error(components["responses"][status], codes)
    _add_twins(document["paths"])
    for item in document["paths"].values():
        for operation in item.values():
            for status in _STATUS_ANYWHERE:
                operation["responses"][status] = {"$ref": f"#/components/responses/{status}"}
    return document


def _complete_error(response: Json, codes: list[str]) -> None:
    """Give an error its body and the header that every error has."""
    response["headers"] = {
        "X-Request-Id": {"$ref": "#/components/headers/RequestId"},
        **response.get("headers", {}),
    }
    schema = {
        "allOf": [
            {"$ref": "#/components/schemas/Error"},
            {"properties": {"code": {"enum": codes}}},
        ]
    }
    example = {
        "error": response.pop("example"),
        "code": response.pop("exampleCode"),
        "request_id": _REQUEST_ID_SHOWN,
    }
    response["content"] = {"application/json": {"schema": schema, "example": example}}


def _add_twins(paths: Json) -> None:
    """Add the paths that answer as another does: with a version, with a slash at the end."""
    for path, item in list(paths.items()):
        if _MODEL_PART in path:
            twin = _twin(item, "OfVersion", ", by a version of your choice")
            for operation in twin.values():
                operation["parameters"].insert(1, {"$ref": "#/components/parameters/Version"})
                # The links lead to the unversioned paths.
                operation["responses"].get("200", {}).pop("links", None)
            paths[path.replace(_MODEL_PART, _VERSION_PART)] = twin
    paths["/v2/"] = _twin(paths["/v2"], "WithSlash", "")


def _twin(item: Json, suffix: str, addition: str) -> Json:
    twin = deepcopy(item)
    for operation in twin.values():
        operation["operationId"] += suffix
        operation["summary"] = operation["summary"].replace(", by a model's highest version", "")
        operation["summary"] += addition
    return twin


def _add_examples(components: Json, newest: dict[str, ModelContract]) -> None:
    able = (name for name, contract in newest.items() if _has_example(contract))
    shown = {name: newest[name] for name in islice(able, EXAMPLES_MAX)}
    if not shown:
        return
    # Tools pair the examples that have one key: model, version and body belong together.
    parameters = components["parameters"]
    parameters["Model"]["examples"] = {name: {"value": name} for name in shown}
    parameters["Version"]["examples"] = {
        name: {"value": contract.version} for name, contract in shown.items()
    }
    json_body = components["requestBodies"]["Inference"]["content"]["application/json"]
    json_body["examples"] = {
        name: {"summary": contract.description or name, "value": example_request(contract)}
        for name, contract in shown.items()
    }
    named = components["requestBodies"]["NamedRows"]["content"]["application/json"]
    named["examples"] = {
        name: {"summary": contract.description or name, "value": named_example(contract)}
        for name, contract in shown.items()
    }


def _has_example(contract: ModelContract) -> bool:
    """Whether one row can be shown: no FP16, which JSON does not carry, and not too large."""
    if any(spec.datatype == "FP16" for spec in contract.inputs):
        return False
    return sum(array.size for array in example_inputs(contract, 1).values()) <= EXAMPLE_VALUES_MAX


def example_request(contract: ModelContract) -> Json:
    """Return a V2 request of one made-up row that the contract allows, as a JSON-able value."""
    rows = example_inputs(contract, 1)
    request: Json = {"inputs": [_example_input(s, rows[s.name]) for s in contract.inputs]}
    if any(spec.datatype == "FP16" for spec in contract.outputs):
        request["parameters"] = {"binary_data_output": True}
    return request


def _example_input(spec: TensorSpec, array: Array) -> Json:
    values = array.ravel().tolist()
    if spec.datatype == "FP32":
        # As FP64 0.1 would be shown as 0.10000000149011612.
        values = [float(str(value)) for value in array.ravel()]
    return {
        "name": spec.name,
        "shape": list(array.shape),
        "datatype": spec.datatype,
        "data": values,
    }
