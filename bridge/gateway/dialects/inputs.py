"""The inputs of a model version, compiled: names, datatypes, shapes, completeness."""

from __future__ import annotations

import math

from bridge.contract.invalid import InvalidCode, InvalidInput, shown
from bridge.contract.model import ModelContract, TensorSpec
from bridge.contract.values import ValueCheck
from bridge.gateway.dialects.call import Array, InputLimits

_NAMES_SHOWN = 4


class InputTensor:
    """One input: what its datatype, shape and values must be."""

    def __init__(self, spec: TensorSpec, limits: InputLimits) -> None:
        self.spec = spec
        self.name = spec.name
        self.shown_name = shown(spec.name)
        self.type = spec.type
        check = ValueCheck(spec)
        self.check = None if check.is_empty else check
        self._limits = limits
        self._fixed_tail = None if -1 in spec.row_shape else list(spec.row_shape)

    def checked_shape(self, datatype: str, shape: list[int]) -> tuple[int, ...]:
        """Return the shape of a tensor that a caller announces; nothing is allocated for it.

        Raises:
            InvalidInput: `wrong_dtype`, `wrong_shape`, `empty` or `too_many_rows`.
        """
        if datatype != self.type.name:
            raise InvalidInput(
                InvalidCode.WRONG_DTYPE,
                f"input {self.shown_name}: datatype '{shown(datatype)}', "
                f"the model takes {self.type.name}",
            )
        if shape[1:] != self._fixed_tail or not shape or not 0 < shape[0] <= self._limits.rows_max:
            self._check_shape(shape)
        return tuple(shape)

    def _check_shape(self, shape: list[int]) -> None:
        """The slow way to the same answer, for variable dimensions and for errors."""
        expected = self.spec.shape
        if len(shape) != len(expected):
            raise self._wrong_shape(shape, f"{len(expected)} dimensions are expected")
        if any(not 0 <= size <= self._limits.dimension_max for size in shape):
            raise self._wrong_shape(shape, "a dimension is negative or too large")
        if 0 in shape:
            raise InvalidInput(
                InvalidCode.EMPTY,
                f"input {self.shown_name}: shape {shown(shape)} holds no values",
            )
        for size, wanted in zip(shape[1:], expected[1:], strict=True):
            if wanted not in (-1, size):
                raise self._wrong_shape(shape, "a dimension differs")
        if shape[0] > self._limits.rows_max:
            raise InvalidInput(
                InvalidCode.TOO_MANY_ROWS,
                f"input {self.shown_name}: {shape[0]} rows, at most {self._limits.rows_max} "
                "are accepted in one request",
            )

    def _wrong_shape(self, shape: list[int], why: str) -> InvalidInput:
        return InvalidInput(
            InvalidCode.WRONG_SHAPE,
            f"input {self.shown_name}: shape {shown(shape)}, the model takes "
            f"{shown(list(self.spec.shape))}: {why}",
        )

    def size_mismatch(self, shape: tuple[int, ...], found: str) -> InvalidInput:
        """Return the error for data that is not as many values as the shape says."""
        return InvalidInput(
            InvalidCode.SHAPE_DATA_MISMATCH,
            f"input {self.shown_name}: shape {shown(list(shape))} holds {math.prod(shape)} "
            f"values, the data {found}",
        )


class Inputs:
    """All inputs of a model version."""

    def __init__(self, contract: ModelContract, limits: InputLimits) -> None:
        self.tensors = {spec.name: InputTensor(spec, limits) for spec in contract.inputs}
        self._names = list(self.tensors)

    def unknown_or_twice(self, name: str, found: dict[str, Array]) -> InvalidInput:
        """Return the error for a name that the model does not have or that came before."""
        if name in found:
            return InvalidInput(
                InvalidCode.DUPLICATE_NAME, f"inputs: '{shown(name)}' is given twice"
            )
        return InvalidInput(
            InvalidCode.UNKNOWN_NAME,
            f"inputs: the model has no input '{shown(name)}', it has {self._listed()}",
        )

    def complete(self, found: dict[str, Array]) -> dict[str, Array]:
        """Return the found tensors in the contract's order.

        Raises:
            InvalidInput: `missing`; `wrong_shape` where the numbers of rows differ.
        """
        if len(found) < len(self._names):
            missing = next(name for name in self._names if name not in found)
            raise InvalidInput(InvalidCode.MISSING, f"inputs: '{shown(missing)}' is missing")
        if len(found) == 1:
            return found
        rows = {array.shape[0] for array in found.values()}
        if len(rows) > 1:
            raise InvalidInput(
                InvalidCode.WRONG_SHAPE,
                "inputs: the first dimension is the rows and must be equal in all inputs, "
                f"found {', '.join(str(count) for count in sorted(rows)[:_NAMES_SHOWN])}",
            )
        return {name: found[name] for name in self._names}

    def _listed(self) -> str:
        listed = ", ".join(shown(name) for name in self._names[:_NAMES_SHOWN])
        return listed if len(self._names) <= _NAMES_SHOWN else f"{listed}, ..."
