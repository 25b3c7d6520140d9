"""The answer check: what passes, what does not, and what it remembers."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest

from loadtest.answers import AnswerCheck, difference
from loadtest.bodies import Body, BodyPool
from loadtest.datatypes import Array, Rows, text_array
from loadtest.dialects.v2_binary import V2Binary
from loadtest.dialects.v2_json import V2Json
from loadtest.errors import BadRows

INF, NAN = float("inf"), float("nan")


def floats(*values: float) -> Array:
    return np.array(values, dtype=np.float32)


def pool_expecting(*expected: Rows | None) -> BodyPool:
    bodies = tuple(Body(b"request", {"x": floats(1)}, outputs) for outputs in expected)
    return BodyPool(V2Json(), "h", "/", bodies, {})


def answer(*values: Any, datatype: str = "FP32") -> bytes:
    output = {"name": "y", "shape": [len(values)], "datatype": datatype, "data": list(values)}
    return json.dumps({"outputs": [output]}).encode()


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (floats(1, 2), floats(1, 2)),
        (floats(1.0), floats(1.000009)),
        (floats(0.0), floats(0.0000009)),
        (floats(NAN, INF, -INF), floats(NAN, INF, -INF)),
        (floats(1), np.array([1])),
        (np.array([3]), np.array([3.0])),
        (np.array([True]), np.array([True])),
        (text_array(["é", b"\xff"]), text_array(["é", b"\xff"])),
    ],
)
def test_equal_outputs_pass(expected: Array, found: Array) -> None:
    assert difference({"y": expected}, {"y": found}) is None


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (floats(1, 2), floats(1, 2.1)),
        (floats(1.0), floats(1.00002)),
        (floats(0.0), floats(0.000002)),
        (floats(1), floats(NAN)),
        (floats(NAN), floats(1)),
        (floats(INF), floats(-INF)),
        (floats(INF), floats(NAN)),
        (floats(1), text_array(["1"])),
        (np.array([10**9]), np.array([10**9 + 1])),
        (np.array([2**60]), np.array([2**60 + 1])),
        (np.array([3]), np.array([3.1])),
        (text_array(["1"]), np.array([1])),
        (text_array(["a"]), text_array(["A"])),
        (floats(1, 2), floats(1)),
        (floats(1), floats(1).reshape(1, 1)),
    ],
)
def test_different_outputs_do_not_pass(expected: Array, found: Array) -> None:
    assert difference({"y": expected}, {"y": found}) is not None


def test_the_first_difference_is_named() -> None:
    expected = {"label": np.array([1, 1]), "y": floats(1, 2)}
    found = {"label": np.array([1, 0]), "y": floats(1, 3)}
    assert difference(expected, found) == "output 'label', element [1]: 0, expected 1"


def test_an_output_that_is_missing_is_wrong_and_another_one_is_not_looked_at() -> None:
    assert difference({"y": floats(1)}, {"z": floats(1)}) == "output 'y' is missing"
    assert difference({"y": floats(1)}, {"y": floats(1), "z": floats(2)}) is None


def test_null_in_json_stands_for_an_infinity_too() -> None:
    check = AnswerCheck(pool_expecting({"y": floats(INF, NAN, 1)}))
    assert check(0, answer(None, None, 1.0))


def test_in_binary_nan_is_no_infinity() -> None:
    expected, found = {"y": floats(INF)}, {"y": floats(NAN)}
    hides = V2Binary().hides_infinities
    assert difference(expected, found, hides_infinities=hides) is not None


@pytest.mark.parametrize(
    ("wanted", "found"),
    [([[0.25, 0.75]], [0.25, 0.75]), ([1], 1), ([["maize"]], ["maize"])],
)
def test_where_rows_may_be_left_out_one_row_has_its_own_shape(wanted: Any, found: Any) -> None:
    expected, outputs = {"y": np.array(wanted)}, {"y": np.array(found)}
    said = [difference(expected, outputs, may_leave_out_rows=may) for may in (True, False)]
    assert [one is None for one in said] == [True, False]


@pytest.mark.parametrize(("wanted", "found"), [([[1, 2]], [1, 3]), ([[1], [2]], [1, 2])])
def test_where_rows_may_be_left_out_values_and_other_shapes_still_count(
    wanted: Any, found: Any
) -> None:
    expected, outputs = {"y": np.array(wanted)}, {"y": np.array(found)}
    assert difference(expected, outputs, may_leave_out_rows=True) is not None


def test_each_body_has_its_own_expected_answer() -> None:
    check = AnswerCheck(pool_expecting({"y": floats(1)}, {"y": floats(2)}))
    judged = [check(choice, answer(float(value))) for choice in (0, 1) for value in (1, 2)]
    assert judged == [True, False, False, True]


def test_an_answer_that_passed_for_one_body_does_not_pass_for_another() -> None:
    check = AnswerCheck(pool_expecting({"y": floats(1)}, {"y": floats(2)}))
    judged = [check(0, answer(1.0)), check(0, answer(1.0)), check(1, answer(1.0))]
    assert judged == [True, True, False]


def test_a_wrong_answer_stays_wrong() -> None:
    check = AnswerCheck(pool_expecting({"y": floats(1)}))
    judged = [check(0, answer(2.0)), check(0, answer(1.0)), check(0, answer(2.0))]
    assert (judged, check.wrong) == ([False, True, False], 2)


class CountingJson(V2Json):
    """V2 JSON that counts the answers it has parsed."""

    parsed = 0

    def outputs(self, body: bytes) -> dict[str, Array]:
        type(self).parsed += 1
        return super().outputs(body)


def test_the_bytes_of_an_accepted_answer_are_not_parsed_again() -> None:
    pool = pool_expecting({"y": floats(1)})
    check = AnswerCheck(BodyPool(CountingJson(), "h", "/", pool.bodies, {}))
    judged = [check(0, body) for body in [answer(1.0), answer(1), answer(1.0), answer(1)]]
    assert (judged, CountingJson.parsed) == ([True] * 4, 2)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"outputs":[]}', answer("1", datatype="BYTES")])
def test_what_cannot_be_read_is_wrong(body: bytes) -> None:
    assert not AnswerCheck(pool_expecting({"y": floats(1)}))(0, body)


def test_the_first_wrong_answer_is_kept_with_its_reason() -> None:
    check = AnswerCheck(pool_expecting({"y": floats(1)}, {"y": floats(2)}))
    for choice, body in [(0, answer(1.0)), (1, answer(1.0)), (0, b"")]:
        check(choice, body)
    assert check.first_wrong is not None
    assert (check.first_wrong.choice, check.first_wrong.why) == (
        1,
        "output 'y', element [0]: 1.0, expected 2.0",
    )


def test_a_body_without_expected_outputs_passes() -> None:
    assert AnswerCheck(pool_expecting(None, {"y": floats(1)}))(0, b"anything")


def test_a_check_that_could_never_fail_is_refused() -> None:
    with pytest.raises(BadRows, match="no answer can be checked"):
        AnswerCheck(pool_expecting(None, None))


def test_a_check_goes_to_other_processes() -> None:
    check = pickle.loads(pickle.dumps(AnswerCheck(pool_expecting({"y": floats(1)}))))
    assert [check(0, answer(1.0)), check(0, answer(2.0))] == [True, False]
