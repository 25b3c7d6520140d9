"""Requests in V2 JSON that are accepted, and what they become."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest

from bridge.contract.model import ValueRules
from bridge.gateway.dialects.call import PRIORITY_MAX, TIMEOUT_MAX_S, WantedOutput
from tests.unit.dialects.doors import (
    BYTES,
    PAIR,
    RANGED,
    TWO_INPUTS,
    VARIABLE,
    door,
    of_type,
    parse,
    request,
    spec,
    tensor,
    with_data,
)

GOOD = tensor([[1.0, 2.0]])
TRITON_JSON = (
    b'{"id": "7", "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", '
    b'"data": [1.5, 2.5]}], "outputs": [{"name": "y", "parameters": {"binary_data": false}}], '
    b'"parameters": {"priority": 1, "timeout": 250000, "sequence_id": 3, "sequence_start": true}}'
)
KSERVE_JSON = (
    b'{"id":"5b6bd8b5-4c1c-4a6e-9f3e-0c2f1f6f6f6f","model_name":"model","inputs":[{"name":"x",'
    b'"shape":[1,2],"datatype":"FP32","data":[1.5,2.5]}]}'
)


@pytest.mark.parametrize("data", [b"[[1,2],[3,4]]", b"[1,2,3,4]", b"[ [1, 2],\n\t[3, 4] ]"])
def test_data_may_be_nested_or_flat(data: bytes) -> None:
    array = parse(with_data(data, shape="[2,2]")).tensors["x"]
    np.testing.assert_array_equal(array, np.array([[1, 2], [3, 4]], np.float32), strict=True)


def test_deeper_data_may_be_nested() -> None:
    wanted = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    at = door(spec("x", "FP32", -1, 3, 4))
    array = parse(request(tensor(wanted, shape=[2, 3, 4])), at).tensors["x"]
    np.testing.assert_array_equal(array, wanted, strict=True)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (3, 2)])
def test_a_variable_dimension_takes_any_size(shape: tuple[int, ...]) -> None:
    wanted = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    array = parse(request(tensor(wanted, datatype="FP64", shape=shape)), VARIABLE).tensors["x"]
    np.testing.assert_array_equal(array, wanted, strict=True)


NUMBERS = [
    ("FP32", "0.1"),
    ("FP32", "-0.0"),
    ("FP32", "5e-324"),
    ("FP32", "1e-45"),
    ("FP32", "7e-46"),
    ("FP32", "1.1754942e-38"),
    ("FP32", "3.4028234663852886e38"),
    ("FP32", "3.4028235677973362e38"),
    ("FP32", "16777217"),
    ("FP32", "1" + "0" * 30),
    ("FP32", "-1"),
    ("FP64", "0.1"),
    ("FP64", "-0.0"),
    ("FP64", "5e-324"),
    ("FP64", "2.2250738585072011e-308"),
    ("FP64", "1.7976931348623157e308"),
    ("FP64", "9007199254740993"),
    ("FP64", "123456789012345678901234567890"),
]


@pytest.mark.parametrize(("datatype", "text"), NUMBERS)
def test_a_number_has_the_bits_that_numpy_gives_it(datatype: str, text: str) -> None:
    at = of_type(datatype)
    body = with_data(f"[{text}]".encode(), datatype=datatype, shape="[1,1]")
    wanted = np.array([[float(text)]], dtype={"FP32": "<f4", "FP64": "<f8"}[datatype])
    assert parse(body, at).tensors["x"].tobytes() == wanted.tobytes()


@pytest.mark.parametrize(
    ("datatype", "lowest", "highest"),
    [
        ("UINT8", 0, 2**8 - 1),
        ("UINT16", 0, 2**16 - 1),
        ("UINT32", 0, 2**32 - 1),
        ("UINT64", 0, 2**64 - 1),
        ("INT8", -(2**7), 2**7 - 1),
        ("INT16", -(2**15), 2**15 - 1),
        ("INT32", -(2**31), 2**31 - 1),
        ("INT64", -(2**63), 2**63 - 1),
    ],
)
def test_integers_reach_from_end_to_end(datatype: str, lowest: int, highest: int) -> None:
    body = request(tensor([lowest, highest], datatype=datatype, shape=[2, 1]))
    assert parse(body, of_type(datatype)).tensors["x"].tolist() == [[lowest], [highest]]


def test_booleans_are_true_and_false() -> None:
    body = request(tensor([True, False], datatype="BOOL", shape=[2, 1]))
    assert parse(body, of_type("BOOL")).tensors["x"].tolist() == [[True], [False]]


@pytest.mark.parametrize("text", ["", "a", "é😀", "a\x00b", '"\\/\n', "null", "x" * 10_000])
def test_text_arrives_as_it_is(text: str) -> None:
    body = request(tensor([text], name="text", datatype="BYTES", shape=[1]))
    array = parse(body, BYTES).tensors["text"]
    assert (array.dtype, array.tolist()) == (np.dtype(object), [text])


def test_text_may_be_nested() -> None:
    at = door(spec("x", "BYTES", -1, 2))
    body = request(tensor([["a", "b"], ["c", "d"]], datatype="BYTES", shape=[2, 2]))
    assert parse(body, at).tensors["x"].tolist() == [["a", "b"], ["c", "d"]]


def test_a_null_becomes_nan_where_its_column_allows_it() -> None:
    array = parse(request(tensor([[50, None], [60, 2]], shape=[2, 2])), RANGED).tensors["x"]
    np.testing.assert_array_equal(array, np.array([[50, np.nan], [60, 2]], np.float32))


def test_a_null_becomes_nan_where_the_tensor_allows_it() -> None:
    at = door(spec("x", "FP64", -1, rules=ValueRules(nulls="allow")))
    body = request(tensor([None, 1], datatype="FP64", shape=[2]))
    np.testing.assert_array_equal(parse(body, at).tensors["x"], np.array([np.nan, 1.0]))


def test_tensors_come_in_the_contracts_order() -> None:
    body = request(
        tensor([1], name="b", datatype="INT64", shape=[1]), tensor([1], name="a", shape=[1, 1])
    )
    assert list(parse(body, TWO_INPUTS).tensors) == ["a", "b"]


def test_a_whole_tritonclient_request_is_understood() -> None:
    call = parse(TRITON_JSON)
    assert (call.id, call.rows, call.timeout_s, call.priority, call.form, call.outputs) == (
        "7",
        1,
        0.25,
        1,
        "json",
        (WantedOutput("y", binary=False),),
    )


def test_a_whole_kserve_request_is_understood() -> None:
    assert parse(KSERVE_JSON).id == "5b6bd8b5-4c1c-4a6e-9f3e-0c2f1f6f6f6f"


def test_all_outputs_come_where_none_is_named() -> None:
    assert [output.name for output in parse(request(GOOD)).outputs] == ["y", "label"]


@pytest.mark.parametrize("nothing", [None, []])
def test_all_outputs_come_where_the_list_is_empty(nothing: Any) -> None:
    call = parse(request(GOOD, outputs=nothing))
    assert [output.name for output in call.outputs] == ["y", "label"]


def test_outputs_come_in_the_order_requested() -> None:
    call = parse(request(GOOD, outputs=[{"name": "label"}, {"name": "y"}]))
    assert [output.name for output in call.outputs] == ["label", "y"]


def test_an_outputs_own_wish_beats_the_requests() -> None:
    wishes = [{"name": "y", "parameters": {"binary_data": False}}, {"name": "label"}]
    call = parse(request(GOOD, outputs=wishes, parameters={"binary_data_output": True}))
    assert (call.form, [output.binary for output in call.outputs]) == ("binary", [False, True])


@pytest.mark.parametrize("key", ["id", "parameters", "outputs", "model_name"])
def test_null_stands_for_an_absent_key(key: str) -> None:
    call = parse(request(GOOD, **{key: None}))
    assert (call.id, call.timeout_s, len(call.outputs)) == (None, None, 2)


@pytest.mark.parametrize("request_id", ["", "a", "é", "漢字", "a b", "x" * 256, '"\\/'])
def test_an_id_is_kept(request_id: str) -> None:
    assert parse(request(GOOD, id=request_id)).id == request_id


def test_parameters_that_nobody_knows_have_no_effect() -> None:
    strange = {"tenant": "other", "deadline": 1, "attempt": 9, "lane": "batch", "rows": 5, "a": 1.5}
    call = parse(request(GOOD, parameters=strange))
    assert (call.rows, call.timeout_s, call.priority) == (1, None, 0)


def test_a_timeout_is_in_microseconds() -> None:
    assert parse(request(GOOD, parameters={"timeout": 1})).timeout_s == 1e-6


def test_a_timeout_may_have_a_fraction() -> None:
    assert parse(request(GOOD, parameters={"timeout": 1500.5})).timeout_s == 0.0015005


def test_a_long_timeout_is_capped_and_said_to_be() -> None:
    call = parse(request(GOOD, parameters={"timeout": 3_600_000_001}))
    assert (call.timeout_s, call.timeout_is_capped) == (TIMEOUT_MAX_S, True)


def test_the_longest_timeout_is_not_capped() -> None:
    call = parse(request(GOOD, parameters={"timeout": 3_600_000_000}))
    assert (call.timeout_s, call.timeout_is_capped) == (TIMEOUT_MAX_S, False)


@pytest.mark.parametrize("priority", [0, 1, PRIORITY_MAX])
def test_a_priority_is_kept(priority: int) -> None:
    assert parse(request(GOOD, parameters={"priority": priority})).priority == priority


def test_the_largest_number_of_rows_is_accepted() -> None:
    assert parse(request(tensor([1.0] * 200, shape=[100, 2]))).rows == 100


def test_a_body_may_be_a_memoryview() -> None:
    assert PAIR.parse("application/json", None, memoryview(request(GOOD))).rows == 1


def test_arrays_are_contiguous_and_aligned() -> None:
    flags = parse(request(GOOD)).tensors["x"].flags
    assert (flags.c_contiguous, flags.aligned) == (True, True)


@pytest.mark.parametrize("count", [8_191, 8_192, 8_193, 50_000])
def test_a_tensor_larger_than_what_is_packed_at_once_is_read(count: int) -> None:
    wanted = np.random.default_rng(1).normal(size=(1, count))
    body = orjson.dumps({"inputs": [tensor(wanted.tolist(), datatype="FP64", shape=[1, count])]})
    np.testing.assert_array_equal(parse(body, VARIABLE).tensors["x"], wanted, strict=True)
