"""How a contract says that rows are padded, and how it is told what is wrong."""

from __future__ import annotations

import pytest

from bridge.contract.declaration import DeclarationError, parse_declaration
from bridge.contract.model import ModelContract, Padding, TensorSpec, decode_contract
from bridge.contract.model import encode_contract as encoded
from bridge.contract.padding_declaration import BUCKETS_DEFAULT

TOKENS = TensorSpec(name="tokens", datatype="INT32", shape=(-1, -1))
TYPES = TensorSpec(name="types", datatype="INT32", shape=(-1, -1))
MASK = TensorSpec(name="mask", datatype="FP32", shape=(-1, -1))
OTHER_MASK = TensorSpec(name="mask2", datatype="BOOL", shape=(-1, -1))
LENGTH = TensorSpec(name="length", datatype="INT64", shape=(-1,))
WORDS = TensorSpec(name="words", datatype="BYTES", shape=(-1, -1))
FLAGS = TensorSpec(name="flags", datatype="BOOL", shape=(-1, -1))
SERIES = TensorSpec(name="series", datatype="FP32", shape=(-1, -1, 3))
FIXED = TensorSpec(name="fixed", datatype="FP32", shape=(-1, 4))
GRID = TensorSpec(name="grid", datatype="FP32", shape=(-1, -1, -1))
SHORT = TensorSpec(name="short", datatype="INT8", shape=(-1,))
HALF = TensorSpec(name="half", datatype="FP16", shape=(-1,))
GRAPH = (TOKENS, TYPES, MASK, OTHER_MASK, LENGTH, SHORT, HALF, WORDS, FLAGS, SERIES, FIXED, GRID)


def padding(text: str) -> Padding | None:
    return parse_declaration(text.encode()).padding(GRAPH, replaced=False)


def callers(text: str) -> list[str]:
    """The names of the inputs that callers send."""
    found = parse_declaration(text.encode()).caller_inputs(GRAPH, replaced=False)
    return [spec.name for spec in found]


def test_without_a_pad_nothing_is_padded() -> None:
    assert padding("[inputs.tokens]\nrange = [0, 9]") is None


def test_buckets_mask_and_length_are_as_declared() -> None:
    text = '[inputs.tokens]\npad = 0\nbuckets = [4, 8]\nmask = "mask"\nlength = "length"'
    assert padding(text) == Padding(buckets=(4, 8), values={"tokens": 0}, mask=MASK, length=LENGTH)


def test_callers_do_not_send_mask_and_length() -> None:
    text = '[inputs.tokens]\npad = 0\nmask = "mask"\nlength = "length"'
    assert {spec.name for spec in GRAPH} - set(callers(text)) == {"mask", "length"}


def test_buckets_are_powers_of_two_by_default() -> None:
    found = padding("[inputs.tokens]\npad = 0")
    assert found is not None
    assert found.buckets == BUCKETS_DEFAULT == (8, 16, 32, 64, 128, 256, 512)


@pytest.mark.parametrize(("name", "longest"), [("short", 127), ("half", 2048)])
def test_a_length_may_be_the_largest_of_its_datatype(name: str, longest: int) -> None:
    found = padding(f'[inputs.tokens]\npad = 0\nbuckets = [{longest}]\nlength = "{name}"')
    assert found is not None


def test_several_inputs_are_padded_alike() -> None:
    found = padding(
        '[inputs.tokens]\npad = 0\nbuckets = [4]\nmask = "mask"\n[inputs.types]\npad = 2'
    )
    assert found == Padding(buckets=(4,), values={"tokens": 0, "types": 2}, mask=MASK)


@pytest.mark.parametrize(
    ("name", "pad", "value"),
    [("words", '"-"', "-"), ("flags", "false", False), ("series", "-inf", -float("inf"))],
)
def test_a_pad_is_a_value_of_the_inputs_datatype(name: str, pad: str, value: object) -> None:
    found = padding(f"[inputs.{name}]\npad = {pad}")
    assert found is not None
    assert found.values == {name: value}


def test_padding_survives_the_way_to_the_gateway() -> None:
    contract = ModelContract(
        name="m",
        version="1",
        platform="onnx_onnxv1",
        inputs=(TOKENS, WORDS),
        outputs=(),
        padding=Padding(buckets=(4, 8), values={"tokens": 0, "words": ""}, mask=MASK),
    )
    assert decode_contract(encoded(contract)) == contract


WRONG = {
    "buckets without pad": ("[inputs.tokens]\nbuckets = [4]", "inputs.tokens.pad"),
    "mask without pad": ('[inputs.tokens]\nmask = "mask"', "inputs.tokens.pad"),
    "length without pad": ('[inputs.tokens]\nlength = "length"', "inputs.tokens.pad"),
    "a text for a number": ('[inputs.tokens]\npad = "x"', "inputs.tokens.pad"),
    "a number for a text": ("[inputs.words]\npad = 0", "inputs.words.pad"),
    "a truth for a number": ("[inputs.tokens]\npad = true", "inputs.tokens.pad"),
    "a number for a truth": ("[inputs.flags]\npad = 0", "inputs.flags.pad"),
    "a number that INT32 cannot hold": ("[inputs.tokens]\npad = 3000000000", "inputs.tokens.pad"),
    "a fraction for whole numbers": ("[inputs.tokens]\npad = 0.5", "inputs.tokens.pad"),
    "no dimension that varies": ("[inputs.fixed]\npad = 0", "inputs.fixed.pad"),
    "two dimensions that vary": ("[inputs.grid]\npad = 0", "inputs.grid.pad"),
    "no bucket": ("[inputs.tokens]\npad = 0\nbuckets = []", "inputs.tokens.buckets"),
    "a bucket of nothing": ("[inputs.tokens]\npad = 0\nbuckets = [0, 4]", "inputs.tokens.buckets"),
    "buckets that do not ascend": (
        "[inputs.tokens]\npad = 0\nbuckets = [8, 4]",
        "inputs.tokens.buckets",
    ),
    "a bucket twice": ("[inputs.tokens]\npad = 0\nbuckets = [4, 4]", "inputs.tokens.buckets"),
    "a bucket beyond all bounds": (
        "[inputs.tokens]\npad = 0\nbuckets = [100000]",
        "inputs.tokens.buckets",
    ),
    "too many buckets": (
        f"[inputs.tokens]\npad = 0\nbuckets = {list(range(1, 40))}",
        "inputs.tokens.buckets",
    ),
    "buckets that differ": (
        "[inputs.tokens]\npad = 0\nbuckets = [4]\n[inputs.types]\npad = 0\nbuckets = [8]",
        "inputs.types.buckets",
    ),
    "a mask that is no input": ('[inputs.tokens]\npad = 0\nmask = "?"', "inputs.tokens.mask"),
    "a mask of another shape": ('[inputs.tokens]\npad = 0\nmask = "series"', "inputs.tokens.mask"),
    "a mask of text": ('[inputs.tokens]\npad = 0\nmask = "words"', "inputs.tokens.mask"),
    "a length of another shape": (
        '[inputs.tokens]\npad = 0\nlength = "mask"',
        "inputs.tokens.length",
    ),
    "a length that INT8 cannot hold": (
        '[inputs.tokens]\npad = 0\nbuckets = [128]\nlength = "short"',
        "inputs.short: INT8 cannot hold 128",
    ),
    "a length that FP16 rounds": (
        '[inputs.tokens]\npad = 0\nbuckets = [2049]\nlength = "half"',
        "inputs.half: FP16 cannot hold 2049",
    ),
    "masks that differ": (
        '[inputs.tokens]\npad = 0\nmask = "mask"\n[inputs.types]\npad = 0\nmask = "mask2"',
        "inputs.types.mask",
    ),
    "a mask that is padded itself": (
        '[inputs.tokens]\npad = 0\nmask = "mask"\n[inputs.mask]\npad = 0.0',
        "inputs.mask.pad",
    ),
    "an output that is padded": ("[outputs.y]\npad = 0", "outputs.y"),
}


@pytest.mark.parametrize(("text", "key"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_padded_so_is_refused_by_its_key(text: str, key: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        padding(text)
    assert key in str(caught.value)


def test_a_declared_mask_is_found_among_inputs_that_a_batch_script_takes() -> None:
    text = (
        '[inputs.x]\ndatatype = "FP64"\nshape = [-1, -1]\npad = 0.0\nmask = "m"\n'
        '[inputs.m]\ndatatype = "BOOL"\nshape = [-1, -1]'
    )
    declaration = parse_declaration(text.encode())
    found = declaration.padding(None, replaced=True)
    assert found is not None
    assert [spec.name for spec in found.filled] == ["m"]
    assert [spec.name for spec in declaration.caller_inputs(None, replaced=True)] == ["x"]
