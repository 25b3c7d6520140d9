"""Every planted dependence is caught and told by its cause; nobody else is accused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bridge.contract.repository import VersionFolder, scan
from tests.dependent_models import (
    DEPENDENT,
    IN_THE_GRAPH,
    IN_THE_PIPELINE,
    NUMBERS,
    Planted,
    function,
)
from tests.independent_models import INDEPENDENT
from tests.sample_models import MODELS
from tests.tiny_models import affine, tensors, write_version
from workers.check.agreement import Agreement
from workers.check.finding import Independence, Kind
from workers.check.made_values import BOLD, CAUTIOUS, OpenValues
from workers.check.probe_rows import generated
from workers.check.row_independence import Effort, check_rows
from workers.check.suspects import suspects
from workers.check.version_check import check_version, made_up_rows
from workers.loading import open_model

FULL = Effort(seconds=20.0, full_rows=64)
QUICK = Effort(seconds=20.0, full_rows=7)


def checked(
    folder: VersionFolder, effort: Effort = FULL, values: OpenValues = BOLD
) -> Independence:
    """What the check finds of a version that was just loaded."""
    model = open_model(folder, threads=1)
    rows = 24 if effort is FULL else 6
    return check_version(model, made_up_rows(model.contract, rows, values), effort)


def version(root: Path, planted: Planted, more: str = "") -> VersionFolder:
    planted.write(root, "m", more)
    return scan(root)[0]


def predicting(body: str) -> Planted:
    return Planted("predict", pipeline=function(body), contract=NUMBERS)


@pytest.mark.parametrize("planted", DEPENDENT.values(), ids=DEPENDENT.keys())
def test_a_model_whose_answers_depend_on_the_batch_is_caught(
    tmp_path: Path, planted: Planted
) -> None:
    assert checked(version(tmp_path, planted)).is_dependent


@pytest.mark.parametrize("planted", DEPENDENT.values(), ids=DEPENDENT.keys())
def test_the_quick_check_catches_it_too(tmp_path: Path, planted: Planted) -> None:
    assert checked(version(tmp_path, planted), QUICK, CAUTIOUS).is_dependent


@pytest.mark.parametrize("planted", DEPENDENT.values(), ids=DEPENDENT.keys())
def test_what_is_responsible_is_named(tmp_path: Path, planted: Planted) -> None:
    folder = version(tmp_path, planted)
    found = suspects(folder, checked(folder).findings[0], threads=1)
    assert found[0].name.split()[0] == planted.cause


@pytest.mark.parametrize("planted", INDEPENDENT.values(), ids=INDEPENDENT.keys())
def test_a_model_that_answers_each_row_for_itself_is_not_accused(
    tmp_path: Path, planted: Planted
) -> None:
    found = checked(version(tmp_path, planted))
    assert (found.is_proven, found.findings) == (True, [])


@pytest.mark.parametrize("planted", INDEPENDENT.values(), ids=INDEPENDENT.keys())
def test_nor_does_the_quick_check_accuse_it(tmp_path: Path, planted: Planted) -> None:
    assert checked(version(tmp_path, planted), QUICK, CAUTIOUS).findings == []


SAMPLES = scan(MODELS)


@pytest.mark.parametrize("folder", SAMPLES, ids=[folder.model for folder in SAMPLES])
def test_the_sample_models_are_independent(folder: VersionFolder) -> None:
    found = checked(folder)
    assert (found.is_proven, found.findings) == (True, [])
    assert found.rows_compared == found.rows_tried >= 24


def test_at_least_twelve_models_are_planted_in_graphs_and_in_pipelines() -> None:
    assert min(len(IN_THE_GRAPH), len(IN_THE_PIPELINE), len(INDEPENDENT)) >= 12


def test_two_rows_are_the_smallest_example_of_a_mean_over_the_batch(tmp_path: Path) -> None:
    found = checked(version(tmp_path, DEPENDENT["mean over axis 0"]))
    assert len(found.findings[0].batch) == 2


def test_chance_is_told_from_dependence(tmp_path: Path) -> None:
    found = checked(version(tmp_path, DEPENDENT["noise"]))
    assert (found.findings[0].kind, found.is_repeatable) == (Kind.UNREPEATABLE, False)


def test_an_answer_that_changes_only_now_and_then_is_chance_too(tmp_path: Path) -> None:
    changing = "runs = []\n\n\ndef predict(inputs):\n    runs.append(0)\n"
    every_fifth = "    return {'y': inputs['x'] + (len(runs) % 5 == 0)}\n"
    planted = Planted("predict", pipeline=changing + every_fifth, contract=NUMBERS)
    found = checked(version(tmp_path, planted))
    assert (found.findings[0].kind, found.is_repeatable) == (Kind.UNREPEATABLE, False)


def test_a_dependence_that_needs_five_rows_is_shown_with_five(tmp_path: Path) -> None:
    body = "x = inputs['x']\nreturn {'y': x + (len(x) > 4)}"
    found = checked(version(tmp_path, predicting(body)))
    assert len(found.findings[0].batch) == 5


def test_a_dependence_on_the_place_in_the_batch_is_caught(tmp_path: Path) -> None:
    body = "x = inputs['x'].copy()\nx[6:7] += 1\nreturn {'y': x}"
    found = checked(version(tmp_path, predicting(body)))
    assert (found.findings[0].place, len(found.findings[0].batch)) == (6, 7)


def test_rows_that_fail_only_together_are_a_finding_of_their_own(tmp_path: Path) -> None:
    body = "if len(inputs['x']) > 3:\n    raise MemoryError\nreturn {'y': inputs['x']}"
    found = checked(version(tmp_path, predicting(body)))
    assert found.failure is not None
    assert (found.failure.kind, len(found.failure.batch), found.is_dependent) == (
        Kind.FAILS_TOGETHER,
        4,
        False,
    )


def test_rows_that_fail_alone_are_left_out(tmp_path: Path) -> None:
    body = "if (inputs['x'] < 0).any():\n    raise ValueError\nreturn {'y': inputs['x']}"
    planted = Planted("predict", pipeline=function(body), contract=tensors())
    found = checked(version(tmp_path, planted))
    assert (0 < found.rows_compared < 24, found.findings) == (True, [])


def test_a_model_that_answers_nothing_is_not_proven(tmp_path: Path) -> None:
    planted = predicting("raise ValueError")
    found = checked(version(tmp_path, planted))
    assert (found.rows_compared, found.is_proven) == (0, False)


def test_a_single_row_that_is_answered_proves_nothing(tmp_path: Path) -> None:
    once = "runs = []\n\n\n" + function(
        "runs.append(1)\nif len(runs) > 1:\n    raise ValueError\nreturn {'y': inputs['x']}"
    )
    found = checked(version(tmp_path, Planted("", pipeline=once, contract=NUMBERS)))
    assert (found.rows_compared, found.is_proven) == (1, False)


def test_answers_that_are_all_nan_prove_nothing(tmp_path: Path) -> None:
    body = "return {'y': np.full_like(inputs['x'], np.nan)}"
    planted = predicting(body)
    assert not checked(version(tmp_path, planted)).is_proven


def test_a_model_of_batches_of_one_row_has_nothing_to_prove(tmp_path: Path) -> None:
    found = checked(
        version(tmp_path, DEPENDENT["rank within the batch"], "[serving]\nmax_batch_rows = 1\n")
    )
    assert (found.is_single, found.is_proven, found.batches) == (True, True, 0)


def test_no_batch_is_larger_than_the_contract_allows(tmp_path: Path) -> None:
    write_version(tmp_path, "m", graph=affine(2, 1), contract="[serving]\nmax_batch_rows = 5\n")
    assert checked(scan(tmp_path)[0]).largest_batch == 5


def test_batches_go_to_one_row_more_than_asked(tmp_path: Path) -> None:
    write_version(tmp_path, "m", graph=affine(2, 1))
    assert checked(scan(tmp_path)[0]).largest_batch == 65


def test_a_graph_of_a_fixed_batch_is_tried_with_every_row_padded(tmp_path: Path) -> None:
    write_version(tmp_path, "m", graph=affine(2, 1, rows=4))
    found = checked(scan(tmp_path)[0])
    assert (found.largest_batch, found.findings) == (4, [])


def test_each_length_of_a_varying_dimension_is_tried_by_itself(tmp_path: Path) -> None:
    found = checked(version(tmp_path, INDEPENDENT["attention with a mask"]))
    assert found.rows_compared == 3 * 24


def test_sums_in_another_order_are_rounding(tmp_path: Path) -> None:
    found = checked(version(tmp_path, INDEPENDENT["MLP whose sums are rounded"]))
    assert found.outputs[0].agreement in (Agreement.EXACT, Agreement.ROUNDING)


def test_the_largest_difference_of_rounding_is_reported(tmp_path: Path) -> None:
    body = "x = inputs['x']\nreturn {'y': x * (1 + 1e-8 * len(x))}"
    (verdict,) = checked(version(tmp_path, predicting(body))).outputs
    assert verdict.agreement is Agreement.ROUNDING
    assert verdict.relative == pytest.approx(64e-8, rel=0.01)  # 65 rows instead of one


def test_each_output_has_a_finding_of_its_own(tmp_path: Path) -> None:
    body = "x = inputs['x']\nreturn {'y': x - x.mean(axis=0), 'clean': x, 'z': x - x.max(axis=0)}"
    more = "".join(
        f'[outputs.{name}]\ndatatype = "FP64"\nshape = [-1, 4]\n' for name in ("clean", "z")
    )
    found = checked(
        version(tmp_path, Planted("", pipeline=function(body), contract=NUMBERS + more))
    )
    assert [finding.output for finding in found.findings] == ["y", "z"]


def test_time_that_has_run_out_leaves_two_rows_and_two_batches(tmp_path: Path) -> None:
    write_version(tmp_path, "m", graph=affine(2, 1))
    model = open_model(scan(tmp_path)[0], threads=1)
    ticks = iter(np.arange(0.0, 1e6, 10.0).tolist())
    probes = generated(model.contract.inputs, 24, BOLD)
    found = check_rows(model, probes, Effort(1.0, 64), clock=lambda: next(ticks))
    assert (found.rows_compared, found.batches) == (2, 2)


@pytest.mark.parametrize("planted", DEPENDENT.values(), ids=DEPENDENT.keys())
def test_the_first_two_batches_catch_it_when_time_runs_out(
    tmp_path: Path, planted: Planted
) -> None:
    model = open_model(version(tmp_path, planted), threads=1)
    probes = generated(model.contract.inputs, 24, BOLD)
    # Time runs out when all rows have been run alone: a reading of the clock for each.
    ticks = iter([0.0] * 24 + [9.0] * 1000)
    found = check_rows(model, probes, Effort(1.0, 64), clock=lambda: next(ticks))
    assert (found.is_dependent, found.batches) == (True, 2)


def test_an_extreme_neighbour_is_not_itself_compared(tmp_path: Path) -> None:
    body = "x = inputs['x']\nreturn {'y': np.where(np.abs(x) > 1e5, len(x), x)}"
    assert checked(version(tmp_path, predicting(body))).findings == []
