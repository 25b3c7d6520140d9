"""Padding that changes an answer is found and named as the cause; other models are not accused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bridge.contract.repository import scan
from tests.dependent_models import function
from tests.padded_graphs import BUCKETS, NUMBERS, Padded
from tests.padded_models import CHANGED, UNCHANGED
from tests.tiny_models import write_version
from workers.check.at_load import row_dependence
from workers.check.finding import Independence, Kind
from workers.check.made_values import BOLD
from workers.check.padding_check import check_padding, lengths_tried
from workers.check.padding_suspects import padding_suspects
from workers.check.page import report_text
from workers.check.probe_rows import from_reference
from workers.check.report import Report, Verdict
from workers.check.row_independence import Effort
from workers.check.version_check import check_version, made_up_rows
from workers.loading import LoadError, load_models, open_model
from workers.model import Model

ALLOWED = '[serving]\non_row_dependence = "allow"\n'
EFFORT = Effort(seconds=20.0, full_rows=16)


def opened(root: Path, padded: Padded, more: str = "") -> Model:
    padded.write(root, more=more)
    return open_model(scan(root)[0], threads=1)


def checked(model: Model) -> Independence:
    return check_version(model, made_up_rows(model.contract, 8, BOLD), EFFORT)


@pytest.mark.parametrize("padded", CHANGED.values(), ids=CHANGED.keys())
def test_a_model_that_padding_changes_is_caught_and_told_by_its_cause(
    tmp_path: Path, padded: Padded
) -> None:
    model = opened(tmp_path, padded)
    finding = checked(model).findings[0]
    blamed = padding_suspects(model, finding)
    assert (finding.kind, blamed[0].name) == (Kind.PADDING, padded.cause)


@pytest.mark.parametrize("padded", CHANGED.values(), ids=CHANGED.keys())
def test_the_quick_check_catches_it_too(tmp_path: Path, padded: Padded) -> None:
    found = row_dependence(opened(tmp_path, padded))
    assert (found is not None, found and found.can_serve_alone) == (True, False)


@pytest.mark.parametrize("padded", UNCHANGED.values(), ids=UNCHANGED.keys())
def test_a_model_that_stands_padding_is_not_accused(tmp_path: Path, padded: Padded) -> None:
    found = checked(opened(tmp_path, padded))
    assert (found.is_proven, found.findings) == (True, [])


@pytest.mark.parametrize("padded", UNCHANGED.values(), ids=UNCHANGED.keys())
def test_nor_does_the_quick_check_accuse_it(tmp_path: Path, padded: Padded) -> None:
    assert row_dependence(opened(tmp_path, padded)) is None


def test_rows_of_one_bucket_are_tried_beside_each_other(tmp_path: Path) -> None:
    padded = Padded(
        NUMBERS + 'length = "n"\n[inputs.n]\ndatatype = "INT64"\n',
        pipeline=function("return {'y': inputs['n'].max() + 0.0 * inputs['x'].sum(axis=1)}"),
    )
    finding = checked(opened(tmp_path, padded)).findings[0]
    lengths = {finding.probe.tensors["n"][row].item() for row in finding.batch}
    assert (finding.kind, len(lengths)) == (Kind.NEIGHBOURS, 2)


def test_a_bucket_that_the_model_cannot_run_is_named_at_load(tmp_path: Path) -> None:
    body = "if inputs['x'].shape[1] > 8:\n    raise IndexError\nreturn {'y': inputs['x'][:, 0]}"
    folder = Padded(NUMBERS, pipeline=function(body)).write(tmp_path)
    with pytest.raises(LoadError) as caught:
        load_models(tmp_path, threads=1)
    assert str(caught.value) == (
        f"{folder}: contract.toml: inputs.x.buckets: the model answers rows of length 4, not of 16"
    )


def test_the_worker_refuses_a_model_that_padding_changes(tmp_path: Path) -> None:
    CHANGED["mean and no mask"].write(tmp_path)
    with pytest.raises(LoadError, match="output y changes with padding: made-up row"):
        load_models(tmp_path, threads=1)


def test_it_is_served_if_the_contract_says_so(tmp_path: Path) -> None:
    CHANGED["mean and no mask"].write(tmp_path, more=ALLOWED)
    assert len(load_models(tmp_path, threads=1)) == 1


def test_the_report_says_what_padding_costs_and_what_is_to_blame(tmp_path: Path) -> None:
    model = opened(tmp_path, CHANGED["mean over the padding too"])
    found = checked(model)
    report = Report(
        contract=model.contract,
        folder="m/1",
        independence=found,
        source="made up",
        suspects=padding_suspects(model, found.findings[0]),
    )
    lines = report_text(report).splitlines()
    assert report.verdict is Verdict.PADDING
    assert lines[0] == "m@1: FAILED: an answer depends on how far its row was padded."
    assert (
        "  20 rows padded, in 30 batches of one length and of several, against each unpadded"
        in lines
    )
    assert "  output y, padded: DIFFERENT" in lines
    assert "  17% of the places in their buckets are padding (made up)" in lines
    assert (
        "  model.onnx: input mask is filled in, but the answer is the same whatever it says"
        in lines
    )
    assert report.document()["padding"]["padding_share"] == 1 - 40 / 48


def test_without_a_row_that_is_answered_unpadded_nothing_is_proven(tmp_path: Path) -> None:
    only_buckets = function(
        "assert inputs['x'].shape[1] in (4, 8)\nreturn {'y': inputs['x'].sum(axis=1)}"
    )
    contract = NUMBERS.replace(BUCKETS, "buckets = [4, 8]\n")
    write_version(tmp_path, "m", pipeline=only_buckets, contract=contract)
    model = open_model(scan(tmp_path)[0], threads=1)
    group = {"x": np.arange(9.0).reshape(3, 3) / 2}
    found = check_version(model, [from_reference(model.contract.inputs, group, BOLD)], EFFORT)
    assert (found.findings, found.is_proven) == ([], False)


def test_the_share_of_padding_is_that_of_rows_in_their_own_buckets(tmp_path: Path) -> None:
    model = opened(tmp_path, UNCHANGED["sum with zeros"])
    groups = [{"x": np.ones((3, length), np.float32)} for length in (3, 4, 6)]
    probes = [from_reference(model.contract.inputs, group, BOLD) for group in groups]
    parity = check_padding(model, probes, seconds=9.0)
    assert parity.padding_share == 1 - (3 + 4 + 6) / (4 + 4 + 8)


def test_two_runs_are_made_when_time_has_run_out(tmp_path: Path) -> None:
    model = opened(tmp_path, UNCHANGED["sum with zeros"])
    ticks = iter(np.arange(0.0, 1e4, 10.0).tolist())
    probes = made_up_rows(model.contract, 8, BOLD)
    assert check_padding(model, probes, 1.0, lambda: next(ticks)).batches == 2


@pytest.mark.parametrize(
    ("buckets", "lengths"),
    [
        ((4, 8, 16), (16, 15, 5, 3, 1)),
        ((2,), (2, 1)),
        ((1,), (1,)),
        ((512,), (64, 63, 3, 1)),
        ((8, 1_000), (8, 7, 3, 1)),
    ],
)
def test_lengths_are_tried_with_little_padding_and_with_much(
    buckets: tuple[int, ...], lengths: tuple[int, ...]
) -> None:
    assert lengths_tried(buckets) == lengths


def test_twelve_models_are_changed_and_twelve_are_not() -> None:
    assert min(len(CHANGED), len(UNCHANGED)) >= 12


def test_a_row_that_shares_its_batch_with_none_is_padded_too(tmp_path: Path) -> None:
    contract = NUMBERS.replace(BUCKETS, "buckets = [8]\n")
    mean = function("return {'y': inputs['x'].mean(axis=1)}")
    planted = "[serving]\nmax_batch_rows = 1\n" + contract
    write_version(tmp_path, "m", pipeline=mean, contract=planted)
    (finding,) = checked(open_model(scan(tmp_path)[0], threads=1)).findings
    assert (finding.kind, len(finding.batch)) == (Kind.PADDING, 1)
