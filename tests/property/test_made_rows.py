"""Rows made from a contract and statistics, for any contract: what is promised of them holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from bridge.contract.datatype import DATATYPES
from bridge.contract.declaration import parse_declaration
from bridge.contract.invalid import InvalidInput
from bridge.contract.model import ModelContract, TensorSpec, ValueRules
from bridge.contract.repository import scan
from bridge.contract.statistics import encode_statistics, parse_statistics
from bridge.contract.values import ValueCheck
from bridge.describe.contract_text import contract_text
from bridge.describe.summary import Summary
from bridge.describe.told import Told
from bridge.jobs.columns import input_columns
from bridge.jobs.input_table import InputTable
from bridge.jobs.rows import RowCheck
from bridge.jobs.tables import MemoryTable
from bridge.synthesize.made_rows import MadeRows
from bridge.synthesize.scenario import ScenarioRow
from tests.property.arrays import same
from tests.sample_models import MODELS
from tests.strategies import Refused, allowed_rows, refused_rows, specs
from workers.loading import open_model

Array = np.ndarray[Any, np.dtype[Any]]

# Each example makes whole tables: enough of them, in a second or two for each test.
few = settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])

LOADED = {folder.model: open_model(folder, threads=1) for folder in scan(MODELS)}
CONTRACTS: dict[str, ModelContract] = {name: model.contract for name, model in LOADED.items()}
some_inputs = st.lists(
    specs(list(DATATYPES)), min_size=1, max_size=3, unique_by=lambda spec: spec.shape
).map(
    lambda found: [
        msgspec.structs.replace(spec, name=f"input {index}") for index, spec in enumerate(found)
    ]
)
# A file cannot say which of several dimensions is how long.
in_a_file = some_inputs.filter(lambda inputs: all(s.row_shape.count(-1) < 2 for s in inputs))


def check_all(inputs: Sequence[TensorSpec], tensors: Any) -> None:
    for spec in inputs:
        ValueCheck(spec).check(tensors[spec.name])


@pytest.mark.parametrize("model", CONTRACTS)
@few
@given(data=st.data())
def test_rows_drawn_from_a_samples_contract_are_allowed(model: str, data: st.DataObject) -> None:
    inputs = CONTRACTS[model].inputs
    check_all(inputs, data.draw(allowed_rows(inputs)))


@pytest.mark.parametrize("model", [name for name in CONTRACTS if not CONTRACTS[name].padding])
@few
@given(data=st.data())
def test_a_sample_answers_every_row_that_its_contract_allows(
    model: str, data: st.DataObject
) -> None:
    tensors = data.draw(allowed_rows(CONTRACTS[model].inputs))
    rows = len(next(iter(tensors.values())))
    with np.errstate(all="ignore"):  # the ends of all ranges together are no weather
        outputs = LOADED[model].run(tensors, rows)
    assert {len(output) for output in outputs.values()} == {rows}


@pytest.mark.parametrize("model", [name for name in CONTRACTS if name != "fixed_batch"])
@few
@given(data=st.data())
def test_rows_with_one_forbidden_value_are_refused_by_its_code(
    model: str, data: st.DataObject
) -> None:
    inputs = CONTRACTS[model].inputs
    found: Refused = data.draw(refused_rows(inputs))
    with pytest.raises(InvalidInput) as refused:
        check_all(inputs, found.tensors)
    assert refused.value.code == found.code


@few
@given(some_inputs, st.integers(1, 20))
def test_likely_rows_are_allowed_by_any_contract(inputs: list[TensorSpec], rows: int) -> None:
    groups = list(MadeRows(inputs, None).likely(rows, np.random.default_rng(0)))
    for group in groups:
        check_all(inputs, group)
    assert sum(len(group[inputs[0].name]) for group in groups) == rows


@few
@given(some_inputs)
def test_edge_cases_are_allowed_by_any_contract(inputs: list[TensorSpec]) -> None:
    made = MadeRows(inputs, None).edge_cases(np.random.default_rng(0))
    assert {row.expected_error for row in made} == {""}


def without_rules(spec: TensorSpec) -> TensorSpec:
    """The tensor as it is before anybody has said what its values may be."""
    nulls = ValueRules(nulls="allow" if spec.type.kind == "floating" else "unset")
    return msgspec.structs.replace(spec, rules=nulls, column_rules={})


def outcome_in_a_file(inputs: Sequence[TensorSpec], row: ScenarioRow) -> str:
    """The code with which a job rejects the row, or none."""
    table = InputTable(inputs)
    batch = table.batch(row.tensors, row.missing, {})
    source = MemoryTable([batch], table.schema)
    columns = input_columns(inputs, source.column_types, {}, "the table")
    check = RowCheck(columns, source.column_types, "the table", is_text=False)
    (checked,) = (found for page in source.pages(check.columns, 0) for found in check.check(page))
    return next((fault.code for fault in checked.faults.values()), "")


@few
@given(in_a_file)
def test_a_job_rejects_exactly_the_rows_that_are_expected_to_be_refused(
    inputs: list[TensorSpec],
) -> None:
    made = list(MadeRows(inputs, None).unseen(np.random.default_rng(0)))
    expected = [(row.name, row.expected_error) for row in made]
    assert [(row.name, outcome_in_a_file(inputs, row)) for row in made] == expected


@few
@given(in_a_file, st.data())
def test_rows_come_back_from_a_table_as_they_were(
    inputs: list[TensorSpec], data: st.DataObject
) -> None:
    tensors = data.draw(allowed_rows(inputs))
    table = InputTable(inputs)
    source = MemoryTable([table.batch(tensors, {}, {})], table.schema)
    columns = input_columns(inputs, source.column_types, {}, "the table")
    check = RowCheck(columns, source.column_types, "the table", is_text=False)
    (checked,) = (found for page in source.pages(check.columns, 0) for found in check.check(page))
    assert all(same(checked.tensors[name], array) for name, array in tensors.items())


@few
@given(some_inputs, st.data())
def test_a_described_contract_allows_the_data_that_it_was_described_from(
    inputs: list[TensorSpec], data: st.DataObject
) -> None:
    bare = tuple(without_rules(spec) for spec in inputs)
    tensors = data.draw(allowed_rows(bare, rows_max=40))
    summary = Summary(bare)
    summary.add(tensors)
    statistics = parse_statistics(encode_statistics(summary.statistics("a file")))
    told = Told(inputs=bare, outputs=bare, inputs_from="here", outputs_from="here")
    text = contract_text(told, statistics)
    check_all(parse_declaration(text.encode()).caller_inputs(None, replaced=True), tensors)


@few
@given(some_inputs, st.data(), st.integers(1, 20))
def test_likely_numbers_are_between_those_that_were_seen(
    inputs: list[TensorSpec], data: st.DataObject, rows: int
) -> None:
    inputs = [without_rules(spec) for spec in inputs if spec.type.kind in ("integer", "floating")]
    assume(inputs)
    tensors = data.draw(allowed_rows(inputs, rows_max=40))
    summary = Summary(inputs)
    summary.add(tensors)
    statistics = parse_statistics(encode_statistics(summary.statistics("a file")))
    for group in MadeRows(inputs, statistics).likely(rows, np.random.default_rng(0)):
        for spec in inputs:
            seen = tensors[spec.name][np.isfinite(tensors[spec.name])]
            made = group[spec.name][np.isfinite(group[spec.name])]
            if seen.size and made.size:
                assert seen.min() <= made.min()
                assert made.max() <= seen.max()
