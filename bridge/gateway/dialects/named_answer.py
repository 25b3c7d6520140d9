"""The answers to named rows: outputs under the contract's names, with their units."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import orjson

from bridge.contract.model import ModelContract, TensorSpec
from bridge.contract.named_columns import column_names, is_single, rules_by_value
from bridge.gateway.dialects.answer_head import answer_head
from bridge.gateway.dialects.call import Array, Body, OutputMismatch
from bridge.gateway.dialects.named_call import NamedCall
from bridge.gateway.dialects.v2_answer import JSON_TYPE, readable_texts


class NamedAnswers:
    """Writes the answers to named rows of one model version."""

    def __init__(self, contract: ModelContract) -> None:
        self._head = answer_head(contract)
        self._outputs = {spec.name: spec for spec in contract.outputs}
        self._units = {
            name: rules.unit
            for spec in contract.outputs
            for name, rules in rules_by_value(spec).items()
            if rules.unit is not None
        }

    def write(self, call: NamedCall, outputs: Mapping[str, Array]) -> Body:
        """Return the answer; `outputs` hold every wanted output in the contract's dtype.

        NaN and infinities are null, and `non_finite` says how many of each output; BYTES that are
        not UTF-8 have these bytes escaped, and `not_utf8` says how many.

        Raises:
            OutputMismatch: an output's rows have another shape than the contract says.
        """
        document: dict[str, Any] = {**self._head}
        if call.id is not None:
            document["id"] = call.id
        written = _Written()
        for wanted in call.outputs:
            spec = self._outputs[wanted.name]
            for name, values in _named_values(spec, outputs[wanted.name]):
                asked = call.output_units.get(name)
                written.add(name, values if asked is None else asked.converted(values))
        document[call.layout] = written.rows() if call.layout == "rows" else written.columns
        document |= written.notes(self._units, call)
        return Body(JSON_TYPE, (), orjson.dumps(document))


class _Written:
    """The columns of one answer, as lists that JSON can hold."""

    def __init__(self) -> None:
        self.columns: dict[str, list[Any]] = {}
        self._non_finite: dict[str, int] = {}
        self._not_utf8: dict[str, int] = {}

    def add(self, name: str, values: Array) -> None:
        """Add a column of shape (rows, ...)."""
        if values.dtype.kind in "OSU":
            texts, not_utf8 = readable_texts(values)
            self.columns[name] = np.array(texts, dtype=object).reshape(values.shape).tolist()
            if not_utf8:
                self._not_utf8[name] = not_utf8
            return
        # Through text: of an FP32 0.1 tolist() makes 0.10000000149011612.
        text = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)
        self.columns[name] = orjson.loads(text)
        if b"null" in text:
            self._non_finite[name] = values.size - int(np.count_nonzero(np.isfinite(values)))

    def rows(self) -> list[dict[str, Any]]:
        """The same row by row."""
        names = list(self.columns)
        return [
            dict(zip(names, row, strict=True)) for row in zip(*self.columns.values(), strict=True)
        ]

    def notes(self, units: Mapping[str, str], call: NamedCall) -> dict[str, dict[str, Any]]:
        """What is said beside the values, where there is something to say."""
        asked = {name: item.unit for name, item in call.output_units.items()}
        known = {**units, **asked}
        notes: dict[str, dict[str, Any]] = {
            "units": {name: known[name] for name in self.columns if name in known},
            "non_finite": self._non_finite,
            "not_utf8": self._not_utf8,
        }
        return {key: note for key, note in notes.items() if note}


def _named_values(spec: TensorSpec, array: Array) -> Iterator[tuple[str, Array]]:
    """An output's values by name, shape (rows,) where each is one value."""
    row_size = math.prod(array.shape[1:])
    columns = column_names(spec)
    if columns:
        if row_size != len(columns):
            raise OutputMismatch(f"output {spec.name} has {row_size} values in a row")
        table = array.reshape(len(array), len(columns))
        yield from zip(rules_by_value(spec), table.T, strict=True)
    elif is_single(spec) and row_size == 1:
        yield spec.name, array.reshape(-1)
    else:
        yield spec.name, array
