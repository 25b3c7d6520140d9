"""`contract.toml`: what a team declares about a model version, and how it meets the graph."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from bridge.contract.commodity import CommodityError, UnitsSection
from bridge.contract.datatype import DATATYPES
from bridge.contract.decision import DecisionSection
from bridge.contract.defaults import default_fault
from bridge.contract.model import (
    TIMEOUTS_PER_TARGET,
    Category,
    Commodities,
    Default,
    Nulls,
    OnRowDependence,
    Padding,
    PadValue,
    Serving,
    TensorSpec,
    ValueRules,
)
from bridge.contract.padding_declaration import PaddingError, callers_inputs, declared_padding

DEFAULT_LATENCY_TARGET_MS = 100.0
# An instant further off would not fit into a frame; it is also what a caller may ask for at most.
TIMEOUT_MS_MAX = 3_600_000.0


class DeclarationError(Exception):
    """`contract.toml` cannot be used; the message names the key and what was expected."""


class _Rules(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    description: str = ""
    range: tuple[float, float] | None = None
    categories: list[Category] | None = None
    unit: str | None = None
    nulls: Nulls = "unset"
    default: Default | None = None

    def rules(self, where: str) -> ValueRules:
        if self.range is not None and not self.range[0] <= self.range[1]:
            raise DeclarationError(f"{where}.range: {list(self.range)} is not [lowest, highest]")
        return ValueRules(
            range=self.range,
            categories=None if self.categories is None else tuple(self.categories),
            unit=self.unit,
            nulls=self.nulls,
            description=self.description,
            default=self.default,
        )


class _Tensor(_Rules, forbid_unknown_fields=True, kw_only=True):
    datatype: str | None = None
    shape: list[int] | None = None
    columns: list[str] = []
    column: dict[str, _Rules] = {}


class _Input(_Tensor, forbid_unknown_fields=True, kw_only=True):
    pad: PadValue | None = None
    buckets: list[int] | None = None
    mask: str | None = None
    length: str | None = None


class _Serving(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    latency_target_ms: float = DEFAULT_LATENCY_TARGET_MS
    timeout_ms: float | None = None
    max_batch_rows: int | None = None
    on_row_dependence: OnRowDependence = "refuse"


class Declaration(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A parsed `contract.toml`; every part is optional."""

    description: str = ""
    serving_section: _Serving = msgspec.field(default_factory=_Serving, name="serving")
    inputs: dict[str, _Input] = {}
    outputs: dict[str, _Tensor] = {}
    decision: DecisionSection | None = None
    units: UnitsSection | None = None

    def serving(self) -> Serving:
        """Return the serving targets in seconds.

        Raises:
            DeclarationError: a target, timeout or cap that is not positive, a timeout shorter
                than the target, or either longer than `TIMEOUT_MS_MAX`.
        """
        section = self.serving_section
        target_ms = section.latency_target_ms
        timeout_ms = section.timeout_ms
        if timeout_ms is None:
            timeout_ms = min(target_ms * TIMEOUTS_PER_TARGET, TIMEOUT_MS_MAX)
        if not 0 < target_ms <= TIMEOUT_MS_MAX:
            raise DeclarationError(
                f"serving.latency_target_ms: {target_ms:g} is not positive and at most "
                f"{TIMEOUT_MS_MAX:.0f}"
            )
        if not target_ms <= timeout_ms <= TIMEOUT_MS_MAX:
            raise DeclarationError(
                f"serving.timeout_ms: {timeout_ms:g} is not between the latency target, "
                f"{target_ms:g}, and {TIMEOUT_MS_MAX:.0f}"
            )
        if section.max_batch_rows is not None and section.max_batch_rows < 1:
            raise DeclarationError(f"serving.max_batch_rows: {section.max_batch_rows} is below 1")
        return Serving(
            latency_target_s=target_ms / 1000,
            timeout_s=timeout_ms / 1000,
            max_batch_rows=section.max_batch_rows,
            on_row_dependence=section.on_row_dependence,
        )

    def caller_inputs(
        self, graph: tuple[TensorSpec, ...] | None, *, replaced: bool
    ) -> tuple[TensorSpec, ...]:
        """Return the inputs that callers send: the graph's, annotated, or the declared ones.

        `replaced` says that the version's pipeline has a function of its own before the model.

        Raises:
            DeclarationError: a declared tensor that the graph does not have or that contradicts
                it, or no tensors at all.
        """
        specs = _meet(self.inputs, graph, "inputs", replaced=replaced)
        return callers_inputs(self._padding(specs), specs)

    def padding(self, graph: tuple[TensorSpec, ...] | None, *, replaced: bool) -> Padding | None:
        """Return how rows of different lengths are padded, None if they are not.

        Raises:
            DeclarationError: an input that cannot be padded as declared, or as `caller_inputs`.
        """
        return self._padding(_meet(self.inputs, graph, "inputs", replaced=replaced))

    def _padding(self, specs: tuple[TensorSpec, ...]) -> Padding | None:
        try:
            return declared_padding(self.inputs, specs)
        except PaddingError as error:
            raise DeclarationError(str(error)) from error

    def commodities(self, inputs: tuple[TensorSpec, ...]) -> Commodities | None:
        """Return what bushels weigh, None where nothing is said; `inputs` are the callers'.

        Raises:
            DeclarationError: no commodity, a weight that is not positive, or no such column.
        """
        try:
            return None if self.units is None else self.units.commodities_of(inputs)
        except CommodityError as error:
            raise DeclarationError(str(error)) from error

    def caller_outputs(
        self, graph: tuple[TensorSpec, ...] | None, *, replaced: bool
    ) -> tuple[TensorSpec, ...]:
        """Return the outputs that callers get; see `caller_inputs`."""
        return _meet(self.outputs, graph, "outputs", replaced=replaced)


def parse_declaration(text: bytes) -> Declaration:
    """Return the declaration that the bytes of a `contract.toml` hold.

    Raises:
        DeclarationError: not TOML, an unknown key, a value of the wrong type.
    """
    try:
        document = tomllib.loads(text.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DeclarationError(f"not TOML: {error}") from error
    try:
        return msgspec.convert(document, Declaration)
    except msgspec.ValidationError as error:
        raise DeclarationError(_with_names(str(error), document)) from error


def _with_names(message: str, document: dict[str, Any]) -> str:
    """Name the tensor and the column, for which msgspec writes `[...]`."""
    section = "inputs" if "$.inputs[...]" in message else "outputs"
    tensors = document.get(section)
    if f"$.{section}[...]" not in message or not isinstance(tensors, dict):
        return message
    wanted = _Input if section == "inputs" else _Tensor
    name = next(name for name, item in tensors.items() if not _converts(item, wanted))
    message = message.replace("[...]", f".{name}", 1)
    columns = tensors[name].get("column") if isinstance(tensors[name], dict) else None
    if "[...]" not in message or not isinstance(columns, dict):
        return message
    column = next(name for name, item in columns.items() if not _converts(item, _Rules))
    return message.replace("[...]", f".{column!r}", 1)


def _converts(value: object, wanted: type[_Rules]) -> bool:
    try:
        msgspec.convert(value, wanted)
    except msgspec.ValidationError:
        return False
    return True


def _meet(
    declared: Mapping[str, _Tensor],
    graph: tuple[TensorSpec, ...] | None,
    section: str,
    *,
    replaced: bool,
) -> tuple[TensorSpec, ...]:
    own = graph is None or (replaced and any(item.datatype for item in declared.values()))
    if own:
        if not declared:
            raise DeclarationError(
                f"{section}: must be declared, with datatypes, for a model without model.onnx"
            )
        return tuple(_declared(name, item, section) for name, item in declared.items())
    assert graph is not None
    known = {spec.name: spec for spec in graph}
    for name in declared:
        if name not in known:
            raise DeclarationError(
                f"{section}.{name}: the graph has no such tensor, it has {', '.join(known)}"
            )
    return tuple(
        _annotated(spec, declared[spec.name], section) if spec.name in declared else spec
        for spec in graph
    )


def _declared(name: str, item: _Tensor, section: str) -> TensorSpec:
    where = f"{section}.{name}"
    if item.datatype not in DATATYPES:
        raise DeclarationError(
            f"{where}.datatype: {item.datatype!r} is not one of {', '.join(DATATYPES)}"
        )
    shape = tuple(item.shape or (-1,))
    if shape[0] != -1 or any(size < 1 and size != -1 for size in shape):
        raise DeclarationError(f"{where}.shape: {list(shape)} must start with -1, the rows")
    return _with_rules(TensorSpec(name=name, datatype=item.datatype, shape=shape), item, where)


def _annotated(spec: TensorSpec, item: _Tensor, section: str) -> TensorSpec:
    where = f"{section}.{spec.name}"
    if item.datatype is not None and item.datatype != spec.datatype:
        raise DeclarationError(
            f"{where}.datatype: {item.datatype}, but the graph says {spec.datatype}"
        )
    if item.shape is not None and tuple(item.shape) != spec.shape:
        raise DeclarationError(
            f"{where}.shape: {item.shape}, but the graph says {list(spec.shape)}"
        )
    return _with_rules(spec, item, where)


def _with_rules(spec: TensorSpec, item: _Tensor, where: str) -> TensorSpec:
    if item.columns:
        width = spec.shape[-1] if len(spec.shape) > 1 else None
        if width != len(item.columns) or len(set(item.columns)) != len(item.columns):
            raise DeclarationError(
                f"{where}.columns: {len(item.columns)} names (each once) for a last axis of {width}"
            )
    for name in item.column:
        if name not in item.columns:
            raise DeclarationError(f"{where}.column.{name!r}: not among the tensor's columns")
    rules = item.rules(where)
    _refuse_mistyped(spec, rules, where)
    column_rules: dict[str, ValueRules] = {}
    for name, column in item.column.items():
        column_rules[name] = column.rules(f"{where}.column.{name!r}")
        _refuse_mistyped(spec, column_rules[name], f"{where}.column.{name!r}")
    return msgspec.structs.replace(
        spec, columns=tuple(item.columns), rules=rules, column_rules=column_rules
    )


def _refuse_mistyped(spec: TensorSpec, rules: ValueRules, where: str) -> None:
    kind = spec.type.kind
    expected: dict[str, type[Any]] = {"bytes": str, "integer": int}
    if rules.categories is not None and not all(
        isinstance(value, expected.get(kind, ())) for value in rules.categories
    ):
        raise DeclarationError(
            f"{where}.categories: must be text for BYTES and whole numbers for integer tensors"
        )
    if rules.categories is not None and not rules.categories:
        raise DeclarationError(f"{where}.categories: an empty list accepts nothing")
    if rules.range is not None and kind not in ("integer", "floating"):
        raise DeclarationError(f"{where}.range: a {spec.datatype} tensor has no range")
    if rules.unit is not None and kind not in ("integer", "floating"):
        raise DeclarationError(f"{where}.unit: a {spec.datatype} tensor has no unit")
    if rules.range is not None and kind == "integer" and not _holds_integer(spec, rules.range):
        raise DeclarationError(f"{where}.range: {list(rules.range)} holds no {spec.datatype}")
    if rules.nulls == "allow" and kind != "floating":
        raise DeclarationError(f"{where}.nulls: a {spec.datatype} tensor cannot hold nulls")
    fault = default_fault(spec, rules)
    if fault is not None:
        raise DeclarationError(f"{where}.default: {fault}")


def _holds_integer(spec: TensorSpec, bounds: tuple[float, float]) -> bool:
    """Return whether the range holds a value of the tensor's integer datatype."""
    dtype: np.dtype[Any] = spec.type.dtype
    info = np.iinfo(dtype)
    low, high = max(bounds[0], info.min), min(bounds[1], info.max)
    return low <= high and math.ceil(low) <= math.floor(high)
