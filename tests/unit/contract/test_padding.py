"""Rows padded to a bucket, with what is filled in beside them, and outputs cut back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bridge.contract.invalid import InvalidCode, InvalidInput
from bridge.contract.model import ModelContract, Padding, TensorSpec
from bridge.contract.padding import PADDED_BYTES_MAX, Padder, UnpaddedOutput

TOKENS = TensorSpec(name="tokens", datatype="INT32", shape=(-1, -1))
SERIES = TensorSpec(name="series", datatype="FP32", shape=(-1, -1, 2))
WORDS = TensorSpec(name="words", datatype="BYTES", shape=(-1, -1))
FIELD = TensorSpec(name="field", datatype="FP64", shape=(-1, 3))
MASK = TensorSpec(name="mask", datatype="FP32", shape=(-1, -1))
LENGTH = TensorSpec(name="length", datatype="INT64", shape=(-1,))
TALL_LENGTH = TensorSpec(name="length", datatype="FP32", shape=(-1, 1))
OUTPUTS = (
    TensorSpec(name="score", datatype="FP32", shape=(-1,)),
    TensorSpec(name="tags", datatype="FP32", shape=(-1, -1)),
    TensorSpec(name="pairs", datatype="FP32", shape=(-1, 2, -1, -1)),
)


def padder(*inputs: TensorSpec, values: dict[str, Any], **more: Any) -> Padder:
    padding = Padding(buckets=(4, 8), values=values, **more)
    return Padder(
        ModelContract(
            name="m", version="1", platform="x", inputs=inputs, outputs=OUTPUTS, padding=padding
        )
    )


ONLY_TOKENS = padder(TOKENS, values={"tokens": 7})


def tokens(rows: int, length: int) -> dict[str, Any]:
    return {"tokens": np.ones((rows, length), np.int32)}


@pytest.mark.parametrize(("length", "bucket"), [(1, 4), (4, 4), (5, 8), (8, 8)])
def test_rows_go_to_the_shortest_bucket_that_holds_them(length: int, bucket: int) -> None:
    assert ONLY_TOKENS.padded(tokens(2, length)).bucket == bucket


def test_the_pad_stands_behind_the_values() -> None:
    found = ONLY_TOKENS.padded({"tokens": np.array([[1, 2, 3]], np.int32)})
    assert found.tensors["tokens"].tolist() == [[1, 2, 3, 7]]


def test_what_is_as_long_as_its_bucket_is_not_copied() -> None:
    given = tokens(2, 4)
    assert ONLY_TOKENS.padded(given).tensors["tokens"] is given["tokens"]


def test_longer_than_every_bucket_is_refused_with_the_longest() -> None:
    with pytest.raises(InvalidInput) as caught:
        ONLY_TOKENS.padded(tokens(1, 9))
    assert (caught.value.code, caught.value.message) == (
        InvalidCode.TOO_LONG,
        "input tokens: rows of length 9, at most 8 is accepted",
    )


def test_only_the_varying_dimension_is_padded() -> None:
    found = padder(SERIES, values={"series": 0.0}).padded(
        {"series": np.ones((2, 3, 2), np.float32)}
    )
    assert found.tensors["series"].tolist() == [[[1, 1]] * 3 + [[0, 0]]] * 2


def test_texts_are_padded_with_text() -> None:
    found = padder(WORDS, values={"words": "-"}).padded(
        {"words": np.array([["a", "b"]], dtype=object)}
    )
    assert found.tensors["words"].tolist() == [["a", "b", "-", "-"]]


def test_inputs_that_do_not_vary_travel_as_they_are() -> None:
    field = np.ones((1, 3))
    found = padder(FIELD, TOKENS, values={"tokens": 0}).padded({"field": field, **tokens(1, 2)})
    assert list(found.tensors) == ["field", "tokens"]
    assert found.tensors["field"] is field


def test_the_mask_is_one_for_values_and_zero_for_padding() -> None:
    found = padder(TOKENS, values={"tokens": 0}, mask=MASK).padded(tokens(2, 3))
    assert found.tensors["mask"].dtype == np.float32
    assert found.tensors["mask"].tolist() == [[1, 1, 1, 0]] * 2


@pytest.mark.parametrize(("spec", "expected"), [(LENGTH, [3, 3]), (TALL_LENGTH, [[3.0], [3.0]])])
def test_the_length_is_that_of_the_row_itself(spec: TensorSpec, expected: list[Any]) -> None:
    found = padder(TOKENS, values={"tokens": 0}, length=spec).padded(tokens(2, 3))
    assert (found.tensors["length"].dtype, found.tensors["length"].tolist()) == (
        spec.type.dtype,
        expected,
    )


def test_inputs_of_different_lengths_are_refused() -> None:
    two = padder(TOKENS, SERIES, values={"tokens": 0, "series": 0.0})
    with pytest.raises(InvalidInput) as caught:
        two.padded({**tokens(1, 3), "series": np.ones((1, 2, 2), np.float32)})
    assert (caught.value.code, caught.value.message) == (
        InvalidCode.WRONG_SHAPE,
        "inputs: their lengths must be equal, found tokens 3, series 2",
    )


def test_what_would_take_too_much_memory_is_refused_before_it_is_made() -> None:
    rows = PADDED_BYTES_MAX // (4 * 4)
    ONLY_TOKENS.padded({"tokens": np.broadcast_to(np.int32(1), (rows, 1))})
    with pytest.raises(InvalidInput) as caught:
        ONLY_TOKENS.padded({"tokens": np.broadcast_to(np.int32(1), (rows + 1, 1))})
    assert caught.value.code is InvalidCode.TOO_LARGE


def test_outputs_are_cut_along_every_dimension_that_varies() -> None:
    rows = ONLY_TOKENS.padded(tokens(5, 3))
    outputs = {
        "score": np.zeros(5, np.float32),
        "tags": np.zeros((5, 4), np.float32),
        "pairs": np.zeros((5, 2, 4, 4), np.float32),
    }
    shapes = {name: array.shape for name, array in ONLY_TOKENS.cut(outputs, rows).items()}
    assert shapes == {"score": (5,), "tags": (5, 3), "pairs": (5, 2, 3, 3)}


def test_what_is_cut_lies_in_memory_as_an_answer_needs_it() -> None:
    rows = ONLY_TOKENS.padded(tokens(5, 3))
    cut = ONLY_TOKENS.cut({"tags": np.arange(20, dtype=np.float32).reshape(5, 4)}, rows)["tags"]
    assert (cut.flags.c_contiguous, cut[:, 0].tolist()) == (True, [0, 4, 8, 12, 16])


@pytest.mark.parametrize("shape", [(5, 3), (5, 8), (5,), (5, 4, 1)])
def test_an_output_that_does_not_follow_the_padded_length_cannot_be_cut(
    shape: tuple[int, ...],
) -> None:
    rows = ONLY_TOKENS.padded(tokens(5, 3))
    with pytest.raises(UnpaddedOutput):
        ONLY_TOKENS.cut({"tags": np.zeros(shape, np.float32)}, rows)


def test_parts_of_several_lengths_become_one_batch() -> None:
    whole = padder(TOKENS, values={"tokens": 0}, mask=MASK, length=LENGTH)
    joined = whole.joined([tokens(1, 2), tokens(2, 1)], 4)
    assert {name: array.tolist() for name, array in joined.items()} == {
        "tokens": [[1, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]],
        "mask": [[1, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]],
        "length": [2, 1, 1],
    }
