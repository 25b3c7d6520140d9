"""Templates: the bodies that mosec, TensorFlow Serving and FastAPI are sent, and their answers."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

from loadtest.datatypes import Rows, text_array
from loadtest.dialects.choice import load_dialect
from loadtest.dialects.dialect import body_of
from loadtest.dialects.raw_template import RawTemplate, read_template
from loadtest.errors import BadAnswer, BadDialect
from tests.unit.loadtest.models import model, tensor

ONE_INPUT = model(tensor("x", "FP32", [-1, 2], columns=["width", "height"]))
TWO_INPUTS = model(tensor("crop", "BYTES", [-1]), tensor("rain", "FP64", [-1]))
ONE_ROW: Rows = {"x": np.array([[0.1, np.nan]], dtype=np.float32)}
TWO_ROWS: Rows = {"x": np.array([[0.1, 2], [3, 4]], dtype=np.float32)}
FIELDS: Rows = {"crop": text_array(["rice", 'a"null']), "rain": np.array([1.5, np.nan])}


def sent(template: RawTemplate, rows: Rows) -> bytes:
    return body_of(template.request("h", "/", rows))


def body(text: str, rows: Rows, **options: Any) -> bytes:
    return sent(RawTemplate(path="/", body=text, **options), rows)


@pytest.mark.parametrize(
    ("text", "rows", "expected"),
    [
        ("{{rows}}", TWO_ROWS, b"[[0.1,2.0],[3.0,4.0]]"),
        ("{{rows}}", FIELDS, b'[{"crop":"rice","rain":1.5},{"crop":"a\\"null","rain":null}]'),
        ("{{row}}", ONE_ROW, b"[0.1,null]"),
        ('{"x":{{row:x}}}', ONE_ROW, b'{"x":[0.1,null]}'),
        ('{"n":{{count}},"x":{{json:x}}}', TWO_ROWS, b'{"n":2,"x":[[0.1,2.0],[3.0,4.0]]}'),
        ("{{inputs}}", FIELDS, b'{"crop":["rice","a\\"null"],"rain":[1.5,null]}'),
        ("{{records}}", FIELDS, b'[{"crop":"rice","rain":1.5},{"crop":"a\\"null","rain":null}]'),
        ("{{base64:x}}", TWO_ROWS, b'"zczMPQAAAEAAAEBAAACAQA=="'),
    ],
)
def test_placeholders_become_json(text: str, rows: Rows, expected: bytes) -> None:
    assert body(text, rows) == expected


def test_records_name_the_columns_of_a_tensor() -> None:
    template = RawTemplate(path="/", body="{{records}}").with_columns(ONE_INPUT)
    assert sent(template, TWO_ROWS) == (b'[{"width":0.1,"height":2.0},{"width":3.0,"height":4.0}]')


def test_nan_is_a_word_where_the_template_says_so_and_text_stays_text() -> None:
    expected = b'{"crop":["rice","a\\"null"],"rain":[1.5,NaN]}'
    assert body("{{inputs}}", FIELDS, writes_nan=True) == expected


def test_messagepack_bodies_hold_what_the_json_says() -> None:
    filled = body('{"x":{{row:x}}}', ONE_ROW, encoding="msgpack")
    assert msgpack.unpackb(filled) == {"x": [0.1, None]}


@pytest.mark.parametrize("text", ["{{row}}", "{{record}}", "{{row:x}}"])
def test_a_template_for_one_row_refuses_more(text: str) -> None:
    with pytest.raises(BadDialect, match="is one row, the request has 2"):
        body(text, TWO_ROWS)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{json:y}}", "no such input, it has x"),
        ("{{everything}}", "is none of rows, row"),
        ("{{records}}", "no named columns"),
        ('{"x":{{row}}', "it is not JSON"),
    ],
)
def test_a_template_that_cannot_be_filled_says_why(text: str, why: str) -> None:
    with pytest.raises(BadDialect, match=why):
        body(text, ONE_ROW)


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        ("mosec", "/inference", b"[1.0,2.0]"),
        ("mosec-msgpack", "/inference", msgpack.packb([1.0, 2.0])),
        ("tf-serving", "/v1/models/half:predict", b'{"instances": [[1.0,2.0]]}'),
        ("fastapi", "/predict", b'{"width":1.0,"height":2.0}'),
    ],
)
def test_the_templates_that_come_with_it_send_this(name: str, target: str, expected: bytes) -> None:
    dialect = load_dialect(name, ONE_INPUT)
    rows = {"x": np.array([[1, 2]], dtype=np.float32)}
    request = dialect.request("h", dialect.target(ONE_INPUT), rows)
    assert (request.split(b" ")[1], body_of(request)) == (target.encode(), expected)


def test_a_whole_template_is_these_bytes() -> None:
    dialect = load_dialect("mosec", TWO_INPUTS, (("X-Run", "7"),))
    rows = {"crop": text_array(["rice"]), "rain": np.array([1.5])}
    assert dialect.request("127.0.0.1:8000", "/inference", rows) == (
        b"POST /inference HTTP/1.1\r\n"
        b"Host: 127.0.0.1:8000\r\n"
        b"Content-Type: application/json\r\n"
        b"X-Run: 7\r\n"
        b"Content-Length: 26\r\n"
        b"\r\n"
        b'{"crop":"rice","rain":1.5}'
    )


@pytest.mark.parametrize(
    ("answer", "answers", "expected"),
    [
        (b'{"predictions":[[0.5],[1]]}', {"y": "predictions"}, {"y": [[0.5], [1.0]]}),
        (
            b'{"predictions":[{"s":1,"l":"a"},{"s":2,"l":"b"}]}',
            {"score": "predictions[].s", "label": "predictions[].l"},
            {"score": [1, 2], "label": ["a", "b"]},
        ),
        (b'[{"a":{"b":[1,2]}},3]', {"second": "[0].a.b[1]"}, {"second": 2}),
        (b"[1,2]", {"whole": ""}, {"whole": [1, 2]}),
        (b"[1,2]", {}, {"answer": [1, 2]}),
        (b'{"y":[1],"label":"a","meta":{"took":3}}', {}, {"y": [1], "label": "a"}),
    ],
)
def test_outputs_are_found_by_their_paths(
    answer: bytes, answers: dict[str, str], expected: dict[str, Any]
) -> None:
    template = RawTemplate(path="/", body="{{rows}}", answers=answers)
    found = {name: array.tolist() for name, array in template.outputs(answer).items()}
    assert found == expected


@pytest.mark.parametrize(
    ("answer", "path"),
    [
        (b'{"y":[1]}', "z"),
        (b'{"y":[1]}', "y[3]"),
        (b'{"y":{"a":1}}', "y[].a"),
        (b'{"y":[[1],[1,2]]}', "y"),
        (b'{"y":[{"a":1}]}', "y"),
        (b"nonsense", "y"),
    ],
)
def test_an_answer_without_the_output_is_a_bad_answer(answer: bytes, path: str) -> None:
    template = RawTemplate(path="/", body="{{rows}}", answers={"y": path})
    with pytest.raises(BadAnswer):
        template.outputs(answer)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("path = 3", "str"),
        ('path = "/"\nbody = "{{all}}"', "is none of"),
        ('path = "/"\nbody = "1"\ncolour = "red"', "colour"),
        ("path = ", "Invalid value"),
    ],
)
def test_a_template_file_that_is_wrong_is_named(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(BadDialect, match=f"mine.toml: .*{why}"):
        read_template(file)


def test_templates_go_to_other_processes() -> None:
    template = RawTemplate(path="/", body="{{rows}}", columns={"x": ("a", "b")})
    assert pickle.loads(pickle.dumps(template)) == template
