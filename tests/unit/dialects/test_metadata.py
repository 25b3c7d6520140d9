from __future__ import annotations

import orjson

from bridge.contract.model import ModelContract, Serving, ValueRules
from bridge.gateway.dialects.metadata import model_metadata, server_metadata
from tests.unit.dialects.doors import contract, spec


def test_the_server_names_its_extensions() -> None:
    document = server_metadata()
    assert (document["name"], document["extensions"]) == (
        "batchbridge",
        ["binary_tensor_data", "schedule_policy"],
    )


def test_a_plain_model_is_described_in_the_protocols_words() -> None:
    assert model_metadata(contract(spec("x", "FP32", -1, 2)), ["1", "3"]) == {
        "name": "model",
        "versions": ["1", "3"],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
        "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [-1, 2]},
            {"name": "label", "datatype": "INT64", "shape": [-1]},
        ],
        "parameters": {
            "version": "3",
            "latency_target_ms": 100.0,
            "timeout_ms": 1000.0,
            "named_rows": {
                "path": "/v1/models/model/versions/3/predict",
                "example": {"rows": [{"x": [0.0, 0.0]}]},
            },
        },
    }


def test_what_the_contract_adds_is_in_parameters() -> None:
    age = ValueRules(range=(0, 120), unit="years")
    crop = ValueRules(categories=("wheat",), nulls="refuse", description="the crop")
    document = model_metadata(
        ModelContract(
            name="model",
            version="1",
            platform="p",
            inputs=(
                spec("x", "FP32", -1, 1, columns=("age",), column_rules={"age": age}),
                spec("crop", "BYTES", -1, rules=crop),
            ),
            outputs=(),
            serving=Serving(max_batch_rows=32),
            description="yield",
        ),
        ["1"],
    )
    assert (document["parameters"]["max_batch_rows"], document["parameters"]["description"]) == (
        32,
        "yield",
    )
    assert [item["parameters"] for item in document["inputs"]] == [
        {"columns": ["age"], "column_rules": {"age": {"unit": "years", "range": [0, 120]}}},
        {"description": "the crop", "categories": ["wheat"], "nulls": "refuse"},
    ]


def test_the_documents_are_json() -> None:
    document = model_metadata(contract(spec("x", "FP32", -1)), [])
    assert orjson.loads(orjson.dumps(document)) == document
