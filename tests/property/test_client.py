"""Properties of the client over generated input."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bridge.contract.datatype import DATATYPES
from tests.unit.client.calls import there_and_back

FIXED = [name for name in DATATYPES if name != "BYTES"]


@given(st.data(), st.sampled_from(FIXED))
def test_an_array_arrives_bit_by_bit_and_comes_back(data: st.DataObject, datatype: str) -> None:
    shapes = arrays.array_shapes(min_dims=2, max_dims=2, max_side=5)
    array = data.draw(arrays.arrays(DATATYPES[datatype].dtype, shapes))
    arrived, came_back = there_and_back(datatype, array)
    assert (arrived.tobytes(), came_back.tobytes()) == (array.tobytes(), array.tobytes())
    assert (came_back.shape, came_back.dtype) == (array.shape, array.dtype)
