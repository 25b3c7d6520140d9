"""The table that a job writes."""

from __future__ import annotations

import msgspec
import numpy as np

from bridge.contract.decision import with_decision
from bridge.contract.model import Decision, TensorSpec
from bridge.jobs.outputs import OutputTable

SCORE = TensorSpec(name="score", datatype="FP64", shape=(-1,))
DECISION = Decision(
    output="score", place=0, column="", positive="ill", threshold=0.5, threshold_version="7"
)
ROWS = np.arange(2)


def test_the_thresholds_version_stands_beside_the_decision() -> None:
    outputs = with_decision((SCORE,), DECISION)
    table = OutputTable(outputs, None, None, DECISION)
    given = {"score": np.array([0.1, 0.9]), "decision": np.array([False, True])}
    assert table.batch(given, ROWS, None).to_pylist() == [
        {"row": 0, "score": 0.1, "decision": False, "decision.threshold_version": "7"},
        {"row": 1, "score": 0.9, "decision": True, "decision.threshold_version": "7"},
    ]


def test_without_a_threshold_there_is_no_column_for_its_version() -> None:
    undecided = msgspec.structs.replace(DECISION, threshold=None, threshold_version="")
    assert OutputTable((SCORE,), None, None, undecided).schema.names == ["row", "score"]
