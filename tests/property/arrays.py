"""Hypothesis strategies for tensors: any datatype, any shape, any text."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bridge.contract.datatype import DATATYPES

Array = np.ndarray[Any, np.dtype[Any]]

NUMERIC = [name for name in DATATYPES if name != "BYTES"]
row_shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
texts = st.text(max_size=8) | st.binary(max_size=8)


@st.composite
def arrays(draw: st.DrawFn, datatype: str, shape: tuple[int, ...]) -> Array:
    """An array of the datatype; BYTES hold str and bytes, floats NaN and infinities."""
    if datatype != "BYTES":
        return draw(hnp.arrays(DATATYPES[datatype].dtype, shape))
    count = int(np.prod(shape, dtype=int))
    flat = np.empty(count, dtype=object)
    flat[:] = draw(st.lists(texts, min_size=count, max_size=count))
    return flat.reshape(shape)


def same(first: Array, second: Array) -> bool:
    """Whether two arrays are equal to the bit, NaN included."""
    if first.dtype != second.dtype or first.shape != second.shape:
        return False
    if first.dtype == object:
        return bool(first.tolist() == second.tolist())
    return first.tobytes() == second.tobytes()
