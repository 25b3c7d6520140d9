"""What ONNX Runtime says of a graph, as callers see it; and graphs that cannot be served."""

from __future__ import annotations

import numpy as np
import pytest
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from bridge.contract.datatype import DATATYPES
from bridge.contract.model import TensorSpec
from tests.tiny_models import ONNX_TYPES, affine, identity, row_sum
from workers.session import Session, SessionError


def session(graph: object) -> Session:
    return Session(graph.SerializeToString(), threads=1)  # type: ignore[attr-defined]


def test_rows_come_first_and_a_dimension_without_a_number_may_vary() -> None:
    signature = session(row_sum()).signature
    assert signature.inputs == (TensorSpec(name="x", datatype="FP64", shape=(-1, -1)),)
    assert signature.outputs == (TensorSpec(name="total", datatype="FP64", shape=(-1, 1)),)


def test_a_fixed_batch_looks_to_callers_like_any_other() -> None:
    signature = session(affine(1, 0, rows=32)).signature
    assert (signature.inputs[0].shape, signature.fixed_rows) == ((-1, 1), 32)


@pytest.mark.parametrize("datatype", ONNX_TYPES)
def test_every_datatype_passes_through_a_graph(datatype: str) -> None:
    x = np.array([["0"], ["1"]], dtype=object)
    if datatype != "BYTES":
        x = np.array([[0], [1]], dtype=DATATYPES[datatype].dtype)
    loaded = session(identity(datatype, 1))
    assert loaded.signature.outputs[0].datatype == datatype
    assert loaded.run({"x": x})["y"].tolist() == x.tolist()


def test_the_protocols_datatypes_are_all_there() -> None:
    assert set(ONNX_TYPES) == set(DATATYPES)


def test_a_classifier_with_zipmap_is_refused_with_the_way_out() -> None:
    X, y = load_iris(return_X_y=True)
    classifier = LogisticRegression(max_iter=500).fit(X[:, :2], y)
    graph = to_onnx(classifier, X[:1, :2].astype(np.float32), target_opset=17)
    with pytest.raises(SessionError, match="export with zipmap off"):
        session(graph)


def test_bytes_that_onnx_runtime_cannot_load_are_refused() -> None:
    with pytest.raises(SessionError, match="ONNX Runtime cannot load the model"):
        Session(b"not a model", threads=1)


def test_inputs_with_different_batch_sizes_are_refused() -> None:
    graph = affine(1, 0, rows=4)
    other = graph.graph.input.add()
    other.CopyFrom(identity("FP64", 1, rows=8).graph.input[0])
    other.name = "z"
    with pytest.raises(SessionError, match="different first dimensions"):
        session(graph)
