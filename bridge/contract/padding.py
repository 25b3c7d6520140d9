"""Rows of different lengths in one shape: padded up to a bucket, and their answers cut back.

A model that runs with a few lengths only has batches that many callers share; what it must not
have is answers that change with the padding, which `workers/check/padding_check.py` tries.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bridge.contract.invalid import InvalidCode, InvalidInput, shown
from bridge.contract.model import ModelContract, PadValue, TensorSpec

Array = np.ndarray[Any, np.dtype[Any]]

# What one request may become: bodies are bounded before, but a row of one value may be padded to
# the longest bucket.
PADDED_BYTES_MAX = 32 * 2**20
# What a text is taken for.
_TEXT_BYTES = 8


class UnpaddedOutput(Exception):
    """An output whose varying dimension has not the size that its batch was padded to."""


@dataclass(frozen=True, slots=True)
class PaddedRows:
    """What a run takes: every input of `ModelContract.run_inputs`, in order, shape (rows, ...).

    `length` is what the rows had, `bucket` what they have now.
    """

    tensors: dict[str, Array]
    length: int
    bucket: int


class Padder:
    """Pads and cuts by one contract, which has a `padding`."""

    def __init__(self, contract: ModelContract) -> None:
        assert contract.padding is not None
        self._padding = contract.padding
        self._specs = {spec.name: spec for spec in contract.inputs}
        self._axes = {name: self._specs[name].shape.index(-1, 1) for name in self._padding.values}
        self._cut_axes = {spec.name: varying_axes(spec) for spec in contract.outputs}
        # What one place along the varying dimension takes, of all inputs.
        self._place_bytes = sum(
            _place_bytes(spec) for spec in contract.run_inputs if -1 in spec.row_shape
        )
        self._rank = {spec.name: len(spec.shape) for spec in contract.outputs}

    @property
    def buckets(self) -> tuple[int, ...]:
        """The lengths that runs have, ascending."""
        return self._padding.buckets

    def bucket(self, length: int) -> int:
        """Return the shortest bucket for rows of a length.

        Raises:
            InvalidInput: `too_long` for every bucket.
        """
        place = bisect_left(self.buckets, length)
        if place == len(self.buckets):
            raise self.too_long(length)
        return self.buckets[place]

    def length(self, tensors: Mapping[str, Array]) -> int:
        """Return the length that the rows of some callers' inputs have.

        Raises:
            InvalidInput: `wrong_shape` for inputs of different lengths.
        """
        lengths = [int(tensors[name].shape[axis]) for name, axis in self._axes.items()]
        if len(lengths) > 1 and len(set(lengths)) > 1:
            named = zip(self._axes, lengths, strict=True)
            said = ", ".join(f"{shown(name)} {length}" for name, length in named)
            raise InvalidInput(
                InvalidCode.WRONG_SHAPE, f"inputs: their lengths must be equal, found {said}"
            )
        return lengths[0]

    def too_long(self, length: int) -> InvalidInput:
        """Return the refusal of rows that no bucket holds."""
        name = next(iter(self._axes))
        return InvalidInput(
            InvalidCode.TOO_LONG,
            f"input {shown(name)}: rows of length {length}, at most {self.buckets[-1]} is accepted",
        )

    def padded(self, tensors: Mapping[str, Array]) -> PaddedRows:
        """Return the rows of one length padded to their bucket, with what the system fills in.

        `tensors`: each of the contract's inputs, shape (rows, ...), rows of one length.

        Raises:
            InvalidInput: `too_long`, `too_large` for more than `PADDED_BYTES_MAX`, or as `length`.
        """
        length = self.length(tensors)
        bucket = self.bucket(length)
        rows = len(next(iter(tensors.values())))
        total = rows * bucket * self._place_bytes
        if total > PADDED_BYTES_MAX:
            raise InvalidInput(
                InvalidCode.TOO_LARGE,
                f"inputs: {rows} rows padded to length {bucket} take {total} bytes, more than the "
                f"{PADDED_BYTES_MAX} accepted",
            )
        return PaddedRows(self._padded_to(tensors, rows, length, bucket), length, bucket)

    def padded_to(self, tensors: Mapping[str, Array], size: int) -> dict[str, Array]:
        """Return the rows padded to `size`, not shorter than they are; see `padded`.

        `size` equal to their length is what they are without padding: a mask of ones.

        Raises:
            InvalidInput: as `length`.
        """
        rows = len(next(iter(tensors.values())))
        return self._padded_to(tensors, rows, self.length(tensors), size)

    def _padded_to(
        self, tensors: Mapping[str, Array], rows: int, length: int, size: int
    ) -> dict[str, Array]:
        padded = self._stretched(tensors, size)
        if self._padding.filled:
            padded.update(self.filled(np.full(rows, length), size))
        return padded

    def filled(self, lengths: Array, size: int) -> dict[str, Array]:
        """Return mask and length, if the contract has them, of rows of `lengths` padded to `size`.

        `lengths`, whole numbers, has shape (rows,).
        """
        made: dict[str, Array] = {}
        if (mask := self._padding.mask) is not None:
            made[mask.name] = (np.arange(size) < lengths[:, None]).astype(mask.type.dtype)
        if (own := self._padding.length) is not None:
            shape = (len(lengths), *own.row_shape)
            made[own.name] = lengths.astype(own.type.dtype).reshape(shape)
        return made

    def joined(self, parts: Sequence[Mapping[str, Array]], size: int) -> dict[str, Array]:
        """Return the rows of several parts, each of one length, as one batch padded to `size`."""
        padded = [self.padded_to(part, size) for part in parts]
        return {name: np.concatenate([part[name] for part in padded]) for name in padded[0]}

    def cut(self, outputs: Mapping[str, Array], rows: PaddedRows) -> dict[str, Array]:
        """Return outputs with their varying dimensions cut back to the rows' own length.

        Raises:
            UnpaddedOutput: a varying dimension of another size than the bucket.
        """
        return self.cut_to(outputs, rows.length, rows.bucket)

    def cut_to(self, outputs: Mapping[str, Array], length: int, bucket: int) -> dict[str, Array]:
        """Cut rows of one length that were padded to `bucket`; see `cut`."""
        return {name: self._cut(name, array, length, bucket) for name, array in outputs.items()}

    def _cut(self, name: str, array: Array, length: int, bucket: int) -> Array:
        axes = self._cut_axes.get(name, ())
        if not axes:
            return array
        if array.ndim != self._rank[name] or any(array.shape[axis] != bucket for axis in axes):
            raise UnpaddedOutput(
                f"output {shown(name)}: rows of shape {array.shape[1:]}, where those of the inputs "
                f"have length {bucket}"
            )
        if length == bucket:
            return array
        kept = tuple(slice(length) if axis in axes else slice(None) for axis in range(array.ndim))
        return np.ascontiguousarray(array[kept])

    def _stretched(self, tensors: Mapping[str, Array], size: int) -> dict[str, Array]:
        return {
            name: stretched(tensors[name], self._axes[name], size, self._padding.values[name])
            if name in self._axes
            else tensors[name]
            for name in self._specs
        }


def padder_of(contract: ModelContract) -> Padder | None:
    """Return what pads the rows of a contract; None if they travel as they are."""
    return None if contract.padding is None else Padder(contract)


def stretched(array: Array, axis: int, size: int, value: PadValue) -> Array:
    """Return `array` with `axis` of `size`, `value` behind what was there; itself if it is so."""
    if array.shape[axis] == size:
        return array
    shape = (*array.shape[:axis], size, *array.shape[axis + 1 :])
    made = np.full(shape, value, dtype=array.dtype)
    made[(slice(None),) * axis + (slice(array.shape[axis]),)] = array
    return made


def _place_bytes(spec: TensorSpec) -> int:
    fixed = math.prod(size for size in spec.row_shape if size != -1)
    return fixed * (spec.type.item_bytes or _TEXT_BYTES)


def varying_axes(spec: TensorSpec) -> tuple[int, ...]:
    """Return the axes of a tensor, without that of the rows, whose size may vary."""
    return tuple(axis for axis, size in enumerate(spec.shape) if axis and size == -1)


def assumed_length(contract: ModelContract, otherwise: int) -> int:
    """Return a length for made-up rows: `otherwise`, or the longest bucket if that is shorter."""
    if contract.padding is None:
        return otherwise
    return min(otherwise, contract.padding.buckets[-1])
