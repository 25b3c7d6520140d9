"""contract.toml: what a team may say, and how it is told what is wrong."""

from __future__ import annotations

import pytest

from bridge.contract.declaration import (
    TIMEOUT_MS_MAX,
    DeclarationError,
    parse_declaration,
)
from bridge.contract.model import Serving, TensorSpec, ValueRules

GRAPH = (
    TensorSpec(name="x", datatype="FP32", shape=(-1, 2)),
    TensorSpec(name="n", datatype="INT64", shape=(-1,)),
    TensorSpec(name="word", datatype="BYTES", shape=(-1, 1)),
    TensorSpec(name="flag", datatype="BOOL", shape=(-1, 1)),
)


def inputs(text: str) -> dict[str, TensorSpec]:
    """The caller's inputs of `GRAPH` under a declaration."""
    found = parse_declaration(text.encode()).caller_inputs(GRAPH, replaced=False)
    return {spec.name: spec for spec in found}


def serving(text: str) -> Serving:
    return parse_declaration(text.encode()).serving()


def test_no_declaration_leaves_the_graph_as_it_is() -> None:
    assert parse_declaration(b"").caller_inputs(GRAPH, replaced=False) == GRAPH


def test_no_declaration_means_a_tenth_of_a_second_and_ten_times_that() -> None:
    assert serving("") == Serving(latency_target_s=0.1, timeout_s=1.0, max_batch_rows=None)


def test_milliseconds_become_seconds() -> None:
    text = "[serving]\nlatency_target_ms = 250\ntimeout_ms = 500\nmax_batch_rows = 8"
    assert serving(text) == Serving(latency_target_s=0.25, timeout_s=0.5, max_batch_rows=8)


def test_a_timeout_that_is_not_given_is_ten_targets() -> None:
    assert serving("[serving]\nlatency_target_ms = 250").timeout_s == 2.5


def test_ten_long_targets_are_cut_at_the_longest_timeout() -> None:
    assert serving("[serving]\nlatency_target_ms = 1e6").timeout_s == TIMEOUT_MS_MAX / 1000


def test_columns_and_rules_are_attached_to_the_graphs_tensor() -> None:
    text = """
    [inputs.x]
    description = "two fields"
    columns = ["age", "mass"]
    range = [0, 100]
    [inputs.x.column.mass]
    unit = "kg"
    nulls = "allow"
    """
    assert inputs(text)["x"] == TensorSpec(
        name="x",
        datatype="FP32",
        shape=(-1, 2),
        columns=("age", "mass"),
        rules=ValueRules(range=(0, 100), description="two fields"),
        column_rules={"mass": ValueRules(unit="kg", nulls="allow")},
    )


def test_a_tensor_that_is_not_declared_keeps_what_the_graph_says() -> None:
    assert inputs("[inputs.n]\nrange = [0, 9]")["x"] == GRAPH[0]


def test_outputs_are_declared_like_inputs() -> None:
    declared = parse_declaration(b'[outputs.x]\nunit = "kg/ha"')
    assert declared.caller_outputs(GRAPH[:1], replaced=False)[0].rules.unit == "kg/ha"


def test_a_pipeline_of_its_own_declares_other_tensors_than_the_graph() -> None:
    declared = parse_declaration(b'[inputs.crop]\ndatatype = "BYTES"\nshape = [-1, 1]')
    expected = (TensorSpec(name="crop", datatype="BYTES", shape=(-1, 1)),)
    assert declared.caller_inputs(GRAPH, replaced=True) == expected


def test_a_pipeline_may_only_annotate_the_graphs_tensors() -> None:
    declared = parse_declaration(b"[inputs.n]\nrange = [0, 9]")
    names = [spec.name for spec in declared.caller_inputs(GRAPH, replaced=True)]
    assert names == ["x", "n", "word", "flag"]


def test_a_tensor_declared_without_a_shape_is_one_value_per_row() -> None:
    declared = parse_declaration(b'[inputs.x]\ndatatype = "FP32"')
    assert declared.caller_inputs(None, replaced=False)[0].shape == (-1,)


def test_a_range_may_be_open_on_either_side() -> None:
    assert inputs("[inputs.n]\nrange = [0, inf]")["n"].rules.range == (0, float("inf"))


WRONG_SERVING = {
    "latency_target_ms = 0": "serving.latency_target_ms: 0 is not positive",
    "latency_target_ms = -1": "serving.latency_target_ms: -1 is not positive",
    "latency_target_ms = nan": "serving.latency_target_ms: nan is not positive",
    "latency_target_ms = inf": "serving.latency_target_ms: inf is not positive and at most",
    "latency_target_ms = 3600001": "serving.latency_target_ms: ",
    "timeout_ms = 99": "serving.timeout_ms: 99 is not between the latency target, 100,",
    "timeout_ms = nan": "serving.timeout_ms: nan is not between",
    "timeout_ms = inf": "serving.timeout_ms: inf is not between",
    "timeout_ms = 3600001": "serving.timeout_ms: ",
    "max_batch_rows = 0": "serving.max_batch_rows: 0 is below 1",
}


@pytest.mark.parametrize(("line", "message"), WRONG_SERVING.items(), ids=WRONG_SERVING.keys())
def test_a_serving_target_that_cannot_be_kept_is_named(line: str, message: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        serving(f"[serving]\n{line}")
    assert str(refused.value).startswith(message)


WRONG_TEXT = {
    "latency = 1": "unknown field `latency`",
    "[serving]\nlatency_ms = 1": "unknown field `latency_ms` - at `$.serving`",
    '[serving]\ntimeout_ms = "1"': "$.serving.timeout_ms",
    "[serving]\nmax_batch_rows = 1.5": "$.serving.max_batch_rows",
    "serving = 1": "$.serving",
    "inputs = 1": "$.inputs",
    "[inputs]\nx = 1": "$.inputs.x",
    "[inputs.x]\ncolums = []": "unknown field `colums` - at `$.inputs.x`",
    "[outputs.x]\ncolums = []": "unknown field `colums` - at `$.outputs.x`",
    "[inputs.n]\n[inputs.x]\nrange = 1": "$.inputs.x.range",
    "[inputs.x]\nrange = [1]": "$.inputs.x.range",
    "[inputs.x]\nrange = [1, 2, 3]": "$.inputs.x.range",
    "[inputs.x]\ncategories = [1.5]": "$.inputs.x.categories[0]",
    "[inputs.x]\ncategories = [true]": "$.inputs.x.categories[0]",
    '[inputs.x]\nnulls = "maybe"': "$.inputs.x.nulls",
    "[inputs.x]\nshape = [-1, 1.5]": "$.inputs.x.shape[1]",
    "[inputs.x]\ncolumn = 1": "$.inputs.x.column",
    "[inputs.x.column.a]\n[inputs.x.column.b]\nrange = true": "$.inputs.x.column.'b'.range",
    "[outputs.y.column.a]\nrange = 'all'": "$.outputs.y.column.'a'.range",
}


@pytest.mark.parametrize(("text", "message"), WRONG_TEXT.items(), ids=WRONG_TEXT.keys())
def test_a_key_or_value_of_the_wrong_kind_is_named_with_its_path(text: str, message: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        parse_declaration(text.encode())
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "text", [b"\xff", b"[serving", b"a = ", b"[inputs.x]\n[inputs.x]", b"\xef\xbb\xbfa = 1"]
)
def test_bytes_that_are_no_toml_are_refused_as_such(text: bytes) -> None:
    with pytest.raises(DeclarationError, match="not TOML: "):
        parse_declaration(text)


WRONG_MEETING = {
    "[inputs.z]": "inputs.z: the graph has no such tensor, it has x, n, word, flag",
    '[inputs.x]\ndatatype = "FP64"': "inputs.x.datatype: FP64, but the graph says FP32",
    "[inputs.x]\nshape = [-1, 3]": "inputs.x.shape: [-1, 3], but the graph says [-1, 2]",
    '[inputs.x]\ncolumns = ["a"]': "inputs.x.columns: 1 names (each once) for a last axis of 2",
    '[inputs.x]\ncolumns = ["a", "a"]': "inputs.x.columns: 2 names (each once)",
    '[inputs.n]\ncolumns = ["a"]': "inputs.n.columns: 1 names (each once) for a last axis of None",
    "[inputs.x.column.age]": "inputs.x.column.'age': not among the tensor's columns",
    "[inputs.x]\nrange = [2, 1]": "inputs.x.range: [2.0, 1.0] is not [lowest, highest]",
    "[inputs.x]\nrange = [nan, 1]": "inputs.x.range: [nan, 1.0] is not [lowest, highest]",
    "[inputs.word]\nrange = [0, 1]": "inputs.word.range: a BYTES tensor has no range",
    "[inputs.flag]\nrange = [0, 1]": "inputs.flag.range: a BOOL tensor has no range",
    "[inputs.word]\nunit = 'kg'": "inputs.word.unit: a BYTES tensor has no unit",
    "[inputs.flag]\nunit = 'kg'": "inputs.flag.unit: a BOOL tensor has no unit",
    "[inputs.n]\nrange = [0.2, 0.8]": "inputs.n.range: [0.2, 0.8] holds no INT64",
    "[inputs.n]\nrange = [1e19, 2e19]": "inputs.n.range: [1e+19, 2e+19] holds no INT64",
    "[inputs.n]\ncategories = ['a']": "inputs.n.categories: must be text for BYTES and whole",
    "[inputs.word]\ncategories = [1]": "inputs.word.categories: must be text",
    "[inputs.x]\ncategories = [1]": "inputs.x.categories: must be text",
    "[inputs.flag]\ncategories = [1]": "inputs.flag.categories: must be text",
    "[inputs.n]\ncategories = []": "inputs.n.categories: an empty list accepts nothing",
    "[inputs.n]\nnulls = 'allow'": "inputs.n.nulls: a INT64 tensor cannot hold nulls",
    "[inputs.x]\ncolumns = ['a', 'b']\n[inputs.x.column.b]\nrange = [2, 1]": (
        "inputs.x.column.'b'.range: [2.0, 1.0] is not [lowest, highest]"
    ),
    "[inputs.x]\ncolumns = ['a', 'b']\n[inputs.x.column.b]\ncategories = [1]": (
        "inputs.x.column.'b'.categories: must be text"
    ),
}


@pytest.mark.parametrize(("text", "message"), WRONG_MEETING.items(), ids=WRONG_MEETING.keys())
def test_what_contradicts_the_graph_or_itself_is_named_with_its_key(
    text: str, message: str
) -> None:
    with pytest.raises(DeclarationError) as refused:
        inputs(text)
    assert str(refused.value).startswith(message)


WRONG_DECLARED = {
    "": "inputs: must be declared, with datatypes, for a model without model.onnx",
    "[inputs.x]": "inputs.x.datatype: None is not one of BOOL, UINT8",
    '[inputs.x]\ndatatype = "float"': "inputs.x.datatype: 'float' is not one of BOOL, UINT8",
    '[inputs.x]\ndatatype = "FP32"\nshape = [1, 2]': "inputs.x.shape: [1, 2] must start with -1",
    '[inputs.x]\ndatatype = "FP32"\nshape = [-1, 0]': "inputs.x.shape: [-1, 0] must start with -1",
    '[inputs.x]\ndatatype = "FP32"\nshape = [-1, -2]': "inputs.x.shape: [-1, -2] must",
}


@pytest.mark.parametrize(("text", "message"), WRONG_DECLARED.items(), ids=WRONG_DECLARED.keys())
def test_without_a_graph_the_declaration_must_say_everything(text: str, message: str) -> None:
    declared = parse_declaration(text.encode())
    with pytest.raises(DeclarationError) as refused:
        declared.caller_inputs(None, replaced=False)
    assert str(refused.value).startswith(message)
