"""A loaded model: batches in, as many rows out, in the contract's datatypes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bridge.contract.model import ModelContract
from tests.tiny_models import affine, row_sum
from tests.unit.workers.taken import Array, Arrays, predicting
from workers.model import BadOutput, Model, RowsFailed
from workers.pipeline import Pipeline
from workers.session import Session

FIXED_ROWS = 4


def graph_model(graph: Any, pipeline: Pipeline | None = None) -> Model:
    session = Session(graph.SerializeToString(), threads=1)
    contract = ModelContract(
        name="m",
        version="1",
        platform="onnx_onnxv1",
        inputs=session.signature.inputs,
        outputs=session.signature.outputs,
    )
    return Model(contract, session, pipeline or Pipeline())


def column(*values: float) -> Array:
    return np.array(values, dtype="<f8").reshape(-1, 1)


def answers(model: Model, *values: float) -> list[float]:
    answer: list[float] = model.run({"x": column(*values)}, len(values))["y"][:, 0].tolist()
    return answer


def returning(y: Any, datatype: str = "FP64", *row_shape: int) -> Model:
    return predicting(lambda _: {"y": y}, datatype, *row_shape)


DOUBLE_PLUS_ONE = graph_model(affine(2, 1))
FIXED = graph_model(affine(2, 1, rows=FIXED_ROWS))


def test_a_graph_answers_every_row() -> None:
    assert answers(DOUBLE_PLUS_ONE, 1, 2, 3) == [3, 5, 7]


def test_a_function_answers_without_a_graph() -> None:
    assert answers(predicting(lambda inputs: {"y": inputs["x"] + 1}), 1, 2) == [2, 3]


def test_a_graph_with_a_free_batch_has_no_fixed_rows() -> None:
    assert (DOUBLE_PLUS_ONE.fixed_rows, FIXED.fixed_rows) == (None, FIXED_ROWS)


@pytest.mark.parametrize("rows", [1, 3, 4, 5, 8, 9])
def test_a_fixed_batch_answers_any_number_of_rows(rows: int) -> None:
    values = [float(value) for value in range(rows)]
    assert answers(FIXED, *values) == [value * 2 + 1 for value in values]


def test_a_fixed_batch_is_padded_with_a_row_that_is_valid() -> None:
    seen: list[list[float]] = []

    class Watched(Session):
        def run(self, inputs: Arrays) -> dict[str, Array]:
            seen.append(inputs["x"][:, 0].tolist())
            return super().run(inputs)

    session = Watched(affine(2, 1, rows=FIXED_ROWS).SerializeToString(), threads=1)
    Model(FIXED.contract, session, Pipeline()).run({"x": column(7, 8, 9, 10, 11)}, 5)
    assert seen == [[7, 8, 9, 10], [11, 11, 11, 11]]


def test_the_pipeline_runs_around_the_graph() -> None:
    pipeline = Pipeline(
        preprocess=lambda inputs: {"x": inputs["x"] * 10},
        postprocess=lambda outputs, inputs: {"y": outputs["y"] + inputs["x"]},
    )
    assert answers(graph_model(affine(2, 1), pipeline), 1, 2) == [22, 43]


def test_what_preprocess_returns_is_converted_to_the_graphs_datatype() -> None:
    pipeline = Pipeline(preprocess=lambda inputs: {"x": inputs["x"].astype("f4").tolist()})
    assert answers(graph_model(affine(2, 1), pipeline), 1, 2) == [3, 5]


def test_preprocess_may_return_more_than_the_graph_takes() -> None:
    pipeline = Pipeline(preprocess=lambda inputs: {**inputs, "unused": np.zeros(1)})
    assert answers(graph_model(affine(2, 1), pipeline), 1) == [3]


def test_preprocess_that_forgets_an_input_fails_the_rows() -> None:
    pipeline = Pipeline(preprocess=lambda inputs: {"z": inputs["x"]})
    with pytest.raises(RowsFailed, match="preprocess returned no x"):
        answers(graph_model(affine(2, 1), pipeline), 1)


@pytest.mark.parametrize("rows", [None, FIXED_ROWS], ids=["free", "fixed"])
@pytest.mark.parametrize("kept", [0, 1, 2, 4])
def test_preprocess_that_changes_the_number_of_rows_gets_no_answer_out(
    rows: int | None, kept: int
) -> None:
    def preprocess(inputs: Arrays) -> Arrays:
        return {"x": np.resize(inputs["x"], (kept, 1))}

    model = graph_model(affine(2, 1, rows=rows or "rows"), Pipeline(preprocess=preprocess))
    with pytest.raises(BadOutput):
        answers(model, 1, 2, 3)


def test_preprocess_may_look_at_windows_if_postprocess_brings_them_together() -> None:
    pipeline = Pipeline(
        preprocess=lambda inputs: {"x": np.repeat(inputs["x"], 2, axis=0)},
        postprocess=lambda outputs, _: {"y": outputs["y"].reshape(-1, 2).sum(axis=1)[:, None]},
    )
    assert answers(graph_model(affine(2, 1), pipeline), 1, 2) == [6, 10]


def test_whatever_the_functions_raise_is_a_failure_of_the_rows() -> None:
    def predict(_: Arrays) -> Arrays:
        raise KeyError("crop")

    with pytest.raises(RowsFailed, match=r"KeyError at test_model\.py:\d+$"):
        answers(predicting(predict), 1)


def test_what_onnx_runtime_raises_is_a_failure_of_the_rows() -> None:
    with pytest.raises(RowsFailed):
        DOUBLE_PLUS_ONE.run({"x": np.zeros((1, 3))}, 1)


@pytest.mark.parametrize(
    "y", [column(1), column(1, 2, 3), np.float64(1), np.zeros((0, 1)), np.zeros((1, 2))]
)
def test_a_wrong_number_of_rows_is_a_bad_output(y: Array) -> None:
    with pytest.raises(BadOutput, match="for 2 rows"):
        answers(returning(y), 1, 2)


def test_a_missing_output_is_named() -> None:
    with pytest.raises(BadOutput, match="output 'y' is missing"):
        answers(predicting(lambda inputs: {"z": inputs["x"]}), 1)


@pytest.mark.parametrize("outputs", [None, column(1), [column(1)], "y"])
def test_outputs_without_names_are_bad(outputs: Any) -> None:
    with pytest.raises(BadOutput, match="not a mapping"):
        answers(predicting(lambda _: outputs), 1)


@pytest.mark.parametrize(
    ("y", "datatype", "expected"),
    [
        ([[1], [2]], "FP64", np.array([[1.0], [2.0]])),
        (np.array([[1], [2]], "i4"), "FP32", np.array([[1], [2]], "f4")),
        (np.array([[1.0], [2.0]]), "INT64", np.array([[1], [2]])),
        (np.array([["a"], ["b"]]), "BYTES", np.array([["a"], ["b"]], object)),
        (np.array([[b"a"], [b"b"]]), "BYTES", np.array([[b"a"], [b"b"]], object)),
        (np.array([[0], [1]]), "BOOL", np.array([[False], [True]])),
        (np.array([[1], [2]], ">i8"), "INT64", np.array([[1], [2]])),
    ],
)
def test_an_output_of_another_datatype_is_converted(y: Any, datatype: str, expected: Array) -> None:
    got = returning(y, datatype).run({"x": column(0, 0)}, 2)["y"]
    assert got.dtype == expected.dtype
    assert got.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("y", "datatype"),
    [
        (np.array([["a"], ["b"]]), "FP32"),
        (np.array([[None], [1.5]], object), "INT64"),
        (np.array([[300], [2]], object), "UINT8"),
        ([[1], [1, 2]], "FP64"),
        (np.array([[1], [2]]), "BYTES"),
        (np.array([[None], ["a"]], object), "BYTES"),
        (np.array([[1.5], ["a"]], object), "BYTES"),
        (np.array([["\ud800"], ["a"]], object), "BYTES"),
    ],
)
def test_an_output_that_cannot_be_carried_is_bad(y: Any, datatype: str) -> None:
    with pytest.raises(BadOutput, match="output 'y'"):
        returning(y, datatype).run({"x": column(0, 0)}, 2)


@pytest.mark.parametrize(
    ("y", "datatype"),
    [
        (np.array([300]), "UINT8"),
        (np.array([-1]), "UINT16"),
        (np.array([0.5]), "INT64"),
        (np.array([np.nan]), "INT32"),
        (np.array([2]), "BOOL"),
    ],
)
def test_a_number_that_the_datatype_cannot_hold_is_bad_and_never_wraps(
    y: Array, datatype: str
) -> None:
    with pytest.raises(BadOutput):
        answers(returning(y, datatype), 1.0)


def test_numpys_own_text_becomes_plain_text() -> None:
    texts = np.empty((1, 1), dtype=object)
    texts[0, 0] = np.str_("wheat")
    value = returning(texts, "BYTES").run({"x": column(0)}, 1)["y"][0, 0]
    assert type(value) is str


def test_an_output_is_contiguous_so_that_it_can_be_sent_as_it_is() -> None:
    turned = np.arange(6.0).reshape(3, 2).T
    got = returning(turned, "FP64", 3).run({"x": column(0, 0)}, 2)["y"]
    assert got.flags.c_contiguous
    assert got.tolist() == turned.tolist()


def test_outputs_that_the_contract_does_not_name_are_left_out() -> None:
    model = predicting(lambda inputs: {"y": inputs["x"], "debug": np.zeros(99)})
    assert list(model.run({"x": column(1)}, 1)) == ["y"]


def test_only_a_pipeline_needs_arrays_of_its_own() -> None:
    assert not DOUBLE_PLUS_ONE.needs_own_arrays
    assert predicting(lambda inputs: {"y": inputs["x"]}).needs_own_arrays


def test_a_graph_takes_arrays_that_cannot_be_written() -> None:
    x = column(1, 2)
    x.flags.writeable = False
    assert DOUBLE_PLUS_ONE.run({"x": x}, 2)["y"][:, 0].tolist() == [3, 5]


def test_a_dimension_that_varies_may_vary_from_batch_to_batch() -> None:
    model = graph_model(row_sum())
    totals = [model.run({"x": np.ones((2, width))}, 2)["total"][:, 0].tolist() for width in (1, 5)]
    assert totals == [[1, 1], [5, 5]]
