"""Any other server: a template says where rows go in the request and outputs are in the answer.

A template is a TOML file; `templates/` has one each for mosec, TensorFlow Serving and FastAPI.

    method = "POST"
    path = "/v1/models/{{model}}:predict"
    body = '{"instances": {{rows}}}'
    encoding = "json"              # or "msgpack": written as JSON, sent as MessagePack
    writes_nan = false             # NaN as the word NaN, for servers that refuse null
    headers = { Accept = "application/json" }
    answers = { probabilities = "predictions[].probabilities" }

Placeholders in `body`, each replaced by JSON:

    {{rows}}        a list of rows; a row is the input's value where there is one input, otherwise
                    an object of the inputs' values by name
    {{row}}         the row itself; the request must have exactly one
    {{records}}     a list of rows as flat objects: named columns, and inputs of one value per row
    {{record}}      the same of the only row
    {{inputs}}      an object of whole tensors, all rows, by name
    {{json:NAME}}   the whole tensor NAME, all rows, nested
    {{row:NAME}}    the value of NAME in the only row
    {{base64:NAME}} the tensor's little-endian bytes as a base64 string
    {{count}}       the number of rows

`answers` say for each output where it is: names separated by dots, `[]` for each element of a list,
`[0]` for one of them, "" for the whole answer. Without it, each key of an answered object is an
output, and any other answer is one output named "answer".
"""

from __future__ import annotations

import base64
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import msgspec
import orjson

from loadtest.datatypes import Array, Rows
from loadtest.dialects.answer_path import outputs_of
from loadtest.dialects.dialect import Headers, http_request, merged, url_prefix
from loadtest.dialects.v2_binary import block_of
from loadtest.dialects.v2_json import read_json
from loadtest.errors import BadAnswer, BadDialect, excerpt
from loadtest.server_model import ServerModel

_PLACEHOLDER = re.compile(r"\{\{([^{}]+)\}\}")
_WHOLE = ("rows", "row", "records", "record", "inputs", "count")
_OF_ONE_INPUT = ("json", "row", "base64")
_CONTENT_TYPES = {"json": "application/json", "msgpack": "application/msgpack"}


class RawTemplate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A request template; see the module's text. `columns` are the names of a tensor's columns."""

    body: str
    path: str
    method: str = "POST"
    encoding: Literal["json", "msgpack"] = "json"
    writes_nan: bool = False
    headers: dict[str, str] = {}
    answers: dict[str, str] = {}
    description: str = ""
    columns: dict[str, tuple[str, ...]] = {}

    @property
    def name(self) -> str:
        return "raw"

    @property
    def hides_infinities(self) -> bool:
        return not self.writes_nan

    @property
    def may_leave_out_rows(self) -> bool:
        return True

    def with_headers(self, headers: Headers) -> RawTemplate:
        """Return the template with further headers, which win over its own."""
        return msgspec.structs.replace(
            self, headers=dict(merged(tuple(self.headers.items()), headers))
        )

    def with_columns(self, model: ServerModel) -> RawTemplate:
        """Return the template with the names of the model's columns, for {{records}}."""
        columns = {tensor.name: tensor.columns for tensor in model.inputs if tensor.columns}
        return msgspec.structs.replace(self, columns={**columns, **self.columns})

    def target(self, model: ServerModel) -> str:
        values = {"model": model.name, "version": model.version or ""}
        path = _PLACEHOLDER.sub(lambda match: _in_path(match[1], values), self.path)
        return url_prefix(model) + path

    def request(self, host_header: str, target: str, rows: Rows) -> bytes:
        filled = _Filled(self, rows)
        text = _PLACEHOLDER.sub(lambda match: filled.value(match[1]).decode(), self.body)
        try:
            # json rather than orjson: it reads the word NaN, which some servers want.
            document = json.loads(text)
        except ValueError as error:
            raise BadDialect(f"body: filled it is not JSON: {error}: {text[:80]!r}") from error
        body = msgspec.msgpack.encode(document) if self.encoding == "msgpack" else text.encode()
        return self.request_of(host_header, target, body)

    def request_of(self, host_header: str, target: str, body: bytes) -> bytes:
        ours = (("Content-Type", _CONTENT_TYPES[self.encoding]),)
        headers = merged(ours, tuple(self.headers.items()))
        return http_request(self.method, target, host_header, headers, body)

    def outputs(self, body: bytes) -> dict[str, Array]:
        return outputs_of(self._document(body), self.answers)

    def _document(self, body: bytes) -> Any:
        if self.encoding == "json":
            return read_json(body)
        try:
            return msgspec.msgpack.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadAnswer(f"not MessagePack: {excerpt(body)}") from error


def read_template(path: Path) -> RawTemplate:
    """Return the template in a TOML file.

    Raises:
        BadDialect: unreadable, an unknown key or placeholder; names the file.
    """
    try:
        template = msgspec.convert(tomllib.loads(path.read_text("utf-8")), RawTemplate)
        for match in _PLACEHOLDER.finditer(template.body):
            _check_placeholder(match[1])
    except (OSError, ValueError, msgspec.ValidationError, BadDialect) as error:
        raise BadDialect(f"{path}: {error}") from error
    return template


def _check_placeholder(text: str) -> None:
    kind, colon, _ = text.partition(":")
    if kind not in (_OF_ONE_INPUT if colon else _WHOLE):
        known = [*_WHOLE, *(f"{kind}:NAME" for kind in _OF_ONE_INPUT)]
        raise BadDialect(f"body: {{{{{text}}}}} is none of {', '.join(known)}")


def _in_path(name: str, values: Mapping[str, str]) -> str:
    if name not in values:
        raise BadDialect(f"path: {{{{{name}}}}} is none of {', '.join(values)}")
    return quote(values[name], safe="")


class _Filled:
    """The placeholders' values for one request."""

    def __init__(self, template: RawTemplate, rows: Rows) -> None:
        self._template = template
        self._rows = rows
        self._count = len(next(iter(rows.values())))

    def value(self, text: str) -> bytes:
        """Return the JSON for a placeholder."""
        _check_placeholder(text)
        kind, colon, name = text.partition(":")
        if colon:
            return self._of_input(kind, name)
        if kind == "inputs":
            return self._json(dict(self._rows))
        if kind == "count":
            return self._json(self._count)
        of_row = self._row if kind.startswith("row") else self._record
        if kind.endswith("s"):
            return self._json([of_row(index) for index in range(self._count)])
        self._check_single(text)
        return self._json(of_row(0))

    def _of_input(self, kind: str, name: str) -> bytes:
        if name not in self._rows:
            raise BadDialect(
                f"body: {{{{{kind}:{name}}}}}: the model has no such input, "
                f"it has {', '.join(self._rows)}"
            )
        array = self._rows[name]
        if kind == "json":
            return self._json(array)
        if kind == "base64":
            return self._json(base64.b64encode(block_of(array)).decode())
        self._check_single(f"{kind}:{name}")
        return self._json(array[0])

    def _check_single(self, text: str) -> None:
        if self._count != 1:
            raise BadDialect(f"body: {{{{{text}}}}} is one row, the request has {self._count}")

    def _row(self, index: int) -> Any:
        if len(self._rows) == 1:
            return next(iter(self._rows.values()))[index]
        return {name: array[index] for name, array in self._rows.items()}

    def _record(self, index: int) -> dict[str, Any]:
        record: dict[str, Any] = {}
        for name, array in self._rows.items():
            columns = self._template.columns.get(name)
            if columns and array.ndim == 2:
                record.update(zip(columns, array[index], strict=True))
            elif array.size == self._count:
                record[name] = array.ravel()[index]
            else:
                raise BadDialect(f"body: input {name!r} has no named columns for {{{{records}}}}")
        return record

    def _json(self, value: Any) -> bytes:
        """JSON text; FP32 numbers as short as FP32 allows, NaN as the template says."""
        if isinstance(value, dict):
            pairs = (orjson.dumps(key) + b":" + self._json(item) for key, item in value.items())
            return b"{" + b",".join(pairs) + b"}"
        if isinstance(value, list):
            return b"[" + b",".join(map(self._json, value)) + b"]"
        if getattr(value, "dtype", None) == object:
            value = value.tolist()
        text = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
        is_number = not isinstance(value, str | list)
        return text.replace(b"null", b"NaN") if self._template.writes_nan and is_number else text
