"""`[decision]` and threshold.toml: what they may say, and what follows from them."""

from __future__ import annotations

import re

import msgspec
import numpy as np
import pytest

from bridge.contract.decision import (
    DecisionError,
    DecisionSection,
    Threshold,
    decided,
    declared_decision,
    parse_threshold,
    threshold_text,
    with_decision,
)
from bridge.contract.declaration import DeclarationError, parse_declaration
from bridge.contract.model import Decision, TensorSpec

PROBABILITIES = TensorSpec(
    name="probabilities", datatype="FP32", shape=(-1, 2), columns=("ill", "well")
)
SCORE = TensorSpec(name="score", datatype="FP64", shape=(-1,))
LABEL = TensorSpec(name="label", datatype="INT64", shape=(-1,))
OUTPUTS = (LABEL, PROBABILITIES, SCORE)
SECTION = DecisionSection(
    output="probabilities",
    column="ill",
    positive="ill",
    cost_false_negative=50,
    cost_false_positive=1,
)


def section(**changes: object) -> DecisionSection:
    return msgspec.structs.replace(SECTION, **changes)


def decision(threshold: float | None = 0.25) -> Decision:
    return msgspec.structs.replace(
        declared_decision(SECTION, OUTPUTS), threshold=threshold, threshold_version="3"
    )


def test_the_contract_file_has_a_section_for_it() -> None:
    text = b'[decision]\noutput = "score"\npositive = "ill"\nrecall_floor = 0.9\n'
    found = parse_declaration(text).decision
    assert found == DecisionSection(output="score", positive="ill", recall_floor=0.9)


def test_an_unknown_key_of_the_section_is_named() -> None:
    text = b'[decision]\noutput = "score"\npositive = "ill"\nthreshold = 0.5\n'
    with pytest.raises(DeclarationError, match="threshold"):
        parse_declaration(text)


def test_the_probability_is_found_by_output_and_column() -> None:
    assert declared_decision(section(column="well"), OUTPUTS).place == 1


def test_an_output_of_one_value_needs_no_column() -> None:
    assert declared_decision(section(output="score", column=""), OUTPUTS).place == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output": "none"}, "decision.output: no output 'none', there are label, prob"),
        ({"output": "label", "column": ""}, "decision.output: 'label' is INT64, not floating"),
        ({"column": "sick"}, "decision.column: 'sick' is not among the columns, ill, well"),
        ({"output": "score"}, "decision.column: 'score' has one value a row"),
        ({"positive": ""}, "decision.positive: is empty"),
        ({"cost_false_negative": None}, "decision.cost_false_negative: is missing"),
        ({"cost_false_positive": 0.0}, "decision.cost_false_positive: 0 is not above 0"),
        ({"recall_floor": 0.9}, "decision: costs or recall_floor, not both"),
        (
            {"cost_false_negative": None, "cost_false_positive": None, "recall_floor": 1.5},
            "decision.recall_floor: 1.5 is not above 0 and at most 1",
        ),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(DecisionError, match=re.escape(message)):
        declared_decision(section(**changes), OUTPUTS)


def test_a_model_with_an_output_of_that_name_is_refused() -> None:
    own = TensorSpec(name="decision", datatype="BOOL", shape=(-1,))
    with pytest.raises(DecisionError, match="an output 'decision' of its own"):
        declared_decision(SECTION, (*OUTPUTS, own))


def test_with_a_threshold_the_decision_is_the_last_output() -> None:
    last = with_decision(OUTPUTS, decision())[-1]
    assert (last.name, last.datatype, last.shape) == ("decision", "BOOL", (-1,))
    assert last.rules.description == "true: ill, probabilities.ill is 0.25 or more"


@pytest.mark.parametrize("without", [None, decision(threshold=None)])
def test_without_a_threshold_nothing_is_decided(without: Decision | None) -> None:
    assert with_decision(OUTPUTS, without) == OUTPUTS


def test_a_row_is_positive_from_the_threshold_on() -> None:
    output = np.array([[0.2499, 0], [0.25, 0], [0.2501, 0], [0, 1]], np.float32)
    assert decided(decision(), output).tolist() == [False, True, True, False]


def test_a_threshold_is_compared_as_it_is_written() -> None:
    # As FP32, 0.1 is above 0.1; a threshold that was rounded to FP32 would not part these two.
    output = np.array([[0.1], [np.nextafter(np.float32(0.1), np.float32(0))]], np.float32)
    tenth = msgspec.structs.replace(decision(0.1), place=0)
    assert decided(tenth, output).tolist() == [True, False]


def test_nothing_follows_from_a_nan() -> None:
    with pytest.raises(DecisionError, match="NaN"):
        decided(decision(), np.array([[np.nan, 0.0]], np.float32))


@pytest.mark.parametrize("version", ["1", 'a "b" \\ ö'])
def test_a_threshold_is_read_as_it_was_written(version: str) -> None:
    written = Threshold(threshold=1e-05, version=version, model_sha256="ab")
    assert parse_threshold(threshold_text(written, "Why.\n\nReally.").encode()) == written


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("threshold = ", "not TOML"),
        ('version = "1"', "threshold"),
        ('threshold = "0.5"\nversion = "1"', "threshold"),
        ("threshold = 0.5\nversion = 1", "version"),
        ('threshold = 0.5\nversion = ""', "version: must be printable"),
        ('threshold = nan\nversion = "1"', "threshold: nan is not finite"),
        ('threshold = 0.5\nversion = "1"\nwhy = "x"', "why"),
    ],
)
def test_a_threshold_that_cannot_be_used_is_refused(text: str, message: str) -> None:
    with pytest.raises(DecisionError, match=message):
        parse_threshold(text.encode())
