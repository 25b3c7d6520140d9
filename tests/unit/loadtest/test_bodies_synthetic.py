"""Rows made from a contract: valid, at its edges, and the same for the same seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.datatypes import DTYPES, Array, Rows
from loadtest.errors import BadRows
from loadtest.server_model import ServerModel
from loadtest.synthetic_rows import SyntheticRows
from tests.unit.loadtest.models import model, tensor

ROWS = 2_000
NUMBERS = [name for name in DTYPES if name not in ("BOOL", "BYTES")]
WHOLE = [name for name in NUMBERS if "INT" in name]


def drawn(known: ServerModel, count: int = ROWS, **options: Any) -> Rows:
    return SyntheticRows(known, **options).draw(count).rows


def values(datatype: str, edge_share: float = 0.5, **rules: Any) -> Array:
    """Many values of one input with these rules."""
    return drawn(model(tensor("x", datatype, [-1], **rules)), edge_share=edge_share)["x"]


def as_bytes(rows: Rows) -> list[tuple[str, bytes]]:
    return [(name, repr(array.tolist()).encode()) for name, array in rows.items()]


MIXED = model(
    tensor("x", "FP32", [-1, 3], range=[-2.0, 5.0], nulls="allow"),
    tensor("crop", "BYTES", [-1], categories=["rice", "maize"]),
    tensor("day", "INT64", [-1], range=[1, 366]),
    tensor("wet", "BOOL", [-1]),
)


def test_the_same_seed_makes_the_same_rows() -> None:
    assert as_bytes(drawn(MIXED, seed=4)) == as_bytes(drawn(MIXED, seed=4))


def test_another_seed_makes_other_rows() -> None:
    assert as_bytes(drawn(MIXED, seed=4)) != as_bytes(drawn(MIXED, seed=5))


def test_rows_have_the_contracts_names_shapes_and_dtypes() -> None:
    found = {name: (array.shape, array.dtype) for name, array in drawn(MIXED, 7).items()}
    assert found == {
        "x": ((7, 3), np.dtype("<f4")),
        "crop": ((7,), np.dtype(object)),
        "day": ((7,), np.dtype("<i8")),
        "wet": ((7,), np.dtype("?")),
    }


@pytest.mark.parametrize("datatype", NUMBERS)
def test_all_values_are_within_the_range_and_its_bounds_are_among_them(datatype: str) -> None:
    found = values(datatype, range=[3, 100])
    assert (found.min(), found.max()) == (3, 100)


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_bounds_that_the_dtype_cannot_hold_are_rounded_as_a_server_rounds_them(
    datatype: str,
) -> None:
    found = values(datatype, range=[0.1, 0.3])
    dtype = DTYPES[datatype].type
    assert (found.min(), found.max()) == (dtype(0.1), dtype(0.3))


@pytest.mark.parametrize("datatype", WHOLE)
def test_a_range_wider_than_the_datatype_is_cut_to_it(datatype: str) -> None:
    found = values(datatype, range=[-1e30, 1e30])
    info = np.iinfo(DTYPES[datatype])
    assert (found.min(), found.max()) == (info.min, info.max)


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_a_range_as_wide_as_the_datatype_stays_finite(datatype: str) -> None:
    found = values(datatype, range=[-1.7e308, 1.7e308])
    assert np.isfinite(found).all()


def test_a_whole_number_is_within_a_range_between_whole_numbers() -> None:
    assert set(values("INT32", range=[0.5, 2.9]).tolist()) == {1, 2}


def test_edges_hold_zeros_of_both_signs_subnormals_and_the_values_next_to_the_bounds() -> None:
    found = {value.hex() for value in values("FP64", edge_share=1.0, range=[-1.0, 1.0]).tolist()}
    wanted = [-1.0, 1.0, 0.0, -0.0, 5e-324, -5e-324, np.nextafter(1, 0), np.nextafter(-1, 0)]
    assert {float(value).hex() for value in wanted} <= found


def test_null_comes_where_it_is_allowed() -> None:
    assert np.isnan(values("FP32", range=[0, 1], nulls="allow")).any()


@pytest.mark.parametrize("nulls", ["unset", "refuse"])
def test_null_does_not_come_where_it_is_not_allowed(nulls: str) -> None:
    assert not np.isnan(values("FP32", range=[0, 1], nulls=nulls)).any()


@pytest.mark.parametrize(
    ("datatype", "categories"),
    [("BYTES", ["rice", "maïs"]), ("INT64", [3, 5]), ("FP32", [1, 4]), ("BYTES", ["only"])],
)
def test_every_category_comes_and_nothing_else(datatype: str, categories: list[Any]) -> None:
    assert set(values(datatype, categories=categories).tolist()) == set(categories)


def test_a_category_outside_the_range_does_not_come() -> None:
    assert set(values("INT8", categories=[1, 2, 9], range=[0, 5]).tolist()) == {1, 2}


def test_columns_keep_their_own_rules_and_the_others_those_of_the_tensor() -> None:
    known = model(
        tensor(
            "x",
            "FP32",
            [-1, 3],
            columns=["a", "b", "c"],
            range=[0, 1],
            column_rules={"a": {"range": [10, 20]}, "c": {"categories": [7, 8]}},
        )
    )
    found = drawn(known, edge_share=0.5)["x"]
    assert (found.min(axis=0).tolist(), found.max(axis=0).tolist()) == ([10, 0, 7], [20, 1, 8])


def test_images_and_sequences_get_the_rules_of_their_last_axis() -> None:
    known = model(
        tensor(
            "x",
            "INT32",
            [-1, 4, 2],
            columns=["a", "b"],
            column_rules={"a": {"range": [0, 1]}, "b": {"range": [5, 6]}},
        )
    )
    found = drawn(known)["x"]
    assert (found[..., 0].max(), found[..., 1].min()) == (1, 5)


def test_a_dimension_that_may_vary_gets_the_chosen_size() -> None:
    known = model(tensor("ids", "INT64", [-1, -1]))
    assert drawn(known, 3, variable_size=5)["ids"].shape == (3, 5)


@pytest.mark.parametrize("datatype", [*DTYPES])
def test_without_a_range_values_stay_moderate(datatype: str) -> None:
    found = values(datatype)
    if datatype == "BYTES":
        assert all(isinstance(text, str) and 0 < len(text) <= 256 for text in found)
    else:
        assert np.abs(found.astype(np.float64)).max() <= 1e4


@pytest.mark.parametrize(
    ("bounds", "lowest", "highest"), [([5, None], 5, 10_005), ([None, 5], -9_995, 5)]
)
def test_an_open_side_of_a_range_stays_moderate(
    bounds: list[float | None], lowest: float, highest: float
) -> None:
    found = values("FP64", range=bounds)
    assert (found.min(), found.max()) == (lowest, highest)


def test_an_edge_row_may_be_at_the_lowest_value_of_every_input() -> None:
    found = drawn(MIXED, edge_share=1.0)
    at_low = (found["x"] == -2).all(axis=1) & (found["day"] == 1) & ~found["wet"]
    assert at_low.any()


def test_the_share_of_edge_rows_is_the_chosen_one() -> None:
    found = values("FP64", edge_share=0.25, range=[0.0, 1.0])
    edges = np.isin(found, [0.0, 1.0, 5e-324, np.nextafter(1, 0)])
    assert 0.2 < edges.mean() < 0.3


def test_no_edge_rows_where_none_are_wanted() -> None:
    assert not np.isin(values("FP64", edge_share=0.0, range=[0.0, 1.0]), [0.0, 1.0]).any()


bounds = st.floats(-1e6, 1e6) | st.floats()


@given(st.sampled_from(NUMBERS), bounds, bounds, st.integers(0, 2**32 - 1))
def test_any_range_that_holds_a_value_is_kept(
    datatype: str, first: float, second: float, seed: int
) -> None:
    if np.isnan(first) or np.isnan(second) or np.isinf(first) or np.isinf(second):
        return
    low, high = sorted([first, second])
    known = model(tensor("x", datatype, [-1], range=[low, high]))
    try:
        found = drawn(known, 50, seed=seed, edge_share=0.5)["x"]
    except BadRows:
        return  # no value of the datatype lies within
    with np.errstate(over="ignore"):
        cast = DTYPES[datatype].type if datatype.startswith("FP") else float
        assert (cast(low) <= found).all()
        assert (found <= cast(high)).all()


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ({"range": [300, 400]}, r"input 'x': its range \[300.0, 400.0\] holds no value"),
        ({"range": [1.2, 1.8]}, "holds no value"),
        ({"range": [0, 3], "categories": [8]}, "no category is within its range"),
    ],
)
def test_rules_that_no_value_keeps_are_named(rules: dict[str, Any], why: str) -> None:
    with pytest.raises(BadRows, match=why):
        values("UINT8", **rules)


def test_a_model_of_fixed_rows_takes_no_other_number() -> None:
    source = SyntheticRows(model(tensor("x", "FP32", [4, 2])))
    assert source.draw(4).rows["x"].shape == (4, 2)
    with pytest.raises(BadRows, match="exactly 4 rows in a request, not 1"):
        source.draw(1)


@pytest.mark.parametrize("options", [{"edge_share": 1.1}, {"variable_size": 0}])
def test_a_setting_out_of_its_bounds_is_named(options: dict[str, Any]) -> None:
    with pytest.raises(BadRows, match=next(iter(options))):
        SyntheticRows(MIXED, **options)
