"""What a model accepts, learned from its server over HTTP: Open Inference Protocol V2 metadata.

Any V2 server will do. Ours says more about values in `parameters` (range, categories, unit, nulls,
columns); where a server says nothing, any value of the datatype counts as accepted. For a server
without metadata (mosec, FastAPI, TensorFlow Serving) the same document is read from a file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from loadtest.caller import Answer, Caller
from loadtest.datatypes import DTYPES
from loadtest.errors import ModelUnknown, excerpt

_NAMES_SHOWN = 10


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The values that a tensor, or one of its columns, may hold.

    `range` is inclusive, None for an open side. `nulls` "allow": null in JSON, NaN in binary.
    """

    range: tuple[float | None, float | None] | None = None
    categories: tuple[int | float | str, ...] | None = None
    unit: str | None = None
    nulls: str = "unset"


class Tensor(msgspec.Struct, frozen=True, kw_only=True):
    """One input or output; -1 in `shape` is a dimension that may vary, the first is the rows."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    columns: tuple[str, ...] = ()
    rules: Rules = Rules()
    column_rules: dict[str, Rules] = {}

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The shape of one row; -1 where it may vary."""
        return self.shape[1:]


class ServerModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model as its server describes it.

    `version` is None where the server chooses. `url` is the server's, "" for a contract read from a
    file. `rows_fixed` is the only number of rows that a request may have, None for any number.
    `latency_target_s` is the model's p99 promise, where it gives one. `server` is the document of
    `GET /v2`: name and version.
    """

    name: str
    version: str | None
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    rows_fixed: int | None
    latency_target_s: float | None
    url: str
    server: dict[str, Any]


class _TensorParameters(Rules, frozen=True, kw_only=True):
    columns: tuple[str, ...] = ()
    column_rules: dict[str, Rules] = {}


class _Tensor(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    parameters: _TensorParameters | None = None


class _ModelParameters(msgspec.Struct):
    version: str | None = None
    latency_target_ms: float | None = None


class _Metadata(msgspec.Struct):
    name: str
    inputs: list[_Tensor] | None = None
    outputs: list[_Tensor] | None = None
    versions: list[str] | None = None
    platform: str | None = None
    parameters: _ModelParameters | None = None


_metadata = msgspec.json.Decoder(_Metadata)


def learn_model(base_url: str, model: str, version: str | None = None) -> ServerModel:
    """Ask the server at `base_url` what `model` accepts.

    Raises:
        NoAnswer: nobody answers there.
        ModelUnknown: no such model, or metadata that cannot be used; names the URL.
    """
    path = model_path(model, version)
    with Caller(base_url) as caller:
        url = base_url.rstrip("/")
        answer = caller.get(path)
        if answer.status != 200:
            raise ModelUnknown(
                f"{url}{path}: status {answer.status}: {_error_text(answer)}{_others(caller)}"
            )
        described = parse_model(answer.body, f"{url}{path}")
        return msgspec.structs.replace(
            described, name=model, version=version, url=url, server=_server(caller)
        )


def read_model(path: Path) -> ServerModel:
    """Return the model that a file describes: the JSON document of `GET /v2/models/{model}`.

    Raises:
        ModelUnknown: unreadable, or not such a document; names the file.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelUnknown(f"{path}: {error.strerror or error}") from error
    return parse_model(data, str(path))


def model_path(model: str, version: str | None) -> str:
    """Return the V2 path of a model or a version of it."""
    path = f"/v2/models/{quote(model, safe='')}"
    return path if version is None else f"{path}/versions/{quote(version, safe='')}"


def list_models(base_url: str) -> tuple[str, ...]:
    """Return the names of the models that are ready, () where the server does not say.

    Raises:
        NoAnswer: nobody answers there.
    """
    with Caller(base_url) as caller:
        return _index(caller)


def parse_model(data: bytes, where: str) -> ServerModel:
    """Return the model that V2 model metadata describes; `where` is named in errors.

    Raises:
        ModelUnknown: not metadata, or metadata that rows cannot be made from.
    """
    try:
        document = _metadata.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelUnknown(f"{where}: not V2 model metadata: {error}: {excerpt(data)}") from error
    if not document.inputs:
        raise ModelUnknown(
            f"{where}: the server says nothing about the model's inputs; "
            "describe them in a file instead"
        )
    inputs = tuple(_tensor(item, f"{where}: input") for item in document.inputs)
    outputs = tuple(_tensor(item, f"{where}: output") for item in document.outputs or ())
    parameters = document.parameters or _ModelParameters()
    target_ms = parameters.latency_target_ms
    return ServerModel(
        name=document.name,
        version=parameters.version,
        versions=tuple(document.versions or ()),
        platform=document.platform or "",
        inputs=inputs,
        outputs=outputs,
        rows_fixed=_rows_fixed(inputs, where),
        latency_target_s=None if target_ms is None else target_ms / 1e3,
        url="",
        server={},
    )


def _tensor(item: _Tensor, where: str) -> Tensor:
    where = f"{where} {item.name!r}"
    if item.datatype not in DTYPES:
        raise ModelUnknown(f"{where}: datatype {item.datatype!r} is not known here")
    if any(size < -1 or size == 0 for size in item.shape):
        raise ModelUnknown(f"{where}: shape {item.shape} holds no values")
    parameters = item.parameters or _TensorParameters()
    columns = parameters.columns
    if columns and item.shape[-1:] not in ([len(columns)], [-1]):
        raise ModelUnknown(f"{where}: {len(columns)} columns for shape {item.shape}")
    if not set(parameters.column_rules) <= set(columns):
        raise ModelUnknown(f"{where}: rules for columns that it does not have")
    return Tensor(
        name=item.name,
        datatype=item.datatype,
        shape=tuple(item.shape),
        columns=columns,
        rules=_rules(parameters),
        column_rules=parameters.column_rules,
    )


def _rules(parameters: _TensorParameters) -> Rules:
    return Rules(
        range=parameters.range,
        categories=parameters.categories,
        unit=parameters.unit,
        nulls=parameters.nulls,
    )


def _rows_fixed(inputs: tuple[Tensor, ...], where: str) -> int | None:
    """The number of rows that a model without a variable first dimension takes."""
    for tensor in inputs:
        if not tensor.shape:
            raise ModelUnknown(f"{where}: input {tensor.name!r} has no dimension for rows")
    fixed = {tensor.shape[0] for tensor in inputs} - {-1}
    if len(fixed) > 1:
        raise ModelUnknown(
            f"{where}: the first dimension is the rows, but inputs have {sorted(fixed)} of them"
        )
    return fixed.pop() if fixed else None


def _error_text(answer: Answer) -> str:
    try:
        text = msgspec.json.decode(answer.body)["error"]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        return excerpt(answer.body) or "without a body"
    return excerpt(str(text).encode())


def _others(caller: Caller) -> str:
    names = _index(caller)
    if not names:
        return ""
    shown = ", ".join(names[:_NAMES_SHOWN])
    return f"; the server has {shown}{', ...' if len(names) > _NAMES_SHOWN else ''}"


class _Indexed(msgspec.Struct):
    name: str
    state: str | None = None


def _index(caller: Caller) -> tuple[str, ...]:
    answer = caller.post("/v2/repository/index", b'{"ready":true}')
    if answer.status != 200:
        return ()
    try:
        found = msgspec.json.decode(answer.body, type=list[_Indexed])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ()
    return tuple(dict.fromkeys(item.name for item in found))


def _server(caller: Caller) -> dict[str, Any]:
    """The name and version of the server, as far as it says them."""
    answer = caller.get("/v2")
    keys: tuple[Literal["name", "version"], ...] = ("name", "version")
    try:
        document = msgspec.json.decode(answer.body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return {key: str(document[key]) for key in keys if key in document}
