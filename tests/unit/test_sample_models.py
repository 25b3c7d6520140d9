"""The committed sample models: their files, their contracts, their accuracy."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.datasets import load_breast_cancer

from models.training.breast_cancer import breast_cancer_split
from models.training.digits import digits_split
from models.training.synthetic_fields import held_out_fields, synthetic_fields
from models.training.synthetic_seasons import held_out_seasons
from tests.sample_models import (
    MODELS,
    NUMPY_DTYPES,
    example_tensors,
    load_pipeline,
    open_session,
    predict,
    read_contract,
    read_example,
)

GRAPHS = ["breast_cancer", "crop_yield", "digits", "fixed_batch", "soil_water"]
SAMPLES = [*GRAPHS, "evapotranspiration"]
# Those that have a contract.toml.
DECLARED = ["breast_cancer", "crop_yield", "digits", "evapotranspiration", "soil_water"]
ANNOTATED = ["breast_cancer", "digits"]  # callers see the graph's own tensors
REPLACED = ["crop_yield", "evapotranspiration"]  # callers see declared tensors
MODEL_BYTES_MAX = 1_000_000
FIXED_BATCH_ROWS = 32

crop_pipeline = load_pipeline("crop_yield")


def held_out_inputs(model: str, rows: int) -> dict[str, npt.NDArray[Any]]:
    if model == "breast_cancer":
        return {"features": breast_cancer_split().held_out_rows[:rows].astype(np.float32)}
    if model == "crop_yield":
        return held_out_fields().rows(slice(rows)).columns
    if model in {"digits", "fixed_batch"}:
        return {"pixels": digits_split().held_out_rows[:rows].astype(np.float32)}
    if model == "soil_water":
        return whole_seasons(rows)
    return {name: values.repeat(rows) for name, values in example_tensors(model).items()}


def whole_seasons(rows: int) -> dict[str, npt.NDArray[Any]]:
    weather = held_out_seasons().weather[:rows].astype(np.float32)
    return {"weather": weather, "days": np.full(rows, weather.shape[1], np.int32)}


def test_every_artefact_has_the_hash_that_is_written_down() -> None:
    written = json.loads((MODELS / "hashes.json").read_text("utf-8"))

    actual = {name: hashlib.sha256((MODELS / name).read_bytes()).hexdigest() for name in written}

    assert actual == written


def test_every_file_of_every_model_is_hashed() -> None:
    files = {
        path.relative_to(MODELS).as_posix()
        for model in SAMPLES
        for path in (MODELS / model / "1").iterdir()
        if path.is_file()
    }

    assert set(json.loads((MODELS / "hashes.json").read_text("utf-8"))) == files


@pytest.mark.parametrize("model", GRAPHS)
def test_a_model_file_is_small(model: str) -> None:
    assert (MODELS / model / "1" / "model.onnx").stat().st_size < MODEL_BYTES_MAX


@pytest.mark.parametrize("model", ANNOTATED)
def test_the_contract_names_exactly_the_inputs_of_the_graph(model: str) -> None:
    graph = {tensor.name for tensor in open_session(model).get_inputs()}

    assert set(read_contract(model)["inputs"]) == graph


@pytest.mark.parametrize("model", ANNOTATED)
def test_the_contract_names_exactly_the_outputs_of_the_graph(model: str) -> None:
    graph = {tensor.name for tensor in open_session(model).get_outputs()}

    assert set(read_contract(model)["outputs"]) == graph


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("breast_cancer", {"features": ("tensor(float)", [None, 30])}),
        ("digits", {"pixels": ("tensor(float)", ["rows", 8, 8])}),
        ("fixed_batch", {"pixels": ("tensor(float)", [32, 8, 8])}),
    ],
)
def test_a_graph_takes_the_inputs_that_its_page_describes(model: str, expected: object) -> None:
    inputs = open_session(model).get_inputs()

    assert {tensor.name: (tensor.type, tensor.shape) for tensor in inputs} == expected


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (
            "breast_cancer",
            {"label": ("tensor(int64)", [None]), "probabilities": ("tensor(float)", [None, 2])},
        ),
        (
            "digits",
            {
                "label": ("tensor(int64)", ["rows"]),
                "probabilities": ("tensor(float)", ["rows", 10]),
            },
        ),
        (
            "fixed_batch",
            {"label": ("tensor(int64)", [32]), "probabilities": ("tensor(float)", [32, 10])},
        ),
    ],
)
def test_a_graph_gives_the_outputs_that_its_page_describes(model: str, expected: object) -> None:
    outputs = open_session(model).get_outputs()

    assert {tensor.name: (tensor.type, tensor.shape) for tensor in outputs} == expected


def test_preprocessing_gives_exactly_the_inputs_of_the_graph() -> None:
    graph = {tensor.name for tensor in open_session("crop_yield").get_inputs()}

    assert set(crop_pipeline.preprocess(example_tensors("crop_yield"))) == graph


@pytest.mark.parametrize("model", REPLACED)
def test_a_pipeline_answers_with_exactly_the_declared_tensors(model: str) -> None:
    rows = 3
    declared = {
        name: (np.dtype(NUMPY_DTYPES[tensor["datatype"]]), (rows,))
        for name, tensor in read_contract(model)["outputs"].items()
    }

    answered = predict(model, held_out_inputs(model, rows))

    assert {name: (values.dtype, values.shape) for name, values in answered.items()} == declared


@pytest.mark.parametrize("model", DECLARED)
def test_an_example_sends_exactly_the_declared_inputs(model: str) -> None:
    sent = {tensor["name"] for tensor in read_example(model)["inputs"]}

    assert sent == set(read_contract(model)["inputs"])


@pytest.mark.parametrize("model", REPLACED)
def test_an_example_sends_the_declared_datatypes(model: str) -> None:
    declared = {name: item["datatype"] for name, item in read_contract(model)["inputs"].items()}

    sent = {tensor["name"]: tensor["datatype"] for tensor in read_example(model)["inputs"]}

    assert sent == declared


@pytest.mark.parametrize("model", SAMPLES)
def test_an_example_is_one_row(model: str) -> None:
    assert {tensor["shape"][0] for tensor in read_example(model)["inputs"]} == {1}


def test_the_columns_are_those_of_the_wisconsin_data() -> None:
    columns = read_contract("breast_cancer")["inputs"]["features"]["columns"]

    assert columns == load_breast_cancer().feature_names.tolist()


def test_every_row_of_the_wisconsin_data_is_within_the_declared_ranges() -> None:
    features = read_contract("breast_cancer")["inputs"]["features"]
    low, high = np.array([features["column"][name]["range"] for name in features["columns"]]).T
    rows = load_breast_cancer().data

    assert bool(((rows >= low) & (rows <= high)).all())


def is_missing_or_within(values: npt.NDArray[Any], low: float, high: float) -> bool:
    return bool((np.isnan(values) | ((values >= low) & (values <= high))).all())


def test_every_synthetic_field_is_within_the_declared_ranges() -> None:
    declared = read_contract("crop_yield")["inputs"]
    columns = synthetic_fields().columns

    outside = [
        name
        for name, values in columns.items()
        if "range" in declared[name] and not is_missing_or_within(values, *declared[name]["range"])
    ]

    assert outside == []


def test_the_declared_categories_are_the_crops_of_the_pipeline() -> None:
    categories = read_contract("crop_yield")["inputs"]["crop"]["categories"]

    assert categories == list(crop_pipeline.CROPS)


def test_breast_cancer_is_accurate_on_held_out_rows() -> None:
    split = breast_cancer_split()

    label = predict("breast_cancer", {"features": split.held_out_rows.astype(np.float32)})["label"]

    assert float((label == split.held_out_targets).mean()) >= 0.94


def test_digits_is_accurate_on_held_out_images() -> None:
    split = digits_split()

    label = predict("digits", {"pixels": split.held_out_rows.astype(np.float32)})["label"]

    assert float((label == split.held_out_targets).mean()) >= 0.95


def test_crop_yield_explains_most_of_the_variance_of_held_out_fields() -> None:
    fields = held_out_fields()

    answered = predict("crop_yield", fields.columns)["yield"]

    residual = float(((answered - fields.yield_kg_ha) ** 2).sum())
    total = float(((fields.yield_kg_ha - fields.yield_kg_ha.mean()) ** 2).sum())
    assert 1 - residual / total >= 0.88


def test_the_fixed_batch_answers_as_the_free_batch_does() -> None:
    inputs = held_out_inputs("digits", FIXED_BATCH_ROWS)

    fixed, free = predict("fixed_batch", inputs), predict("digits", inputs)

    np.testing.assert_allclose(fixed["probabilities"], free["probabilities"], atol=1e-6, rtol=0)


def test_soil_water_follows_the_balance_of_held_out_seasons() -> None:
    seasons = held_out_seasons()
    rows, days = seasons.depletion_mm.shape

    answered = predict("soil_water", whole_seasons(rows))["depletion_mm"]

    assert days == 128
    residual = float(((answered - seasons.depletion_mm) ** 2).sum())
    total = float(((seasons.depletion_mm - seasons.depletion_mm.mean()) ** 2).sum())
    assert 1 - residual / total >= 0.98


@pytest.mark.parametrize("model", DECLARED)
def test_a_row_alone_is_answered_as_in_a_batch(model: str) -> None:
    rows = 16
    inputs = held_out_inputs(model, rows)
    together = predict(model, inputs)

    alone = [
        predict(model, {name: values[row : row + 1] for name, values in inputs.items()})
        for row in range(rows)
    ]

    for name, values in together.items():
        single = np.concatenate([answer[name] for answer in alone])
        np.testing.assert_allclose(single, values, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "median"), [("rainfall_mm", 636.0), ("soil_ph", 6.4)])
def test_a_missing_value_counts_as_the_training_median(name: str, median: float) -> None:
    field = example_tensors("crop_yield")
    dtype = field[name].dtype

    missing = crop_pipeline.preprocess(field | {name: np.array([np.nan], dtype)})
    imputed = crop_pipeline.preprocess(field | {name: np.array([median], dtype)})

    np.testing.assert_allclose(missing["features"], imputed["features"], atol=1e-6)


def test_a_crop_outside_the_training_data_is_refused() -> None:
    banana = example_tensors("crop_yield") | {"crop": np.array(["banana"], dtype=object)}

    with pytest.raises(ValueError, match="crop must be one of maize, wheat, soya, rice"):
        crop_pipeline.preprocess(banana)


def test_a_yield_is_in_kg_ha_and_never_below_zero() -> None:
    outputs = {"yield_t_ha": np.array([[-0.25], [4.5]], dtype=np.float32)}

    assert crop_pipeline.postprocess(outputs, {})["yield"].tolist() == [0.0, 4500.0]
