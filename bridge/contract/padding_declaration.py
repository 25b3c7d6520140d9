"""`pad`, `buckets`, `mask` and `length` of an input in `contract.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from bridge.contract.model import Padding, PadValue, TensorSpec
from bridge.contract.padding import varying_axes

# Powers of two, so that less than half of a row longer than the first is padding.
BUCKETS_DEFAULT = (8, 16, 32, 64, 128, 256, 512)
BUCKETS_MAX = 32
LENGTH_MAX = 65_536
_TYPES_OF: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "integer": (int,),
    "floating": (int, float),
    "bytes": (str,),
}
_SHAPES_OF: dict[str, tuple[tuple[int, ...], ...]] = {
    "mask": ((-1, -1),),
    "length": ((-1,), (-1, 1)),
}


class PaddingKeys(Protocol):
    """What `contract.toml` may say of the padding of one input."""

    @property
    def pad(self) -> PadValue | None:
        """What stands behind the values of a shorter row; None: the input is not padded."""

    @property
    def buckets(self) -> list[int] | None:
        """The lengths that rows are padded to."""

    @property
    def mask(self) -> str | None:
        """The input that tells values from padding."""

    @property
    def length(self) -> str | None:
        """The input that holds each row's own length."""


class PaddingError(Exception):
    """The padding cannot be as declared; the message names the key."""


def declared_padding(
    declared: Mapping[str, PaddingKeys], specs: tuple[TensorSpec, ...]
) -> Padding | None:
    """Return the padding that the inputs' sections say; None if none of them has `pad`.

    `specs` are all inputs, with those that are to be filled in.

    Raises:
        PaddingError: an input that cannot be padded so, or keys that do not fit each other.
    """
    by_name = {spec.name: spec for spec in specs}
    for name, keys in declared.items():
        if keys.pad is None and any(
            key is not None for key in (keys.buckets, keys.mask, keys.length)
        ):
            raise PaddingError(f"inputs.{name}.pad: is missing beside buckets, mask or length")
    padded = {name: keys for name, keys in declared.items() if keys.pad is not None}
    if not padded:
        return None
    values = {name: _pad_value(by_name[name], keys.pad) for name, keys in padded.items()}
    mask = _filled(padded, "mask", by_name)
    length = _filled(padded, "length", by_name)
    if mask is not None and mask == length:
        raise PaddingError(f"inputs.{mask.name}: cannot be both mask and length")
    for spec in (mask, length):
        if spec is not None and spec.name in padded:
            raise PaddingError(f"inputs.{spec.name}.pad: the input is filled in by the system")
    buckets = _buckets(padded)
    if length is not None and not _counts_to(length, buckets[-1]):
        raise PaddingError(f"inputs.{length.name}: {length.datatype} cannot hold {buckets[-1]}")
    return Padding(buckets=buckets, values=values, mask=mask, length=length)


def callers_inputs(
    padding: Padding | None, specs: tuple[TensorSpec, ...]
) -> tuple[TensorSpec, ...]:
    """Return the inputs without those that are filled in."""
    filled = () if padding is None else padding.filled
    return tuple(spec for spec in specs if spec not in filled)


def _pad_value(spec: TensorSpec, value: Any) -> PadValue:
    where = f"inputs.{spec.name}.pad"
    if len(varying_axes(spec)) != 1:
        raise PaddingError(
            f"{where}: needs one dimension that varies beside the rows, the shape is "
            f"{list(spec.shape)}"
        )
    given: type = type(value)
    if given not in _TYPES_OF[spec.type.kind]:
        raise PaddingError(f"{where}: {value!r} is no {spec.datatype}")
    if spec.type.kind == "integer" and not _holds(spec, value):
        raise PaddingError(f"{where}: {value} is outside {spec.datatype}")
    return float(value) if spec.type.kind == "floating" else value


def _holds(spec: TensorSpec, value: int) -> bool:
    dtype: np.dtype[Any] = spec.type.dtype
    limits = np.iinfo(dtype)
    return int(limits.min) <= value <= int(limits.max)


def _counts_to(spec: TensorSpec, longest: int) -> bool:
    """Whether every whole number up to `longest` is one of the datatype's."""
    if spec.type.kind == "integer":
        return _holds(spec, longest)
    dtype: np.dtype[Any] = spec.type.dtype
    exact_bits = int(np.finfo(dtype).nmant) + 1
    return longest <= 1 << exact_bits


def _buckets(padded: Mapping[str, PaddingKeys]) -> tuple[int, ...]:
    given = {name: tuple(keys.buckets) for name, keys in padded.items() if keys.buckets is not None}
    for name, sizes in given.items():
        where = f"inputs.{name}.buckets"
        if not 1 <= len(sizes) <= BUCKETS_MAX:
            raise PaddingError(f"{where}: {len(sizes)} lengths, from 1 to {BUCKETS_MAX} are needed")
        if sizes[0] < 1 or sizes[-1] > LENGTH_MAX or any(b <= a for a, b in pairwise(sizes)):
            raise PaddingError(
                f"{where}: {list(sizes)} must ascend, from 1 at least to {LENGTH_MAX} at most"
            )
    if len(set(given.values())) > 1:
        names = " and ".join(f"inputs.{name}.buckets" for name in given)
        raise PaddingError(f"{names}: must be equal, for the inputs of a row have one length")
    return next(iter(given.values()), BUCKETS_DEFAULT)


def _filled(
    padded: Mapping[str, PaddingKeys], key: str, by_name: Mapping[str, TensorSpec]
) -> TensorSpec | None:
    """Return the input that `mask` or `length` names."""
    named = {name: getattr(keys, key) for name, keys in padded.items() if getattr(keys, key)}
    if not named:
        return None
    if len(set(named.values())) > 1:
        names = " and ".join(f"inputs.{name}.{key}" for name in named)
        raise PaddingError(f"{names}: must name the same input")
    section, name = next(iter(named.items()))
    where, spec = f"inputs.{section}.{key}", by_name.get(name)
    if spec is None:
        raise PaddingError(f"{where}: there is no input {name}, but {', '.join(by_name)}")
    if spec.type.kind == "bytes" or (key == "length" and spec.type.kind == "bool"):
        raise PaddingError(f"{where}: {name} is {spec.datatype}, which cannot hold a {key}")
    if spec.shape not in _SHAPES_OF[key]:
        wanted = " or ".join(str(list(shape)) for shape in _SHAPES_OF[key])
        raise PaddingError(
            f"{where}: {name} has the shape {list(spec.shape)}, a {key} has {wanted}"
        )
    return spec
