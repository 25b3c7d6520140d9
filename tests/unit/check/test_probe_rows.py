"""Rows to try a model with are rows that its contract allows."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.contract.model import TensorSpec, ValueRules
from bridge.contract.repository import VersionFolder, scan
from bridge.contract.values import ValueCheck
from tests.sample_models import MODELS
from workers.check.made_values import BOLD, CAUTIOUS
from workers.check.probe_rows import ProbeRows, from_reference, generated
from workers.loading import open_model

SAMPLES = scan(MODELS)


def made(spec: TensorSpec, rows: int = 8) -> ProbeRows:
    (probe,) = generated((spec,), rows, BOLD)
    return probe


def spec(datatype: str = "FP32", *row_shape: int, **rules: object) -> TensorSpec:
    return TensorSpec(
        name="x",
        datatype=datatype,
        shape=(-1, *row_shape),
        rules=ValueRules(**rules),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("folder", SAMPLES, ids=[folder.model for folder in SAMPLES])
def test_every_row_is_within_the_contract_of_a_sample(folder: VersionFolder) -> None:
    inputs = open_model(folder, threads=1).contract.inputs
    for probe in generated(inputs, 24, BOLD):
        for tensor in inputs:
            ValueCheck(tensor).check(probe.tensors[tensor.name])


@pytest.mark.parametrize("datatype", ["BOOL", "UINT8", "INT64", "FP16", "FP32", "FP64", "BYTES"])
def test_every_datatype_has_values_without_any_rules(datatype: str) -> None:
    probe = made(spec(datatype, 3))
    assert probe.tensors["x"].shape == (8 + 4, 3)
    assert probe.tensors["x"].dtype == spec(datatype).type.dtype


def test_rows_differ() -> None:
    rows = made(spec("FP32", 3)).tensors["x"][:8]
    assert len(np.unique(rows, axis=0)) == 8


def test_the_same_contract_gets_the_same_rows() -> None:
    first, second = made(spec("FP32", 3)), made(spec("FP32", 3))
    assert np.array_equal(first.tensors["x"], second.tensors["x"], equal_nan=True)


def test_extreme_neighbours_are_at_the_ends_of_the_range() -> None:
    probe = made(spec("FP32", range=(2.0, 5.0), nulls="refuse"))
    strangers = dict(zip(probe.names[8:], probe.tensors["x"][8:].tolist(), strict=True))
    assert strangers == {"zeros": 2.0, "maxima": 5.0, "minima": 2.0, "nulls": 2.0}


def test_nan_is_a_neighbour_unless_the_contract_refuses_it() -> None:
    assert np.isnan(made(spec("FP32")).tensors["x"][-1])


def test_some_ordinary_rows_have_nulls_where_they_are_allowed() -> None:
    values = made(spec("FP64", nulls="allow")).tensors["x"][:8]
    assert 0 < int(np.isnan(values).sum()) < 8


def test_no_ordinary_row_has_nulls_where_nothing_is_said_of_them() -> None:
    assert not np.isnan(made(spec("FP64", 9)).tensors["x"][:8]).any()


def test_texts_are_long_and_short() -> None:
    lengths = {len(text) for text in made(spec("BYTES")).tensors["x"].tolist()}
    assert (min(lengths), max(lengths) > 100) == (0, True)


def test_a_worker_tries_no_integer_that_the_contract_does_not_name() -> None:
    (probe,) = generated((spec("INT64", 2),), 6, CAUTIOUS)
    assert not probe.tensors["x"].any()


def test_a_range_of_integers_is_kept_whole() -> None:
    values = made(spec("INT64", range=(1, 3)), rows=40).tensors["x"].tolist()
    assert set(values) == {1, 2, 3}


def test_a_dimension_that_varies_gives_groups_of_one_size_each() -> None:
    lengths = [probe.tensors["x"].shape[1] for probe in generated((spec("FP32", -1),), 4, BOLD)]
    assert lengths == [8, 3, 1]


def test_rows_of_reference_data_come_first_and_keep_their_values() -> None:
    probe = from_reference((spec("FP32"),), {"x": np.array([1.5, 2.5], np.float32)}, BOLD)
    assert (probe.ordinary, probe.tensors["x"][:2].tolist()) == (2, [1.5, 2.5])
