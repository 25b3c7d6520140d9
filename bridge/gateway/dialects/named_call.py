"""A call that came as named rows: what its answer has to look like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bridge.contract.units import Conversion
from bridge.gateway.dialects.call import Array, InferCall

Layout = Literal["rows", "columns"]


@dataclass(frozen=True, slots=True)
class OutputUnit:
    """The unit that a caller wants; `weights`, shape (rows,), are pounds per bushel if needed."""

    unit: str
    conversion: Conversion
    weights: np.ndarray[Any, np.dtype[np.float64]] | None

    def converted(self, values: Array) -> Array:
        """Return an output's values, shape (rows, ...), in the unit; floating ones keep theirs."""
        weights = self.weights
        if weights is not None:
            weights = weights.reshape(-1, *[1] * (values.ndim - 1))
        with np.errstate(over="ignore", invalid="ignore"):
            converted = self.conversion.apply(values.astype(np.float64), weights)
            return converted.astype(values.dtype) if values.dtype.kind == "f" else converted


class NamedCall(InferCall, frozen=True, kw_only=True):
    """An `InferCall` whose answer is named rows, or columns.

    `output_units`: by the name of an output's values, see `value_names`; contract's unit elsewhere.
    """

    layout: Layout
    output_units: Mapping[str, OutputUnit]
