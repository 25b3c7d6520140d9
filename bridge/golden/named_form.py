"""Named rows as a form of request: `{"rows": [{name: value, …}]}` and the answer likewise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import msgspec
import numpy as np
import orjson

from bridge.client.errors import BadAnswer
from bridge.contract.model import ModelContract, TensorSpec
from bridge.contract.named_columns import column_names, full_name
from bridge.golden.wire_formats import Body, Tensors, WireFormat

Array = np.ndarray[Any, np.dtype[Any]]

PATH = "/v1/models/{model}/versions/{version}/predict"


class _Answer(msgspec.Struct):
    rows: list[dict[str, Any]]


def named_form(contract: ModelContract) -> WireFormat:
    """Return the form for a model version; every value has the name of its tensor before it."""
    return WireFormat(
        "named rows",
        PATH,
        partial(_write, contract.inputs),
        partial(_read, contract.outputs),
    )


def _write(inputs: tuple[TensorSpec, ...], rows: Tensors) -> Body:
    count = len(next(iter(rows.values())))
    named = [
        {name: value for spec in inputs for name, value in _values(spec, rows[spec.name][row])}
        for row in range(count)
    ]
    text = orjson.dumps({"rows": named}, option=orjson.OPT_SERIALIZE_NUMPY)
    return Body({"Content-Type": "application/json"}, text)


def _values(spec: TensorSpec, row: Any) -> Iterator[tuple[str, Any]]:
    columns = column_names(spec)
    if columns:
        yield from ((full_name(spec, column), row[at]) for at, column in enumerate(columns))
    elif isinstance(row, np.ndarray):
        # numpy's serializer takes no object arrays: those hold text.
        yield spec.name, row.tolist() if row.dtype == object else np.ascontiguousarray(row)
    else:
        yield spec.name, row


def _read(outputs: tuple[TensorSpec, ...], _: Mapping[str, str], body: bytes) -> dict[str, Array]:
    try:
        rows = msgspec.json.decode(body, type=_Answer).rows
        return {spec.name: _tensor(spec, rows) for spec in outputs}
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, ValueError) as error:
        raise BadAnswer(f"not an answer: {error!r}") from error


def _tensor(spec: TensorSpec, rows: list[dict[str, Any]]) -> Array:
    columns = column_names(spec)
    if columns:
        names = [full_name(spec, column) for column in columns]
        values: list[Any] = [[row[name] for name in names] for row in rows]
    else:
        values = [row[spec.name] for row in rows]
    # What is null is a number that is not finite.
    return np.array(values, dtype=spec.type.dtype)
