"""Named rows: values under the contract's names instead of tensors, and answers likewise.

`{"rows": [{"mean radius": 14.1, ...}, ...]}` or `{"columns": {"mean radius": [14.1, ...], ...}}`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from bridge.contract.invalid import InvalidCode, InvalidInput, shown
from bridge.contract.model import ModelContract, TensorSpec, ValueRules
from bridge.contract.named_columns import column_names, did_you_mean, rules_by_value
from bridge.contract.units import Units
from bridge.gateway.dialects import json_fault
from bridge.gateway.dialects.call import Array, InputLimits, WantedOutput
from bridge.gateway.dialects.inputs import Inputs
from bridge.gateway.dialects.named_call import NamedCall, OutputUnit
from bridge.gateway.dialects.named_cells import Cells, ColumnCells, RowCells
from bridge.gateway.dialects.named_input import NamedInput
from bridge.gateway.dialects.options import MaybeParameters, read_id, read_options
from bridge.gateway.dialects.stated_units import BushelWeights, StatedUnits

UNSET = msgspec.UNSET
# What may be read on the event loop in one go: each value is an object of Python's for a while, a
# list or an object in JSON costs ten times as much, and so does one that states its own unit.
VALUES_MAX = 131_072
BRACKETS_MAX = 16_384

_NO_NAMES: dict[str, str] = {}


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    rows: list[dict[str, Any]] | msgspec.UnsetType = UNSET
    columns: dict[str, list[Any]] | msgspec.UnsetType = UNSET
    units: dict[str, str] | msgspec.UnsetType | None = UNSET
    outputs: list[str] | msgspec.UnsetType | None = UNSET
    output_units: dict[str, str] | msgspec.UnsetType | None = UNSET
    id: str | msgspec.UnsetType | None = UNSET
    parameters: MaybeParameters = UNSET


class NamedRequests:
    """Reads the named rows of one model version."""

    def __init__(
        self,
        contract: ModelContract,
        inputs: Inputs,
        limits: InputLimits,
        units: Units,
    ) -> None:
        self._limits = limits
        self._inputs = inputs
        self._outputs = {
            spec.name: WantedOutput(spec.name, binary=False) for spec in contract.outputs
        }
        self._units = units
        self._weights = BushelWeights(contract)
        self._decoder = msgspec.json.Decoder(_Request)
        shared = _shared_names(contract.inputs)
        named = [NamedInput(tensor, self._weights, shared) for tensor in inputs.tensors.values()]
        # The commodity first: what others weigh depends on it.
        named.sort(key=lambda item: item.tensor.name != self._weights.input_name)
        self._named = named
        self._names = list(dict.fromkeys(name for item in named for name in item.names))
        self._known = frozenset(self._names)
        shapes = [tensor.spec.row_shape for tensor in inputs.tensors.values()]
        self._row_values = sum(abs(math.prod(shape)) for shape in shapes)
        self._output_rules = _output_rules(contract.outputs)

    def parse(self, text: bytes) -> NamedCall:
        """Return the call that the JSON `text` holds.

        Raises:
            InvalidInput: anything that JSON, the form or the contract do not accept.
        """
        try:
            return self._read(text)
        except (InvalidInput, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise json_fault.explained(text, error, self._limits.json_depth_max) from None

    def _read(self, text: bytes) -> NamedCall:
        _refuse_large(text)
        request = self._decoder.decode(text)
        options = read_options(request.parameters, self._limits)
        cells = self._cells(request)
        _refuse_duplicate_keys(text, request, cells)
        by_name = request.units or _NO_NAMES
        self._refuse_unknown(by_name, "units: ")
        stated = StatedUnits(by_name, self._units)
        tensors: dict[str, Array] = {}
        for named in self._named:
            tensors[named.tensor.name] = named.read(cells, stated, tensors)
        outputs = self._wanted(request)
        return NamedCall(
            read_id(request.id, self._limits),
            cells.rows,
            self._inputs.complete(tensors),
            outputs,
            options.timeout_s,
            options.timeout_is_capped,
            options.priority,
            "named",
            layout="columns" if request.rows is UNSET else "rows",
            output_units=self._output_units(
                request.output_units or _NO_NAMES, stated, tensors, cells.rows
            ),
        )

    def _cells(self, request: _Request) -> Cells:
        rows, columns = request.rows, request.columns
        if (rows is UNSET) == (columns is UNSET):
            raise InvalidInput(
                InvalidCode.SCHEMA, "either 'rows' or 'columns' must be given, and not both"
            )
        if not isinstance(rows, msgspec.UnsetType):
            self._refuse_rows(len(rows))
            cells: Cells = RowCells(rows)
        else:
            assert not isinstance(columns, msgspec.UnsetType)
            self._refuse_rows(max(map(len, columns.values()), default=0))
            cells = ColumnCells(columns)
        if cells.rows * self._row_values > VALUES_MAX:
            raise _too_large(f"{cells.rows} rows of {self._row_values} values, at most", VALUES_MAX)
        if not cells.rows:
            raise InvalidInput(InvalidCode.EMPTY, "there are no rows")
        if not cells.names <= self._known:
            name = min(cells.names - self._known)
            self._refuse_unknown([name], cells.where(name))
        return cells

    def _refuse_rows(self, count: int) -> None:
        if count > self._limits.rows_max:
            raise InvalidInput(
                InvalidCode.TOO_MANY_ROWS,
                f"{count} rows, at most {self._limits.rows_max} are accepted in one request",
            )

    def _refuse_unknown(self, names: Any, where: str) -> None:
        for name in names:
            if name not in self._known:
                raise InvalidInput(
                    InvalidCode.UNKNOWN_NAME,
                    f"{where}the model has no column '{shown(name)}'"
                    f"{did_you_mean(name, self._names)}",
                )

    def _wanted(self, request: _Request) -> tuple[WantedOutput, ...]:
        if not request.outputs:
            return tuple(self._outputs.values())
        found: dict[str, WantedOutput] = {}
        for name in request.outputs:
            if name in found:
                raise InvalidInput(
                    InvalidCode.DUPLICATE_NAME, f"outputs: '{shown(name)}' is named twice"
                )
            if name not in self._outputs:
                raise _unknown_output("outputs", name, self._outputs)
            found[name] = self._outputs[name]
        return tuple(found.values())

    def _output_units(
        self,
        by_name: dict[str, str],
        stated: StatedUnits,
        tensors: dict[str, Array],
        rows: int,
    ) -> dict[str, OutputUnit]:
        found: dict[str, OutputUnit] = {}
        for name, unit in by_name.items():
            values = self._output_rules.get(name)
            if values is None:
                raise _unknown_output("output_units", name, self._output_rules)
            for value_name, rules in values.items():
                where = f"output '{shown(value_name)}'"
                conversion = stated.output_conversion(unit, rules, where)
                weights = None
                if conversion.needs_test_weight:
                    where = f"{where}: {rules.unit} to {unit}"
                    weights = self._weights.of_rows(tensors, range(rows), where)
                found[value_name] = OutputUnit(unit, conversion, weights)
        return found


def _shared_names(inputs: Sequence[TensorSpec]) -> frozenset[str]:
    """The names that more than one input has, of its own or of a column."""
    counts = Counter(name for spec in inputs for name in {spec.name, *column_names(spec)})
    return frozenset(name for name, count in counts.items() if count > 1)


def _refuse_large(text: bytes) -> None:
    """Refuse what holds too many values before any of them is made; `too_large`."""
    commas, brackets = text.count(b","), text.count(b"[") + text.count(b"{")
    if commas > VALUES_MAX or brackets > BRACKETS_MAX:
        commas, brackets = json_fault.separator_counts(text)
    if commas > VALUES_MAX:
        raise _too_large("more values than", VALUES_MAX)
    if brackets > BRACKETS_MAX:
        raise _too_large(f"{brackets} lists and objects, at most", BRACKETS_MAX)


def _too_large(what: str, bound: int) -> InvalidInput:
    return InvalidInput(
        InvalidCode.TOO_LARGE,
        f"{what} {bound} are accepted in one request of named values; send columns, or tensors",
    )


def _unknown_output(where: str, name: str, known: Iterable[str]) -> InvalidInput:
    return InvalidInput(
        InvalidCode.UNKNOWN_NAME,
        f"{where}: the model has no output '{shown(name)}'{did_you_mean(name, known)}",
    )


def _output_rules(outputs: Sequence[TensorSpec]) -> dict[str, dict[str, ValueRules]]:
    """The names that a unit may be asked for, each with the values that are meant by it."""
    found: dict[str, dict[str, ValueRules]] = {}
    for spec in outputs:
        values = rules_by_value(spec)
        found |= {name: {name: rules} for name, rules in values.items()}
        found[spec.name] = values
    return found


def _refuse_duplicate_keys(text: bytes, request: _Request, cells: Cells) -> None:
    """Refuse repeated keys, of which msgspec keeps the last; see v2_json.py.

    Raises:
        InvalidInput: `duplicate_key`.
    """
    keys = _key_count(text, request, cells)
    if text.count(b":") != keys and json_fault.pair_count(text) != keys:
        raise InvalidInput(InvalidCode.DUPLICATE_KEY, "an object has the same key twice")


def _key_count(text: bytes, request: _Request, cells: Cells) -> int:
    fields = [getattr(request, name) for name in request.__struct_fields__]
    maps = [request.units, request.output_units, request.parameters]
    objects = [item for item in maps if isinstance(item, dict)]
    objects += cells.objects()
    keys = sum(value is not UNSET for value in fields) + sum(map(len, objects))
    # One brace for the request and for each of these; more are in cells, or in text.
    if text.count(b"{") != 1 + len(objects):
        keys += sum(_inner_keys(cell) for some in cells.all() for cell in some)
    return keys


def _inner_keys(cell: Any) -> int:
    if type(cell) is dict:
        return len(cell) + sum(map(_inner_keys, cell.values()))
    return sum(map(_inner_keys, cell)) if type(cell) is list else 0
