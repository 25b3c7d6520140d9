"""From a folder to models: what is loaded, and how a folder that cannot be served is named."""

from __future__ import annotations

import os
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from bridge.contract.model import Serving, TensorSpec
from tests.tiny_models import (
    ONNX_TYPES,
    WAYWARD_PIPELINE,
    affine,
    identity,
    tensors,
    write_version,
)
from workers.loading import LoadedModel, LoadError, load_models

PREDICT = "def predict(inputs):\n    return {'y': inputs['x']}\n"


def load(root: Path) -> dict[str, LoadedModel]:
    return {item.model.contract.key: item for item in load_models(root, threads=1)}


def test_a_graph_needs_no_configuration_at_all(tmp_path: Path) -> None:
    write_version(tmp_path, "m", graph=affine(2, 1))
    contract = load(tmp_path)["m@1"].model.contract
    assert contract.inputs == (TensorSpec(name="x", datatype="FP64", shape=(-1, 1)),)
    assert contract.outputs == (TensorSpec(name="y", datatype="FP64", shape=(-1, 1)),)
    assert contract.serving == Serving()
    assert contract.platform == "onnx_onnxv1"


def test_every_version_of_every_model_is_loaded(tmp_path: Path) -> None:
    write_version(tmp_path, "a", 2, graph=affine(2, 1))
    write_version(tmp_path, "a", 10, graph=affine(2, 1))
    write_version(tmp_path, "b", 1, pipeline=PREDICT, contract=tensors())
    assert list(load(tmp_path)) == ["a@2", "a@10", "b@1"]


def test_a_function_is_a_model_of_its_own(tmp_path: Path) -> None:
    write_version(tmp_path, "m", pipeline=PREDICT, contract=tensors(datatype="INT32"))
    contract = load(tmp_path)["m@1"].model.contract
    assert contract.platform == "python"
    assert contract.inputs[0].datatype == "INT32"


def test_the_contract_says_what_was_declared(tmp_path: Path) -> None:
    text = 'description = "doubles"\n[serving]\nlatency_target_ms = 50\nmax_batch_rows = 3\n'
    write_version(tmp_path, "m", graph=affine(2, 1), contract=text)
    contract = load(tmp_path)["m@1"].model.contract
    assert contract.description == "doubles"
    assert contract.serving == Serving(latency_target_s=0.05, timeout_s=0.5, max_batch_rows=3)


def test_different_files_under_one_name_are_told_apart(tmp_path: Path) -> None:
    for number in (1, 2):
        write_version(tmp_path / str(number), "m", graph=affine(number, 1))
    first, second = (load(tmp_path / str(number))["m@1"] for number in (1, 2))
    assert first.model.contract.model_sha256 != second.model.contract.model_sha256


def test_loading_times_the_model(tmp_path: Path) -> None:
    write_version(tmp_path, "m", graph=affine(2, 1))
    service = load(tmp_path)["m@1"].fit.estimate()
    assert 0 < service.batch_s(1) < 1


@pytest.mark.parametrize("datatype", ONNX_TYPES)
def test_a_model_of_any_datatype_is_warmed(tmp_path: Path, datatype: str) -> None:
    write_version(tmp_path, "m", graph=identity(datatype, 2))
    assert load(tmp_path)["m@1"].has_answered


def test_a_dimension_that_varies_is_no_obstacle(tmp_path: Path) -> None:
    write_version(tmp_path, "m", graph=identity("FP32", "any", 2))
    assert load(tmp_path)["m@1"].model.contract.inputs[0].shape == (-1, -1, 2)


def test_no_batch_of_the_profile_is_larger_than_the_contract_allows(tmp_path: Path) -> None:
    pipeline = (
        "def predict(inputs):\n"
        "    if len(inputs['x']) > 3:\n"
        "        raise ValueError('more rows than declared')\n"
        "    return {'y': inputs['x']}\n"
    )
    contract = "[serving]\nmax_batch_rows = 3\n" + tensors()
    write_version(tmp_path, "m", pipeline=pipeline, contract=contract)
    assert load(tmp_path)["m@1"].has_answered


def test_a_model_that_fails_on_made_up_rows_is_served_all_the_same(tmp_path: Path) -> None:
    contract = tensors().replace("[inputs.x]", "[inputs.x]\nrange = [13, 13]")
    write_version(tmp_path, "m", pipeline=WAYWARD_PIPELINE, contract=contract)
    assert not load(tmp_path)["m@1"].has_answered


def refusal(root: Path) -> str:
    with pytest.raises(LoadError) as refused:
        load_models(root, threads=1)
    return str(refused.value)


def test_an_empty_repository_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path}: holds no model, expected <model>/<version>/model.onnx"


def test_a_repository_that_is_missing_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none") == f"{tmp_path / 'none'}: not a folder"


WRONG_PREDICT = "def predict(inputs):\n    return {'y': inputs['x'][1:]}\n"
REFUSED = {
    "no functions": ({"pipeline": "x = 1\n"}, "defines none of"),
    "functions around nothing": (
        {"pipeline": "def preprocess(inputs):\n    return inputs\n"},
        "defines no predict, and there is no model.onnx",
    ),
    "two models": (
        {"graph": affine(2, 1), "pipeline": PREDICT},
        "defines predict, but there is also a model.onnx",
    ),
    "no tensors": ({"pipeline": PREDICT}, "inputs: must be declared"),
    "no TOML": ({"graph": affine(2, 1), "contract": "[serving"}, "contract.toml: not TOML"),
    "an unknown key": (
        {"graph": affine(2, 1), "contract": "[serving]\nlatency = 1"},
        "unknown field `latency`",
    ),
    "an unknown tensor": (
        {"graph": affine(2, 1), "contract": "[inputs.z]"},
        "inputs.z: the graph has no such tensor",
    ),
    "a timeout below the target": (
        {"graph": affine(2, 1), "contract": "[serving]\ntimeout_ms = 1"},
        "serving.timeout_ms",
    ),
    "a pipeline that raises": ({"pipeline": "1 / 0\n"}, "ZeroDivisionError"),
    "a wrong number of rows": (
        {"pipeline": WRONG_PREDICT, "contract": tensors()},
        "output 'y': shape (0, 1) for 1 rows",
    ),
    "no outputs": (
        {"pipeline": "def predict(inputs):\n    return None\n", "contract": tensors()},
        "the outputs are a NoneType",
    ),
}


@pytest.mark.parametrize(("files", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_version_that_cannot_be_served_is_named_by_its_folder(
    tmp_path: Path, files: dict[str, object], message: str
) -> None:
    folder = write_version(tmp_path, "m", **files)  # type: ignore[arg-type]
    text = refusal(tmp_path)
    assert text.startswith(f"{folder}: ")
    assert message in text


@pytest.mark.parametrize("data", [b"", b"junk", affine(2, 1).SerializeToString()[:50]])
def test_a_broken_graph_is_named_by_its_folder(tmp_path: Path, data: bytes) -> None:
    folder = write_version(tmp_path, "m", graph=affine(2, 1))
    (folder / "model.onnx").write_bytes(data)
    assert refusal(tmp_path).startswith(f"{folder}: not an ONNX model")


def test_a_graph_with_its_weights_elsewhere_is_refused_and_nothing_is_read(tmp_path: Path) -> None:
    model = affine(2, 1)
    folder = write_version(tmp_path, "m", graph=model)
    # What onnx.save_model(..., save_as_external_data=True) writes, one folder up.
    weights = model.graph.initializer[0]
    weights.ClearField("double_data")
    weights.data_location = TensorProto.EXTERNAL
    entry = weights.external_data.add()
    entry.key, entry.value = "location", "../weights"
    os.mkfifo(tmp_path / "m" / "weights")  # reading it would never end
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    assert "is stored outside the model file" in refusal(tmp_path)


def test_a_graph_that_onnx_runtime_refuses_is_named_by_its_folder(tmp_path: Path) -> None:
    node = helper.make_node("NoSuchOperator", ["x"], ["y"])
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows"])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows"])
    graph: onnx.ModelProto = helper.make_model(helper.make_graph([node], "g", [value], [result]))
    folder = write_version(tmp_path, "m", graph=graph)
    assert refusal(tmp_path).startswith(f"{folder}: ONNX Runtime cannot load the model")


def test_a_linked_graph_is_refused(tmp_path: Path) -> None:
    folder = write_version(tmp_path, "m", graph=affine(2, 1))
    (folder / "model.onnx").rename(tmp_path / "elsewhere.onnx")
    (folder / "model.onnx").symlink_to(tmp_path / "elsewhere.onnx")
    assert str(folder / "model.onnx") in refusal(tmp_path)


def test_one_model_that_cannot_be_served_keeps_the_others_from_being_served(tmp_path: Path) -> None:
    write_version(tmp_path, "a", graph=affine(2, 1))
    bad = write_version(tmp_path, "b", pipeline="x = 1\n")
    assert refusal(tmp_path).startswith(str(bad))
