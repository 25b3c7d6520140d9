"""Pools of bodies: sizes in the wished shares, bounds, the caller's own bodies."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from loadtest.bodies import BodyPool, pool_of_bodies, pool_of_rows
from loadtest.dialects.dialect import body_of
from loadtest.dialects.raw_template import RawTemplate
from loadtest.dialects.v2_binary import V2Binary
from loadtest.dialects.v2_json import V2Json
from loadtest.errors import BadDialect, BadRows
from loadtest.row_counts import RowCounts
from loadtest.synthetic_rows import SyntheticRows
from tests.unit.loadtest.models import model, tensor

KNOWN = model(tensor("x", "FP32", [-1, 2], range=[0, 1]))
RANDOM_SEED = 5


def made(rows: str = "1", count: int = 100, seed: int = 0) -> BodyPool:
    source = SyntheticRows(KNOWN, seed=seed)
    return pool_of_rows(
        source, V2Json(), "h:1", "/x", rows=RowCounts.parse(rows), count=count, seed=seed
    )


@pytest.mark.parametrize(
    ("text", "bodies", "expected"),
    [
        ("7", 10, {7: 10}),
        ("1:0.9,64:0.1", 1_000, {1: 900, 64: 100}),
        ("1:9,64:1", 10, {1: 9, 64: 1}),
        ("1,2,3", 9, {1: 3, 2: 3, 3: 3}),
        ("1:0.999,64:0.001", 10, {1: 9, 64: 1}),
        ("1:0.5,2:0.5", 3, {1: 2, 2: 1}),
    ],
)
def test_bodies_have_the_wished_numbers_of_rows(
    text: str, bodies: int, expected: dict[int, int]
) -> None:
    spread = RowCounts.parse(text).spread(bodies, np.random.default_rng(RANDOM_SEED))
    assert Counter(spread) == expected


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "1:0", "1:-1", "1:nan", "65537", "1:1:1"])
def test_a_number_of_rows_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadRows, match="rows: "):
        RowCounts.parse(text)


def test_the_same_seed_makes_the_same_pool() -> None:
    assert made("1:0.9,8:0.1", seed=3).describe() == made("1:0.9,8:0.1", seed=3).describe()


def test_another_seed_makes_another_pool() -> None:
    assert made(seed=3).describe()["sha256"] != made(seed=4).describe()["sha256"]


def test_a_pool_says_what_it_holds() -> None:
    described = made("1:0.9,8:0.1").describe()
    chosen = {key: described[key] for key in ("bodies", "distinct", "rows", "dialect", "target")}
    assert chosen == {
        "bodies": 100,
        "distinct": 100,
        "rows": {"1": 90, "8": 10},
        "dialect": "v2-json",
        "target": "/x",
    }


def test_a_source_of_few_rows_is_seen_in_the_number_of_distinct_bodies() -> None:
    known = model(tensor("wet", "BOOL", [-1]))
    pool = pool_of_rows(
        SyntheticRows(known), V2Json(), "h", "/", rows=RowCounts.parse("1"), count=50
    )
    assert pool.describe()["distinct"] == 2


def test_a_request_holds_the_rows_beside_it() -> None:
    (body,) = made("3", count=1).bodies
    assert (body.row_count, body.request) == (3, V2Json().request("h:1", "/x", body.rows or {}))


@pytest.mark.parametrize("count", [0, 1_000_001])
def test_a_number_of_bodies_out_of_bounds_is_refused(count: int) -> None:
    with pytest.raises(BadRows, match="1 to 1000000 are accepted"):
        made(count=count)


def test_a_pool_ends_at_its_limit_in_bytes() -> None:
    (first, second, _) = made(count=3).requests
    both_bytes = len(first) + len(second)
    with pytest.raises(BadRows, match=f"larger than {both_bytes} bytes after 2 bodies"):
        pool_of_rows(
            SyntheticRows(KNOWN),
            V2Json(),
            "h:1",
            "/x",
            rows=RowCounts.parse("1"),
            count=3,
            bytes_max=both_bytes,
        )


def test_more_rows_than_a_template_takes_are_refused_before_the_run() -> None:
    template = RawTemplate(path="/", body="{{row}}")
    with pytest.raises(BadDialect, match="is one row"):
        pool_of_rows(SyntheticRows(KNOWN), template, "h", "/", rows=RowCounts.parse("2"))


ANSWER = b'{"outputs":[{"name":"y","shape":[1],"datatype":"FP32","data":[0.5]}]}'


def own(path: Path) -> BodyPool:
    return pool_of_bodies(path, V2Json(), "h", "/x")


def test_a_folder_holds_bodies_and_the_answers_that_they_must_get(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'{"a":1}')
    (tmp_path / "b.json").write_bytes(b'{"b":1}')
    (tmp_path / "b.expected.json").write_bytes(ANSWER)
    (tmp_path / "more").mkdir()
    pool = own(tmp_path)
    found = [
        (body_of(body.request), body.expected and body.expected["y"].tolist())
        for body in pool.bodies
    ]
    assert found == [(b'{"a":1}', None), (b'{"b":1}', [0.5])]


def test_one_file_is_one_body_and_ndjson_is_one_body_per_line(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_bytes(b'{"a":\n1}')
    (tmp_path / "two.ndjson").write_bytes(b'{"a":1}\n\n{"b":2}\n')
    found = [
        [body_of(request) for request in own(tmp_path / name).requests]
        for name in ("one.json", "two.ndjson")
    ]
    assert found == [[b'{"a":\n1}'], [b'{"a":1}', b'{"b":2}']]


def test_bodies_of_the_caller_have_an_unknown_number_of_rows(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_bytes(b"{}")
    assert own(tmp_path).describe()["rows"] == {"unknown": 1}


def test_a_binary_body_of_the_caller_gets_its_header(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b'{"inputs":[]}\x00\x01')
    (request,) = pool_of_bodies(tmp_path, V2Binary(), "h", "/x").requests
    assert b"\r\nInference-Header-Content-Length: 13\r\n" in request


def test_an_expected_answer_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"{}")
    (tmp_path / "a.expected.json").write_bytes(b"{}")
    with pytest.raises(BadRows, match=r"a\.expected\.json: not a V2 answer"):
        own(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRows, match="0 bodies"):
        own(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadRows, match="gone: No such file"):
        own(tmp_path / "gone")
